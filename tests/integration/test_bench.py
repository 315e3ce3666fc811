"""Speed where no clock is needed: what the hot paths execute; and that the benchmark itself runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from servers import ROOT, run

BENCH = ROOT / "tests" / "bench"

BOUNDS = {
    # bytecode instructions, function calls (of Python and of C)
    "get and return": (275, 13),
    "with pool.obj()": (400, 19),
    "with proxy._obj()": (1000, 66),
    "proxy.x, shared": (21, 2),
    "proxy.x, thread": (21, 2),
    "proxy.x, thread with pool": (21, 2),
}
"""The most that any supported version of Python may execute, some ten percent above what it does."""


def bench(program: str, *arguments: object) -> str:
    """Run a program of the benchmark in a process of its own, out of reach of this one's tracers."""
    return run(sys.executable, BENCH / program, *arguments).stdout


def test_hot_paths_stay_short() -> None:
    """No hot path executes more instructions and calls than stated, whatever the machine."""
    counted = json.loads(bench("count.py"))
    print("\n".join(f"{path}: {found}, at most {BOUNDS[path]}" for path, found in counted.items()))
    assert counted.keys() == BOUNDS.keys()
    for path, (instructions, calls) in BOUNDS.items():
        assert 0 < counted[path]["instructions"] <= instructions, path
        assert 0 <= counted[path]["calls"] <= calls, path


def test_the_benchmark_runs(tmp_path: Path) -> None:
    """A quick run of two contenders measures each part; its figures make the page, and the three plots."""
    figures, page = tmp_path / "bench.json", tmp_path / "speed.md"
    contenders = ("--contenders", "SimpleQueue,no proxy")
    assert "get and return" in bench("run.py", "--quick", *contenders, "--json", figures, "--plots", tmp_path)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert [path.name for path in drawn] == ["bench-fairness.svg", "bench-pool.svg", "bench-proxy.svg"]
    assert all("<svg" in path.read_text(encoding="utf-8") for path in drawn)
    (measured,) = json.loads(figures.read_text(encoding="utf-8")).values()
    tables = measured["tables"]
    parts = {"loop", "crowd", "creation", "spike", "housekeeping", "import", "proxy", "counts"}
    assert {name.partition("-")[0] for name in tables} == parts
    assert list(tables["loop"]["rows"]) == ["ProxyPatternPool", "queue.SimpleQueue"]
    assert [name for name, table in tables.items() if table["notes"]] == []
    for table in tables.values():
        table["stolen"] = 0.25
        for figure in [figure for row in table["rows"].values() for figure in row.values() if figure]:
            assert figure["q1"] <= figure["median"] <= figure["q3"]

    figures.write_text(json.dumps({"3.11": measured}), encoding="utf-8")
    page.write_text((ROOT / "docs/pages/speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    written = []
    before = page.read_text(encoding="utf-8").partition("<!-- bench:")[0]
    for _ in range(2):  # twice makes no difference
        bench("run.py", "--json", figures, "--page", page)
        written.append(page.read_text(encoding="utf-8"))
    assert written[0] == written[1]
    assert written[0].startswith(before)
    assert "| ProxyPatternPool |" in written[0]
    assert "### Where others were better" in written[0]
    stolen = "stolen meanwhile by the host of the virtual machine: 25%"
    assert written[0].count(stolen) == len(tables) - 1  # not of the counts
