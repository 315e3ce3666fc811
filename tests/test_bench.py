"""Speed where no clock is needed: what the hot paths execute; and that the benchmark itself runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"

BOUNDS = {
    # bytecode instructions, function calls (of Python and of C)
    "get and return": (330, 15),
    "with pool.obj()": (375, 15),
    "with proxy._obj()": (860, 62),
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


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, int]]:
    """Count what the hot paths execute."""
    found: dict[str, dict[str, int]] = json.loads(run("count.py"))
    return found


@pytest.mark.parametrize("path", BOUNDS)
def test_hot_paths_stay_short(counted: dict[str, dict[str, int]], path: str) -> None:
    """A hot path executes no more instructions and calls than stated, whatever the machine."""
    instructions, calls = BOUNDS[path]
    found = counted[path]
    print(f"\n{path}: {found}, at most {instructions} and {calls}")
    assert 0 < found["instructions"] <= instructions
    assert 0 <= found["calls"] <= calls


def test_every_count_is_bounded(counted: dict[str, dict[str, int]]) -> None:
    """Each path that is counted has its bound here."""
    assert counted.keys() == BOUNDS.keys()


def test_the_counter_counts() -> None:
    """One call and one addition more are seen, exactly as often as they happen."""
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import count\n"
        "def one(): len(())\n"
        "def two(): len(()); len(())\n"
        "print(json.dumps([count.measure(count.nothing), count.measure(one), count.measure(two)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(BENCH)], capture_output=True, text=True, timeout=20
    )
    none, one, two = json.loads(done.stdout)
    assert none == {"instructions": 0, "calls": 0}
    assert (one["calls"], two["calls"]) == (1, 2)
    assert 0 < one["instructions"] < two["instructions"]


def test_the_benchmark_runs(tmp_path: Path) -> None:
    """A quick run of two contenders measures each part, and its figures make the page."""
    figures, page = tmp_path / "bench.json", tmp_path / "speed.md"
    text = run("run.py", "--quick", "--contenders", "SimpleQueue,no proxy", "--json", str(figures))
    assert "get and return" in text
    (measured,) = json.loads(figures.read_text(encoding="utf-8")).values()
    tables = measured["tables"]
    assert {name.partition("-")[0] for name in tables} == {
        "loop", "crowd", "creation", "spike", "housekeeping", "import", "proxy", "counts",
    }  # fmt: skip
    assert list(tables["loop"]["rows"]) == ["ProxyPatternPool", "queue.SimpleQueue"]
    assert [name for name, table in tables.items() if table["notes"]] == []
    for table in tables.values():
        assert (table["stolen"] is not None) == Path("/proc/stat").exists()
        table["stolen"] = 0.25
        for row in table["rows"].values():
            for figure in filter(None, row.values()):
                assert figure["q1"] <= figure["median"] <= figure["q3"]

    figures.write_text(json.dumps({"3.11": measured}), encoding="utf-8")
    page.write_text((BENCH.parents[1] / "docs/pages/speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    before = page.read_text(encoding="utf-8").partition("<!-- bench:")[0]
    run("run.py", "--json", str(figures), "--page", str(page))
    once = page.read_text(encoding="utf-8")
    assert once.startswith(before)
    assert "| ProxyPatternPool |" in once
    assert "### Where others were better" in once
    assert (
        once.count("stolen meanwhile by the host of the virtual machine: 25%") == len(tables) - 1
    )  # not counts
    run("run.py", "--json", str(figures), "--page", str(page))
    assert page.read_text(encoding="utf-8") == once


def test_the_benchmark_draws(tmp_path: Path) -> None:
    """The figures of a run make the three plots of the page."""
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    run(
        "run.py", "--quick", "--contenders", "SimpleQueue,no proxy", "--only", "loop,crowd,proxy",
        "--plots", str(tmp_path),
    )  # fmt: skip
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == ["bench-fairness.svg", "bench-pool.svg", "bench-proxy.svg"]
    assert all("<svg" in (tmp_path / name).read_text(encoding="utf-8") for name in drawn)
