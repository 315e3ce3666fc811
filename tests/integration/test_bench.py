"""Speed where no clock is needed: what the hot paths execute; and that the benchmark itself runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"

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


def run(program: str, *arguments: str) -> str:
    """Run a program of the benchmark in a process of its own, out of reach of this one's tracers."""
    done = subprocess.run(
        [sys.executable, str(BENCH / program), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hot_paths_stay_short() -> None:
    """No hot path executes more instructions and calls than stated, whatever the machine."""
    counted = json.loads(run("count.py"))
    print("\n".join(f"{path}: {found}, at most {BOUNDS[path]}" for path, found in counted.items()))
    assert counted.keys() == BOUNDS.keys()
    for path, (instructions, calls) in BOUNDS.items():
        assert 0 < counted[path]["instructions"] <= instructions, path
        assert 0 <= counted[path]["calls"] <= calls, path


def test_the_benchmark_runs(tmp_path: Path) -> None:
    """A quick run of two contenders measures each part; its figures make the page, and the three plots."""
    figures, page = tmp_path / "bench.json", tmp_path / "speed.md"
    contenders = ("--contenders", "SimpleQueue,no proxy")
    text = run("run.py", "--quick", *contenders, "--json", str(figures), "--plots", str(tmp_path))
    assert "get and return" in text
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
        for row in table["rows"].values():
            for figure in filter(None, row.values()):
                assert figure["q1"] <= figure["median"] <= figure["q3"]

    figures.write_text(json.dumps({"3.11": measured}), encoding="utf-8")
    page.write_text((BENCH.parents[1] / "docs/pages/speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    before = page.read_text(encoding="utf-8").partition("<!-- bench:")[0]
    once = ""
    for _ in range(2):  # twice makes no difference
        run("run.py", "--json", str(figures), "--page", str(page))
        assert once in ("", page.read_text(encoding="utf-8"))
        once = page.read_text(encoding="utf-8")
    assert once.startswith(before)
    assert "| ProxyPatternPool |" in once
    assert "### Where others were better" in once
    stolen = "stolen meanwhile by the host of the virtual machine: 25%"
    assert once.count(stolen) == len(tables) - 1  # not of the counts
