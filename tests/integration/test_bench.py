"""Speed where no clock is needed: what the hot paths execute; and that the benchmark itself runs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
SPEED = ROOT / "docs" / "pages" / "speed.md"

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

PARTS = ["loop", "crowd", "creation", "spike", "housekeeping", "import", "proxy", "counts"]
PLOTS = ["bench-fairness.svg", "bench-pool.svg", "bench-proxy.svg", "bench-threads.svg"]

CLAIM = re.compile(
    r"faster|slower|\bahead of\b|times as (?:fast|long|much)|(?:half|twice|third|quarter) (?:of )?the time"
    r"|\d (?:ns|µs)\b|\bratio\b|overhead|benchmark",
    re.IGNORECASE,
)
"""How claims of speed are worded."""


def run(*arguments: str) -> str:
    """Run a module of the benchmark in a process of its own, out of reach of this one's tracers."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hot_paths_stay_short() -> None:
    """No hot path executes more instructions and calls than stated, whatever the machine."""
    counted = json.loads(run("tests.bench.count"))
    print("\n".join(f"{path}: {found}, at most {BOUNDS[path]}" for path, found in counted.items()))
    assert counted.keys() == BOUNDS.keys()
    for path, (instructions, calls) in BOUNDS.items():
        assert 0 < counted[path]["instructions"] <= instructions, path
        assert 0 <= counted[path]["calls"] <= calls, path


def test_the_benchmark_runs(tmp_path: Path) -> None:
    """A quick run of two contenders measures each part; figures of two versions make the page and plots."""
    figures, page = tmp_path / "bench.json", tmp_path / "speed.md"
    contenders = ("--contenders", "SimpleQueue", "no proxy")
    text = run("tests.bench", "--quick", *contenders, "--json", str(figures))
    assert "get and return" in text
    (measured,) = json.loads(figures.read_text(encoding="utf-8")).values()
    tables = measured["tables"]
    assert list(dict.fromkeys(name.partition("-")[0] for name in tables)) == PARTS
    assert list(tables["loop"]["rows"])[:2] == ["ProxyPatternPool", "queue.SimpleQueue"]
    assert [name for name, table in tables.items() if table["notes"]] == []
    for table in tables.values():
        for row in table["rows"].values():
            assert all(low <= median <= high for median, low, high, _rounds in row.values())

    measured["environment"]["key"], free = "3.11", json.loads(json.dumps(measured))
    free["environment"]["key"] = "3.13t"
    figures.write_text(json.dumps({"3.13t": free, "3.11": measured}), encoding="utf-8")
    before = SPEED.read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    once = ""
    for _ in range(2):  # twice makes no difference
        run("tests.bench", "--json", str(figures), "--page", str(page))
        assert once in ("", page.read_text(encoding="utf-8"))
        once = page.read_text(encoding="utf-8")
    by_hand = r"(?s)<!-- bench: \w+ -->.*?<!-- bench: end -->"
    assert re.split(by_hand, once) == re.split(by_hand, before)
    assert "| what | aim | 3.11 | 3.13t |" in once
    assert re.search(r"^\| ProxyPatternPool \| 3\.11 \|.*\n\|  \| 3\.13t \|", once, re.MULTILINE)

    drawn = sorted((tmp_path / "assets").glob("*.svg"))
    assert [path.name for path in drawn] == PLOTS
    for path in drawn:
        assert_legible(path)


def test_plots_are_legible() -> None:
    """The plots of the page exist and are legible."""
    for name in PLOTS:
        assert_legible(SPEED.parent / "assets" / name)


def assert_legible(path: Path) -> None:
    """Text has 11 pixels where 400 are wide, stands clear of bars, and has a colour for a dark page."""
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert float(re.findall(r"font: (\d+)px", text)[0]) * 400 / float(root.attrib["width"]) >= 11
    assert "prefers-color-scheme: dark" in text
    assert "background" not in text
    space = "{http://www.w3.org/2000/svg}"
    bars = [
        [float(bar.attrib[key]) for key in ("x", "y", "width", "height")] for bar in root.iter(f"{space}rect")
    ]
    for label in root.iter(f"{space}text"):
        x, y = (float(label.attrib[key]) for key in "xy")
        assert 0 <= y <= float(root.attrib["height"])
        assert [bar for bar in bars if bar[0] <= x <= bar[0] + bar[2] and bar[1] < y < bar[1] + bar[3]] == []


def claims() -> dict[str, list[str]]:
    """Give the rows of the list of claims: the page and its words, and the command."""
    section = SPEED.read_text(encoding="utf-8").partition("## Every claim")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)
    ]
    assert rows[0] == ["where", "claim", "command"]
    found: dict[str, list[str]] = {}
    for where, claim, command in rows[2:]:
        assert re.search(r"`(?:make bench|\.venv/bin/python -m tests\.bench)|^none: ", command), command
        found.setdefault(where, []).append(claim)
    return found


def test_every_claim_of_speed_is_listed() -> None:
    """What README, pages and docstrings say of speed stands in the list, with the command that shows it."""
    listed = claims()
    headlines = re.findall(r"^### (.+)$", SPEED.read_text(encoding="utf-8"), re.MULTILINE)
    assert [it for it in headlines if f"“{it}”" not in " ".join(listed["this page"])] == []
    texts = {
        path.relative_to(SPEED.parent).as_posix(): path.read_text(encoding="utf-8")
        for path in SPEED.parent.rglob("*.md")
    }
    texts["README"] = (ROOT / "README.md").read_text(encoding="utf-8")
    nodes = ast.walk(ast.parse((ROOT / "ProxyPatternPool.py").read_text(encoding="utf-8")))
    documented = [node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    texts["docstrings"] = "\n\n".join(ast.get_docstring(node) or "" for node in documented)
    del texts["speed.md"]
    missing = [
        (where, claim)
        for where, text in texts.items()
        for claim in re.split(r"(?<=[.:;])\s|\n\n|\|", text)
        if CLAIM.search(claim)
        and not any(words in " ".join(claim.split()) for words in listed.get(where, ()))
    ]
    assert missing == []
    for where in listed.keys() - {"this page"}:  # and none is listed that is no longer made
        joined = " ".join(texts[where].split())
        assert [words for words in listed[where] if words not in joined] == []
