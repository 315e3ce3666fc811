"""The README says the truth: its programs run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pages
import pytest

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PROGRAMS = [block for block in pages.blocks(README) if block.language == "python"]


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.where)
def test_each_program_runs(block: pages.Block) -> None:
    """Each Python block of the README runs by itself."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(block.compiled(), namespace)


def test_no_block_is_left_out() -> None:
    """Every fenced block is a Python program, hence run by the test above."""
    fences = re.findall(r"^ *```(\w*)", TEXT, flags=re.MULTILINE)
    assert fences == ["python", ""] * len(PROGRAMS)


def test_the_top_is_enough_to_start() -> None:
    """The README begins with how to install, then a whole Flask application that fits the index's page."""
    first = PROGRAMS[0]
    assert "pip install ProxyPatternPool" in TEXT.partition("```python")[0]
    assert "from flask import Flask" in first.code
    assert "ppp.Proxy" in first.code
    assert max(len(line) for block in PROGRAMS for line in block.code.splitlines()) <= 84


def test_both_tiers_are_told() -> None:
    """The README tells both tiers of tests, and what each costs in time and room."""
    told = re.findall(r"^ +make (check|integration) +# .*minute.* MB", TEXT, flags=re.MULTILINE)
    assert told == ["check", "integration"]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (\w+)", TEXT))))
def test_each_command_exists(target: str) -> None:
    """Each `make` command that the README names is a target."""
    makefile = README.with_name("Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_each_link_leads_to_a_file(link: str) -> None:
    """Each relative link of the README leads to a file of the project."""
    assert (README.parent / link).is_file()
