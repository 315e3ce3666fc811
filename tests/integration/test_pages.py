"""The programs of the documentation run, and its commands exist."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib.metadata
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import fakeredis
import pages
import pytest
from postgres import PostgresServer, postgres_fixture  # noqa: F401

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "pages"
MODULE = Path(ppp.__file__)
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [path.relative_to(DOCS).as_posix() for path in PAGES]
PATIENCE = 30.0
WIDTH = 86  # columns of code beside the menus where a window has 1280 pixels

# Their blocks are steps, each a process, in the manner of somebody at a terminal.
PLAYED = ["tutorial.md", "howto/gunicorn.md", "howto/testing.md"]
# They patch the process that they run in, or start others.
APART = ["howto/gevent.md", "howto/eventlet.md", "howto/machines.md"]
RUN = [
    name
    for name, path in zip(NAMES, PAGES, strict=True)
    if name not in PLAYED and any(block.language == "python" for block in pages.blocks(path))
]
STATIC = {"text", "ini", "toml", "yaml", "json"}
TARGETS = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
SETUP = {"mkdir", "cd", "python3", ".", "export"}


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server in Python."""
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, from which modules can be imported; they are forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that sets the addresses of the servers which a text mentions."""

    def set_for(text: str) -> None:
        if "DATABASE_URL" in text:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            monkeypatch.setenv("DATABASE_URL", postgres.dsn)
        if "REDIS_URL" in text:
            monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))

    return set_for


@pytest.mark.parametrize("name", RUN)
def test_program_of_page(name: str, folder: Path, servers: Any) -> None:
    """The Python of each page runs, from top to bottom, as one program."""
    page = DOCS / name
    servers(page.read_text(encoding="utf-8"))
    if name in APART:
        done = subprocess.run(
            [sys.executable, pages.__file__, str(page)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=50.0,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        pages.run(page, folder)
        gc.collect()  # what was forgotten complains here


class Terminal:
    """Somebody at a terminal: types the commands of a page, and compares what is printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server: subprocess.Popen[str] | None = None
        programs = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "PYTHONWARNINGS": "error",
        }

    def type(self, block: pages.Block) -> None:
        """Run each command of a block."""
        for command, expected in commands(block):
            words = shlex.split(command)
            if words[0] in SETUP or words[:2] == ["pip", "install"]:
                continue
            if words[0] in ("flask", "gunicorn"):
                self.serve([re.sub(r"(?<=127.0.0.1:)\d+|^5000$", str(self.port), word) for word in words])
            elif words[0] == "curl":
                assert matches(expected, self.ask(words)), (block.where, command)
            else:
                printed = self.run(words)
                assert matches(expected, printed), f"{block.where}: {command}\n{printed}"

    def run(self, words: list[str]) -> str:
        """Run a program to its end."""
        done = subprocess.run(
            [sys.executable if words[0] == "python" else words[0], *words[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=50.0,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self, words: list[str]) -> None:
        """Start a server, in place of the one before."""
        self.stop()
        self.server = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env={**self.environment, "PYTHONWARNINGS": "default"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for_port(self.port, self.server)

    def ask(self, words: list[str]) -> str:
        """Do what `curl -s` does, with `-d name=value` too."""
        data = None
        if "-d" in words:
            name, value = words[words.index("-d") + 1].split("=", 1)
            data = urlencode({name: value}).encode()
        address = urlsplit(words[-1])._replace(netloc=f"127.0.0.1:{self.port}").geturl()
        with urlopen(address, data, PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def stop(self) -> None:
        """Stop the server."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait(PATIENCE)
            self.server = None


@pytest.mark.parametrize("name", PLAYED)
def test_steps_of_page(name: str, tmp_path: Path, servers: Any) -> None:
    """Whoever does each step of the page, from an empty folder, sees what the page shows."""
    page = DOCS / name
    servers(page.read_text(encoding="utf-8"))
    terminal = Terminal(tmp_path)
    try:
        for block in pages.blocks(page):
            if block.title is not None:
                block.write(tmp_path)
            elif block.language == "console":
                terminal.type(block)
            elif block.language == "python":
                block._replace(title="step.py").write(tmp_path)
                terminal.run(["python", "step.py"])
    finally:
        terminal.stop()


def docstring_blocks() -> Iterator[pages.Block]:
    """Find the code blocks in docstrings of the library and its examples."""
    for path in [MODULE, *sorted((ROOT / "docs" / "examples").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node, clean=True) or ""
                if "```" in text:  # sections indent their fences
                    text = re.sub(r"^ {4}(?=( *)```)", "", text, flags=re.MULTILINE)
                    yield from pages.blocks(path, text, node.body[0].lineno)


@pytest.mark.parametrize("block", list(docstring_blocks()), ids=lambda block: block.where)
def test_program_of_docstring(block: pages.Block, folder: Path) -> None:
    """Each Python block in a docstring runs by itself."""
    assert block.language == "python"
    namespace: dict[str, Any] = {"__name__": "__docstring__", "ppp": ppp}
    exec(block.compiled(), namespace)
    for thing in namespace.values():  # an example may leave that to the end of the program
        pool = thing._pool if issubclass(type(thing), ppp.Proxy) else thing
        if type(pool) is ppp.Pool:
            pool.shutdown()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_of_a_known_kind(name: str) -> None:
    """No code hides from the tests behind a wrong fence, or is too wide; `make x` on a page is a target."""
    page = DOCS / name
    text = page.read_text(encoding="utf-8")
    found = list(pages.blocks(page))
    assert len(re.findall(r"^ *```", text, flags=re.MULTILINE)) == 2 * len(found)
    for block in found:
        assert block.title or block.language in {"python", "console", *STATIC}, block.where
        assert max(map(len, block.source.splitlines())) <= WIDTH, block.where
    targets = {target for words in re.findall(r"`make ([^`]+)`", text) for target in words.split()}
    assert {target for target in targets if "=" not in target} <= TARGETS


def test_whole_programs_are_run() -> None:
    """Each program of the examples is shown on a page, under its name, and run by their tests."""
    shown = {
        taken.group(1): block.title
        for page in PAGES
        for block in pages.blocks(page)
        if (taken := pages.TAKEN.fullmatch(block.code)) is not None
    }
    programs = {f"examples/{path.name}": path.name for path in (ROOT / "docs" / "examples").glob("*.py")}
    assert shown == programs
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in programs.values() if f'"{name.removesuffix(".py")}"' not in tests] == []


@pytest.mark.parametrize(
    "block",
    [block for page in PAGES for block in pages.blocks(page) if block.language == "console"],
    ids=lambda block: block.where,
)
def test_commands_exist(block: pages.Block) -> None:
    """Each command on a page is a target of the Makefile, a file of the project, or installed here."""
    found = list(commands(block))
    assert found
    for command, _ in found:
        program, *words = shlex.split(command, comments=True)
        if program == "make":
            assert {word for word in words if "=" not in word} <= TARGETS, command
        elif program == "pip":
            wanted = [re.split(r"[^\w.-]", word)[0] for word in words[1:] if not word.startswith("-")]
            for name in set(wanted) - {ppp.__name__}:
                importlib.metadata.version(name)
        elif program.startswith(".venv/bin/"):
            assert all((ROOT / word).is_file() for word in words if word.endswith(".py")), command
        else:
            assert program in SETUP | {"python", "flask", "gunicorn", "curl", "git"}, command


def commands(block: pages.Block) -> Iterator[tuple[str, str]]:
    """Give each command of a console block, with the lines printed after it."""
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def matches(expected: str, printed: str) -> bool:
    """Compare what is printed with the page, where `…` stands for anything."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("…")))
    return re.fullmatch(pattern, printed.strip(), flags=re.DOTALL) is not None


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for_port(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until a server accepts connections."""
    limit = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < limit, "the server does not answer"
        time.sleep(0.02)  # between two attempts of a bounded poll
