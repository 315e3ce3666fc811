"""The programs of the documentation run; its commands, and all that it names, exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pages
import pytest
import yaml
from pages import EXAMPLES, PAGES, ROOT, TEXTS, Block
from servers import PATIENCE, address, environ, postgres_fixture, redis_fixture, run, started  # noqa: F401

import ProxyPatternPool as ppp

BLOCKS = {name: list(pages.blocks(path)) for name, path in PAGES.items()}

# Their blocks are steps, each a process, in the manner of somebody at a terminal.
PLAYED = ["tutorial.md", "howto/gunicorn.md", "howto/testing.md"]
# What patches the process, or starts others, is warned by Python itself.
PATCHED = ["howto/gevent.md", "howto/eventlet.md", "howto/machines.md"]
RUN = [name for name, found in BLOCKS.items() if any(block.language == "python" for block in found)]
RUN = [name for name in RUN if name not in ("README.md", *PLAYED)]
FORGET = "globals().clear(); import gc; gc.collect()  # so what was forgotten complains"
KINDS = {"python", "console", "text", "ini", "toml", "yaml", "json"}
SETUP = {"mkdir", "cd", "python3", ".", "pip", "export"}
TARGETS = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture
def _servers(request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers that the page of that name mentions run, and the environment has their addresses."""
    if "DATABASE_URL" in TEXTS[name]:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres").dsn)
    if "REDIS_URL" in TEXTS[name]:
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize("name", RUN)
def test_program_of_page(name: str, tmp_path: Path) -> None:
    """The Python of each page runs, from top to bottom, as one program."""
    for block in BLOCKS[name]:
        if block.title is not None:
            block.write(tmp_path)
    codes = [block.code for block in BLOCKS[name] if block.language == "python" and block.title is None]
    options = () if name in PATCHED else ("-W", "error")
    done = run(sys.executable, *options, "-c", "\n".join([*codes, FORGET]), cwd=tmp_path)
    assert "Exception ignored" not in done.stderr


class Terminal(ExitStack):
    """Somebody at a terminal: types the commands of a page, and compares what is printed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.server = folder, ""
        self.env = environ(folder, PYTHONWARNINGS="error")

    def type(self, command: str, expected: str = "…") -> None:
        """Run a command; where it starts a server, that takes the place of the one before."""
        program, *words = shlex.split(command)
        if program in ("flask", "gunicorn"):
            self.close()
            words = [re.sub(r"(?<=127.0.0.1:)\d+|^5000$", "0", word) for word in words]
            log, env = self.folder / "log", {**self.env, "PYTHONWARNINGS": "default"}
            module = (sys.executable, "-m", program)
            self.enter_context(started(*module, *words, log=log, cwd=self.folder, env=env))
            self.server = urlsplit(address(log)).netloc
        elif program not in SETUP:
            if program == "curl":
                printed = self.ask(words)
            else:
                assert program == "python", command
                printed = run(sys.executable, *words, cwd=self.folder, env=self.env).stdout
            pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
            assert re.fullmatch(pattern, printed.strip(), flags=re.DOTALL), f"{command}\n{printed}"

    def ask(self, words: list[str]) -> str:
        """Do what `curl -s` does, with `-d name=value` too."""
        given = dict(word.split("=", 1) for option, word in pairwise(words) if option == "-d")
        data = urlencode(given).encode() if given else None
        with urlopen(urlsplit(words[-1])._replace(netloc=self.server).geturl(), data, PATIENCE) as answer:
            return str(answer.read(), "utf-8")


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize("name", PLAYED)
def test_steps_of_page(name: str, tmp_path: Path) -> None:
    """Whoever does each step of the page, from an empty folder, sees what the page shows."""
    with Terminal(tmp_path) as terminal:
        for block in BLOCKS[name]:
            if block.title is not None:
                block.write(tmp_path)
            elif block.language == "console":
                for command, expected in block.commands():
                    terminal.type(command, expected)
            elif block.language == "python":
                block._replace(title="step.py").write(tmp_path)
                terminal.type("python step.py")


def blocks_alone() -> Iterator[Block]:
    """Find the code blocks of the README, and in docstrings of the library and its examples."""
    yield from BLOCKS["README.md"]
    for path in [ROOT / "ProxyPatternPool.py", *sorted(EXAMPLES.rglob("*.py"))]:
        for line, text in pages.docstrings(path.read_text(encoding="utf-8")):
            # sections indent their fences
            yield from pages.blocks(path, re.sub(r"^ {4}(?=( *)```)", "", text, flags=re.MULTILINE), line)


@pytest.mark.parametrize("block", list(blocks_alone()), ids=lambda block: block.where)
def test_program_by_itself(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of the README and of a docstring is Python that runs by itself."""
    assert (block.language, block.title) == ("python", None)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__alone__"}
    if block.path != PAGES["README.md"]:
        namespace["ppp"] = ppp
    exec(compile("\n" * block.line + block.code, str(block.path), "exec"), namespace)  # has the page's lines
    for thing in namespace.values():  # an example may leave that to the end of the program
        pool = thing._pool if issubclass(type(thing), ppp.Proxy) else thing
        if type(pool) is ppp.Pool:
            pool.shutdown()


