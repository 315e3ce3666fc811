"""The reference says the truth: what is public is described, and nothing else."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import product

import pytest
from pages import SOURCE, TEXTS

import ProxyPatternPool as ppp

PARTS = re.split(r"^## (.+)\n", TEXTS["reference.md"], flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
POOL_METHODS = [name for name, it in vars(ppp.Pool).items() if inspect.isfunction(it) and name[0] != "_"]
PROXY_METHODS = "_set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj".split()
PROXY_ATTRIBUTES = {"_pool", "_fun", "_scope", "_local", "_pool_max_size", "_pool_kwargs", "_nobjs"}
METHODS = [f"Pool.{name}" for name in POOL_METHODS] + [f"Proxy.{name}" for name in PROXY_METHODS]


def rows(title: str, part: int | None = None) -> list[str]:
    """Give the names in the first column of the tables of a section, or of one of its parts."""
    text = SECTIONS[title] if part is None else SECTIONS[title].split("### ")[part]
    cells = re.findall(r"^\| (`[^|]+?) \|", text, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def members(title: str) -> list[str]:
    """Give the names that a section takes from the module."""
    assert f"::: ProxyPatternPool.{title}\n" in SECTIONS[title]
    return re.findall(r"^ +- (\w+)$", SECTIONS[title], flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["Pool", "Proxy", *METHODS])
def test_parameters_are_described(name: str) -> None:
    """The docstring, from which the reference is made, describes each parameter, in order, and no other."""
    kind, _, method = name.partition(".")
    owner = getattr(ppp, kind)
    documented, function = (vars(owner)[method],) * 2 if method else (owner, owner.__init__)
    found = re.search(r"^Args:\n(.*?)(?=^\w|\Z)", inspect.getdoc(documented) or "", re.MULTILINE | re.DOTALL)
    described = re.findall(r"^    \**(\w+):", found.group(1), flags=re.MULTILINE) if found else []
    assert described == [name for name in inspect.signature(function).parameters if name != "self"]


def test_names_are_described() -> None:
    """The reference has each public name, method, scope, statistic and environment variable, and no other."""
    pool = ppp.Pool(lambda number: number, max_size=1, tracer=str)
    with pool.obj():
        stats = pool.stats()
    pool.shutdown()
    exceptions = rows("Exceptions")
    names = {*exceptions, *rows("Types of functions"), "Pool", "Proxy"}
    assert names == set(ppp.__all__) - {"__version__", "log"}
    for name in exceptions:
        parents = ", ".join(f"`{parent.__name__}`" for parent in getattr(ppp, name).__bases__)
        assert f"| `{name}` | {parents} |" in SECTIONS["Exceptions"]
    assert sorted(members("Pool")) == sorted([*POOL_METHODS, "__delete__"])
    assert sorted(members("Proxy")) == sorted(PROXY_METHODS)
    assert set(rows("Proxy")) == PROXY_ATTRIBUTES | set(ppp.Proxy.Scope.__members__)
    assert sorted(rows("Statistics", 0)) == sorted(stats)
    assert set(rows("Statistics", 1)) == {*stats["using"][0], "stats", "str", "error"}
    assert set(stats["using"][0]) < set(rows("Statistics", 1))
    assert set(rows("Environment")) == set(re.findall(r"environ\.get\(\"(\w+)\"", SOURCE))
    underscored = rows("Names with an underscore")
    assert len(underscored) > 60
    assert [name for name in underscored if not hasattr(pool, name.partition("(")[0])] == []


def messages() -> set[tuple[str, str]]:
    """Give each message of the module: what it is logged at or raised as, and a pattern of its text."""
    found = set()
    errors = {name for name, it in vars(ppp).items() if isinstance(it, type) and issubclass(it, Exception)}
    for node in [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Call) and node.args]:
        kind, text = ast.unparse(node.func), node.args[0]
        if kind.endswith("._tell_"):  # which puts the pool's name before the text
            kind, text = ast.unparse(text), node.args[1]
        elif kind.startswith("warnings."):
            kind = ast.unparse(node.args[1])
        if kind in errors or re.fullmatch(r"log\.(debug|info|warning|error)|\w+Warning", kind):
            pattern = ""
            for part in text.values if isinstance(text, ast.JoinedStr) else [text]:
                constant = str(part.value) if isinstance(part, ast.Constant) else "%s"
                pattern += ".+".join(map(re.escape, re.split(r"%(?:\.\d)?[sdrf]", constant)))
            found.add((kind.removeprefix("log."), pattern))
    return found


def test_messages_are_described() -> None:
    """The reference has an example of each message that operators of a program see, and no other."""
    described = re.findall(r"^\| `([^|`]+)` \| `([^|`]+)` \|", SECTIONS["Messages"], flags=re.MULTILINE)
    assert len(described) > 20
    shown = {
        (known, example)
        for known, example in product(messages(), described)  # which leave the pool's name out
        if known[0] == example[0] and re.fullmatch(f"(?:pool 'db': )?{known[1]}", f"pool 'db': {example[1]}")
    }
    assert set(described) == {example for _, example in shown}
    observed = {"error", "warning", "info", "ResourceWarning", "TimeOut", "TooManyRequests"}
    assert {it for it in messages() if it[0] in observed} <= {known for known, _ in shown}
