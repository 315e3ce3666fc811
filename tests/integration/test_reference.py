"""The reference says the truth: what is public is described, and nothing else; what pages name exists."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "pages"
MODULE = Path(ppp.__file__)
TREE = ast.parse(MODULE.read_text(encoding="utf-8"))
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [path.relative_to(DOCS).as_posix() for path in PAGES]
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")


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
PROXY_METHODS = "_set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj".split()
PROXY_ATTRIBUTES = {"_pool", "_fun", "_scope", "_local", "_pool_max_size", "_pool_kwargs", "_nobjs"}
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
    """The reference has every public name of the module and no other, and each exception's parents."""
    exceptions = rows(section("Exceptions"))
    described = {*exceptions, *rows(section("Types of functions")), "Pool", "Proxy"}
    assert described == set(ppp.__all__) - {"__version__", "log"}
    for title in ("Pool", "Proxy"):
        assert f"::: ProxyPatternPool.{title}\n" in section(title)
    for name in exceptions:
        parents = ", ".join(f"`{parent.__name__}`" for parent in getattr(ppp, name).__bases__)
        assert f"| `{name}` | {parents} |" in section("Exceptions")


def test_members_are_described() -> None:
    """The reference shows each public method of a pool, and each method, attribute and scope of a proxy."""
    assert set(members("Pool")) == {*POOL_METHODS, "__delete__"}
    assert sorted(members("Proxy")) == sorted(PROXY_METHODS)
    assert set(rows(section("Proxy"))) == PROXY_ATTRIBUTES | set(ppp.Proxy.Scope.__members__)


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


def test_underscore_names_exist() -> None:
    """Each underscore name that the reference promises is there."""
    described = rows(section("Names with an underscore"))
    assert len(described) > 60
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
        if not isinstance(node, ast.Call) or not node.args:
            continue
        text = pattern(node.args[0])
        called = node.func
        if text is None:
            continue
        if isinstance(called, ast.Name) and isinstance(getattr(ppp, called.id, None), type):
            if issubclass(getattr(ppp, called.id), ppp.PPPException):
                yield called.id, text
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            if called.value.id == "log" and called.attr in ("debug", "info", "warning", "error"):
                yield called.attr, text
            elif called.value.id == "warnings":
                yield ast.unparse(node.args[1]), text


MESSAGES = sorted(set(source_messages()))
OBSERVED = {"error", "warning", "info", "ResourceWarning", "TimeOut", "TooManyRequests"}


def described_messages() -> list[tuple[str, str]]:
    """Give each message of the reference: what it is logged at or raised as, and an example of its text."""
    return re.findall(r"^\| `([^|`]+)` \| `([^|`]+)` \|", section("Messages"), flags=re.MULTILINE)


def matches(pattern: str, text: str) -> bool:
    """Tell whether a text of the reference, which leaves the pool's name out, is of a pattern."""
    return any(re.fullmatch(pattern, whole) for whole in (text, f"pool 'db': {text}"))


@pytest.mark.parametrize(("kind", "pattern"), [message for message in MESSAGES if message[0] in OBSERVED])
def test_message_is_described(kind: str, pattern: str) -> None:
    """The reference has an example of each message that operators of a program see."""
    assert any(described == kind and matches(pattern, text) for described, text in described_messages())


def test_described_messages_exist() -> None:
    """Each message of the reference is one of the library's."""
    described = described_messages()
    assert len(described) > 20
    for kind, text in described:
        assert any(kind == exists and matches(pattern, text) for exists, pattern in MESSAGES), text


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
            assert attribute in {*PROXY_METHODS, *PROXY_ATTRIBUTES, *dir(ppp.Proxy)}, code


def test_each_difference_is_listed() -> None:
    """The page of differences has each point of the contract once, in order."""
    text = (DOCS / "differences.md").read_text(encoding="utf-8")
    points = re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)
    assert points == [str(number) for number in range(1, 26)]


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_named_tests_exist(path: Path) -> None:
    """Each test, or file of tests, that a page names exists."""
    text = path.read_text(encoding="utf-8")
    files = {file.name: file for file in (ROOT / "tests").rglob("*.py")}
    for name, test in re.findall(r"\b(test_\w+\.py)(?:::(\w+))?", text):
        if any(block.title == name for block in pages.blocks(path)):  # the reader's own
            continue
        assert name in files, name
        assert re.search(rf"^ *(?:async )?(?:def|class) {test}", files[name].read_text(), re.M), test


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
