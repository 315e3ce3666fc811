"""The page "Migrating" lists what programs of version 11 notice; points of the contract show each of it."""

from __future__ import annotations

import re

import pages
from conftest import MakePool, Messages

import ProxyPatternPool as ppp

ROWS = {
    "passes `timeout=0` for the default": "5.5",
    "passes a negative number, or `health_freq=0`": "5.5",
    "passes an `async def` hook": "5.5",
    "acquires or releases `_sem`": "2.24",
    "relies on one hook at a time": "5.2",
    'has a health hook that raises for "I don\'t know"': "5.11",
    "returns an object twice to run `retter`": "5.12",
    "has a `fun` that returns the same object again": "5.10",
    "relies on the order of idle objects": "5.13",
    "forgets pools": "5.7",
    "compares whole messages": "2.10",
    "tests `type(proxy) is Proxy`": "5.19",
    "asks `callable(proxy)` before its first object": "5.19",
    "assigns an attribute that the object has": "4.1",
    "tests whether an unset proxy is true": "5.21",
    "catches `AttributeError` from `fun` through a proxy": "5.21",
    "nests `with proxy._obj()`": "5.17",
    "copies a proxy": "5.25",
}
"""What differs, and the row of `tests/README.md` that names the tests of it."""


def test_every_row_is_shown() -> None:
    """The page names each difference that has a point here, and no other."""
    table = pages.TEXTS["migrating.md"].partition("## Steps")[0]
    assert re.findall(r"^\| ((?!---|your program).*?) \| ", table, flags=re.MULTILINE) == list(ROWS)
    shown = (pages.ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    assert [point for point in ROWS.values() if f"\n| {point} | " not in shown] == []


def test_what_no_other_test_shows(make_pool: MakePool, messages: Messages) -> None:
    """Permits cannot be taken by hand, messages begin with the pool's name, a proxy has its own class."""
    pool = make_pool(max_size=1, name="db")
    assert not hasattr(pool._sem, "acquire")
    pool.ret(object())
    assert messages()[0].startswith("pool 'db': unexpected object returned")
    assert type(ppp.Proxy([1])) is not ppp.Proxy
