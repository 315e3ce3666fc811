"""The documentation as programs: finds the code blocks of a page, and runs them.

On a page, what a block's fence says decides what becomes of it:

- `python title="name.py"`, or any language with a title: a file of that name, beside the others.
- `python`: a piece of the page's program, which runs from top to bottom.
- `console`: commands after `$`, and what they print (`…` stands for anything).
- any of them with a line `--8<-- "examples/name.py"`: that file of the folder docs.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
SOURCE = (ROOT / "ProxyPatternPool.py").read_text(encoding="utf-8")
FOUND = {path.relative_to(DOCS / "pages").as_posix(): path for path in (DOCS / "pages").rglob("*.md")}
PAGES = {"README.md": ROOT / "README.md", **dict(sorted(FOUND.items()))}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
"""The pages of the documentation by their names, the README among them, and their texts."""
FENCE = re.compile(r"^( *)```(\w*)(?: +title=\"([^\"]+)\")?[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TAKEN = re.compile(r"--8<-- \"([^\"]+)\"\n")


class Block(NamedTuple):
    """A fenced block of code."""

    path: Path
    line: int
    language: str
    title: str | None
    code: str

    @property
    def where(self) -> str:
        """Name it in messages."""
        return f"{self.path.name}:{self.line}"

    @property
    def source(self) -> str:
        """The code, where it may be a file of docs taken in."""
        taken = TAKEN.fullmatch(self.code)
        return self.code if taken is None else (DOCS / taken.group(1)).read_text(encoding="utf-8")

    def write(self, folder: Path) -> None:
        """Write a block that has a title."""
        assert self.title is not None
        (folder / self.title).write_text(self.source, encoding="utf-8")

    def commands(self) -> list[tuple[str, str]]:
        """Give each command of a console block, with the lines printed after it."""
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", self.code, flags=re.MULTILINE)


def blocks(path: Path, text: str = "", first_line: int = 1) -> Iterator[Block]:
    """Find the code blocks of a page, or of a text which begins at some line of a file."""
    text = text or path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        _, language, title, code = found.groups()
        line = first_line + text.count("\n", 0, found.start())
        yield Block(path, line, language, title, textwrap.dedent(code))


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Find the docstrings of a module, and the line at which each begins."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


@contextmanager
def imported(folder: Path, *names: str) -> Iterator[list[Any]]:
    """Import modules of a folder, and forget them after a block."""
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)