def hidden_blocks(name: str) -> Iterator[str]:
    """Find code hidden from the tests by a wrong fence, code too wide, and prompts copied with commands."""
    if len(re.findall(r"^ *```", TEXTS[name], flags=re.MULTILINE)) != 2 * len(BLOCKS[name]):
        yield "a fence without its other half"
    for block in BLOCKS[name]:
        if not block.title and block.language not in KINDS:
            yield f"{block.where}: {block.language}"
        if (block.language == "console") != ("\n$ " in f"\n{block.code}"):
            yield f"{block.where}: a prompt, or none"
        if max(map(len, block.source.splitlines())) > 86:  # beside the menus, in a window of 1280 pixels
            yield f"{block.where}: too wide"


def missing_commands(name: str) -> Iterator[str]:
    """Find what the Makefile does not know of `make`, and other commands which nothing has tried."""
    for words in re.findall(r"(?:`|^ {4}|^\$ )make ([^`\n#]+)", TEXTS[name], flags=re.MULTILINE):
        yield from (f"make {word}" for word in words.split() if word not in TARGETS and "=" not in word)
    for block in BLOCKS[name] if name not in PLAYED else ():
        for command, _ in block.commands():
            if not re.match(r"make |pip install (?:--upgrade )?'?ProxyPatternPool\b", command):
                yield f"{block.where}: {command}"


def missing_names(name: str) -> Iterator[str]:
    """Find what a page calls `pool.x`, `Pool.x`, `Proxy.x`, `proxy._x` or `ppp.x` and does not exist."""
    kinds: dict[str, Any] = {"ppp": ppp, "Proxy": ppp.Proxy, "pool": ppp.Pool, "Pool": ppp.Pool}
    kinds |= dict.fromkeys(("proxy", "db"), ppp.Proxy())
    for code in re.findall(r"`([^`\n]+)`", pages.FENCE.sub("", TEXTS[name])):
        named = re.findall(r"\b(pool|Pool|Proxy|ppp|(?:proxy|db)(?=\._[a-z]))\.(\w+)", code)
        yield from (code for owner, attribute in named if not hasattr(kinds[owner], attribute))


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_exists(name: str) -> None:
    """No block of a page hides from the tests; commands and names that it mentions exist."""
    assert [*hidden_blocks(name), *missing_commands(name), *missing_names(name)] == []


def test_whole_programs_are_shown() -> None:
    """Each program of the examples is shown on a page, under its name."""
    whole = {block.title: pages.TAKEN.fullmatch(block.code) for block in chain(*BLOCKS.values())}
    found = {taken.group(1): title for title, taken in whole.items() if taken is not None}
    assert found == {f"examples/{path.name}": path.name for path in EXAMPLES.glob("*.py")}


def test_readme() -> None:
    """The README begins with a whole Flask application that fits the index's page, and tells both tiers."""
    text, programs = TEXTS["README.md"], BLOCKS["README.md"]
    assert "pip install ProxyPatternPool" in text.partition("```python")[0]
    assert "from flask import Flask" in programs[0].code
    assert "ppp.Proxy" in programs[0].code
    assert max(len(line) for block in programs for line in block.code.splitlines()) <= 84
    told = re.findall(r"^ +make (check|integration) +# .*minute.* MB", text, flags=re.MULTILINE)
    assert told == ["check", "integration"]


def test_lists_follow_the_contract() -> None:
    """The differences are the points of the contract, in order; the changelog begins with this version."""
    points = re.findall(r"^\| (\d+) \|", TEXTS["differences.md"], flags=re.MULTILINE)
    assert points == [str(number) for number in range(1, 26)]
    assert re.findall(r"^## (\S+)", TEXTS["changelog.md"], flags=re.MULTILINE)[0] == ppp.__version__


@pytest.mark.parametrize("path", list((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflow_calls_what_exists(path: Path) -> None:
    """Each workflow can be read, and each `make` target that it calls exists."""
    text = path.read_text(encoding="utf-8")
    assert {"name", "jobs"} <= set(yaml.safe_load(text))
    assert set(re.findall(r"\bmake ([a-z.-]+)", text)) <= TARGETS
