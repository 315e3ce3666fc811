"""The README says the truth: its programs run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
TOP = "\n".join(TEXT.splitlines()[:45])
BLOCKS = [example.line for example in Document.parse(str(README), PythonCodeBlockParser())]


@pytest.mark.parametrize("line", BLOCKS)
def test_each_program_runs(line: int) -> None:
    """Each Python block of the README runs by itself."""
    document = Document.parse(str(README), PythonCodeBlockParser())
    (block,) = [example for example in document if example.line == line]
    block.evaluate()


def test_no_block_is_left_out() -> None:
    """Every fenced block is a Python program, hence run by the test above."""
    fences = re.findall(r"^```(\w*)", TEXT, flags=re.MULTILINE)
    assert fences == ["python", ""] * len(BLOCKS)


def test_the_top_is_enough_to_start() -> None:
    """The first 45 lines have the commands, the installation, and an example of each class."""
    programs = re.findall(r"```python\n(.*?)```", TOP, flags=re.DOTALL)
    assert sum("ppp.Pool(" in program for program in programs) == 1
    assert sum("ppp.Proxy(" in program for program in programs) == 1
    for command in ("make demo", "make check", "pip install ProxyPatternPool"):
        assert command in TOP


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (\w+) +#", TEXT))))
def test_each_command_exists(target: str) -> None:
    """Each `make` command that the README names is a target."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(
        ["make", "--dry-run", target],
        cwd=README.parent,
        env=environment,
        check=True,
        capture_output=True,
        timeout=30,
    )


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_each_link_leads_to_a_file(link: str) -> None:
    """Each relative link of the README leads to a file of the project."""
    assert (README.parent / link).is_file()
