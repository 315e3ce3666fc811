"""Speed where no clock is needed: what the hot paths execute; and that the benchmark itself runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pages
import pytest
from servers import run

BENCH = (sys.executable, "-m", "tests.bench")
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
CLAIM = re.compile(
    r"faster|slower|\bahead of\b|times as (?:fast|long|much)|(?:half|twice|third|quarter) (?:of )?the time"
    r"|\d (?:ns|µs)\b|\bratio\b|overhead|benchmark",
    re.IGNORECASE,
)
"""How claims of speed are worded."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run of the contenders that are installed keeps."""
    figures = tmp_path_factory.mktemp("bench") / "bench.json"
    done = run(*BENCH, "--quick", "--json", figures)
    assert "get and return" in done.stdout
    (measured,) = json.loads(figures.read_text(encoding="utf-8")).values()
    return dict(measured)


def test_hot_paths_stay_short(measured: dict[str, Any]) -> None:
    """No hot path executes more instructions and calls than stated, whatever the machine."""
    rows = measured["tables"]["counts"]["rows"]
    counted = {path: (row["instructions"][0], row["calls"][0]) for path, row in rows.items()}
    assert counted.keys() == BOUNDS.keys()
    for path, (instructions, calls) in BOUNDS.items():
        assert 0 < counted[path][0] <= instructions, path
        assert 0 <= counted[path][1] <= calls, path


def test_each_part_is_measured(measured: dict[str, Any]) -> None:
    """A quick run measures each part, all contenders that there are, and the quartiles around each median."""
    tables = measured["tables"]
    assert list(dict.fromkeys(name.partition("-")[0] for name in tables)) == PARTS
    assert {"ProxyPatternPool", "queue.SimpleQueue"} <= tables["loop"]["rows"].keys()
    notes = [note for table in tables.values() for note in table["notes"].values()]
    assert [note for note in notes if not re.match("not (installed|supported) ", note)] == []
    rows = [row for table in tables.values() for row in table["rows"].values()]
    assert all(low <= median <= high for row in rows for median, low, high, _ in row.values())


def test_page_is_what_the_figures_give(tmp_path: Path) -> None:
    """The page and its plots are those that the kept figures give, to the letter."""
    page = tmp_path / "speed.md"
    written = pages.TEXTS["speed.md"]
    page.write_text(re.sub(r"(?s)(bench: [^e]\w+ -->\n).*?(\n<!-- bench: end)", r"\1\2", written), "utf-8")
    assert len(page.read_text(encoding="utf-8")) < len(written) / 2
    run(*BENCH, "--page", page)
    assert page.read_text(encoding="utf-8") == written
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "assets").iterdir()}
    assets = (pages.DOCS / "pages" / "assets").glob("bench-*.svg")
    assert drawn == {path.name: path.read_bytes() for path in assets}


def test_every_claim_of_speed_is_listed() -> None:
    """What README, pages and docstrings say of speed stands in the list, with the command that shows it."""
    texts = {**pages.TEXTS, "docstrings": "\n\n".join(text for _, text in pages.docstrings(pages.SOURCE))}
    page = texts.pop("speed.md")
    section = page.partition("## Every claim")[2].partition("\n## ")[0]
    titles, _, *rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert titles == ("where", "claim", "command")
    for where, claim, command in rows:
        assert re.search(r"`(?:make bench|\.venv/bin/python -m tests\.bench)|^none: ", command), command
        assert where == "this page" or claim in " ".join(texts[where].split())
    listed = " ".join(claim for where, claim, _ in rows if where == "this page")
    assert [it for it in re.findall(r"^### (.+)$", page, re.MULTILINE) if f"“{it}”" not in listed] == []
    for name, text in texts.items():
        claims = [claim for where, claim, _ in rows if where == name]
        said = [" ".join(it.split()) for it in re.split(r"(?<=[.:;])\s|\n\n|\|", text) if CLAIM.search(it)]
        assert [it for it in said if not any(claim in it for claim in claims)] == [], name
