"""Each row of the page "Migrating" is true: it names what still differs from version 11, and is tried."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pages
import pytest
from conftest import Keep, MakePool, Messages

SETUP = """
import copy, gc, threading
import pytest
from helpers import run_all
from pytest import raises
import ProxyPatternPool as ppp
"""
ROWS = {
    "passes `timeout=0` for the default": """
        pool = make_pool(thing, max_size=1, timeout=None)
        pool.get()
        with raises(ppp.TimeOut, match="sem timeout after"):
            pool.get(0)
        """,
    "passes a negative number, or `health_freq=0`": """
        for parameters in ({"timeout": -1.0}, {"max_size": -1}, {"health_freq": 0}):
            with raises(ppp.PoolException, match=next(iter(parameters))):
                ppp.Pool(thing, **parameters)
        """,
    "passes an `async def` hook": """
        async def health(thing):
            return True
        with raises(ppp.PoolException, match="health"):
            ppp.Pool(thing, health=health)
        """,
    "acquires or releases `_sem`": """
        pool = make_pool(thing, max_size=2)
        assert (pool._sem._value, pool._sem._initial_value) == (2, 2)
        assert not hasattr(pool._sem, "acquire")
        """,
    "relies on one hook at a time": """
        together = threading.Barrier(2)
        pool = make_pool(lambda number: together.wait(5.0) + 1, max_size=2, min_size=0)
        run_all(pool.get, pool.get)
        """,
    'has a health hook that raises for "I don\'t know"': """
        pool = make_pool(thing, min_size=0, health=lambda thing: 1 / 0, delay=3600.0)
        pool.ret(pool.get())
        pool._health_check()
        assert (pool.stats()["nobjs"], pool.stats()["hc_errors"]) == (0, 1)
        """,
    "returns an object twice to run `retter`": """
        returned = []
        pool = make_pool(thing, retter=returned.append)
        obj = pool.get()
        pool.ret(obj)
        pool.ret(obj)
        assert returned == [obj]
        assert "unexpected object returned" in messages()[0]
        """,
    "has a `fun` that returns the same object again": """
        pool = make_pool(lambda number: len)
        pool.get()
        with raises(ppp.PoolException):
            pool.get()
        """,
    "relies on the order of idle objects": """
        pool = make_pool(thing)
        first, second = pool.get(), pool.get()
        pool.ret(first)
        pool.ret(second)
        assert pool.get() is second
        """,
    "forgets pools": """
        pool = ppp.Pool(thing)
        pool.ret(pool.get())
        with pytest.warns(ResourceWarning):
            del pool
            gc.collect()
        """,
    "compares whole messages": """
        make_pool(thing, name="db").ret(object())
        assert messages()[0].startswith("pool 'db': unexpected object returned")
        """,
    "tests `type(proxy) is Proxy`": """
        proxy = ppp.Proxy([1])
        assert type(proxy) is not ppp.Proxy and isinstance(proxy, ppp.Proxy)
        """,
    "asks `callable(proxy)` before its first object": """
        proxy = ppp.Proxy(fun=thing, max_size=None)
        assert callable(proxy)
        proxy._get_obj()
        assert not callable(proxy)
        assert not callable(ppp.Proxy(fun=list, max_size=None))
        """,
    "assigns an attribute that the object has": """
        connection = type("Connection", (), {"autocommit": False})()
        proxy = ppp.Proxy(connection)
        proxy.autocommit = True
        proxy.note = "kept by the proxy"
        assert vars(connection) == {"autocommit": True}
        """,
    "tests whether an unset proxy is true": """
        assert not ppp.Proxy()
        """,
    "catches `AttributeError` from `fun` through a proxy": """
        proxy = ppp.Proxy(fun=lambda number: number.dsn, max_size=None)
        with raises(ppp.ProxyException) as raised:
            proxy.execute()
        assert isinstance(raised.value.__cause__, AttributeError)
        assert not isinstance(raised.value, AttributeError)
        """,
    "nests `with proxy._obj()`": """
        proxy = keep(ppp.Proxy(fun=thing, max_size=1))
        with proxy._obj() as outer:
            with proxy._obj() as inner:
                assert inner is outer
            assert proxy._pool.stats()["nusing"] == 1
        assert proxy._pool.stats()["nusing"] == 0
        """,
    "copies a proxy": """
        proxy = ppp.Proxy([1])
        assert copy.copy(proxy) is copy.deepcopy(proxy) is proxy
        """,
}


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str, make_pool: MakePool, keep: Keep, messages: Messages) -> None:
    """What the page says that a program of version 11 notices is so."""

    def thing(number: int) -> Any:
        return {number}

    exec(SETUP + textwrap.dedent(ROWS[row]), locals())


def test_every_row_is_listed() -> None:
    """The page names each difference that is tried here, and no other."""
    text = (pages.DOCS / "pages" / "migrating.md").read_text(encoding="utf-8")
    table = text.partition("## Steps")[0]
    assert re.findall(r"^\| ((?!---|your program).*?) \| ", table, flags=re.MULTILINE) == list(ROWS)
