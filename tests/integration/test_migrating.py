"""Each row of the page "Migrating" is true: it names what still differs from version 11, and is tried."""

from __future__ import annotations

import copy
import gc
import re
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Messages, run_all

import ProxyPatternPool as ppp

PAGE = Path(__file__).parents[2] / "docs" / "pages" / "migrating.md"

ROWS = {
    "passes `timeout=0` for the default": """
        pool = Pool(object_of, max_size=1, timeout=None)
        pool.get()
        with raises(ppp.TimeOut, match="sem timeout after"):
            pool.get(0)
        """,
    "passes a negative number, or `health_freq=0`": """
        for parameters in ({"timeout": -1.0}, {"max_size": -1}, {"health_freq": 0}):
            with raises(ppp.PoolException, match=next(iter(parameters))):
                Pool(object_of, **parameters)
        """,
    "passes an `async def` hook": """
        async def health(thing):
            return True

        with raises(ppp.PoolException, match="health"):
            Pool(object_of, health=health)
        """,
    "acquires or releases `_sem`": """
        pool = Pool(object_of, max_size=2)
        assert (pool._sem._value, pool._sem._initial_value) == (2, 2)
        assert not hasattr(pool._sem, "acquire")
        """,
    "relies on one hook at a time": """
        together = threading.Barrier(2)
        pool = Pool(lambda number: together.wait(5.0) + 1, max_size=2, min_size=0)
        run_all(pool.get, pool.get)
        """,
    'has a health hook that raises for "I don\'t know"': """
        pool = Pool(object_of, min_size=0, health=lambda thing: 1 / 0, delay=3600.0)
        pool.ret(pool.get())
        pool._health_check()
        assert (pool.stats()["nobjs"], pool.stats()["hc_errors"]) == (0, 1)
        """,
    "returns an object twice to run `retter`": """
        returned = []
        pool = Pool(object_of, retter=returned.append)
        thing = pool.get()
        pool.ret(thing)
        pool.ret(thing)
        assert returned == [thing]
        assert "unexpected object returned" in messages()[0]
        """,
    "has a `fun` that returns the same object again": """
        pool = Pool(lambda number: len)
        pool.get()
        with raises(ppp.PoolException):
            pool.get()
        """,
    "relies on the order of idle objects": """
        pool = Pool(object_of)
        first, second = pool.get(), pool.get()
        pool.ret(first)
        pool.ret(second)
        assert pool.get() is second
        """,
    "forgets pools": """
        pool = ppp.Pool(object_of)
        pool.ret(pool.get())
        with pytest.warns(ResourceWarning):
            del pool
            gc.collect()
        """,
    "compares whole messages": """
        Pool(object_of, name="db").ret(object())
        assert messages()[0].startswith("pool 'db': unexpected object returned")
        """,
    "tests `type(proxy) is Proxy`": """
        assert type(ppp.Proxy([1])) is not ppp.Proxy
        assert isinstance(ppp.Proxy([1]), ppp.Proxy)
        """,
    "asks `callable(proxy)` before its first object": """
        proxy = ppp.Proxy(fun=object_of, max_size=None)
        assert callable(proxy)
        proxy._get_obj()
        assert not callable(proxy)
        assert not callable(ppp.Proxy(fun=list, max_size=None))
        """,
    "assigns an attribute that the object has": """
        class Connection:
            autocommit = False

        connection = Connection()
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
        proxy = ppp.Proxy(fun=object_of, max_size=1)
        pools.append(proxy._pool)
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


def listed() -> list[str]:
    """Give the first cell of each row of the page's table."""
    table = PAGE.read_text(encoding="utf-8").partition("## Steps")[0]
    return re.findall(r"^\| ((?!---|your program).*?) \| ", table, flags=re.MULTILINE)


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str, messages: Messages) -> None:
    """What the page says that a program of version 11 notices is so."""
    pools: list[ppp.Pool[Any]] = []

    def pool(*args: Any, **kwargs: Any) -> ppp.Pool[Any]:
        pools.append(ppp.Pool(*args, **kwargs))
        return pools[-1]

    names = {
        **{module.__name__: module for module in (copy, gc, pytest, threading)},
        "ppp": ppp,
        "Pool": pool,
        "pools": pools,
        "object_of": lambda number: {number},
        "raises": pytest.raises,
        "run_all": run_all,
        "messages": messages,
    }
    exec(textwrap.dedent(ROWS[row]), names)
    for used in pools:
        used.shutdown()


def test_every_row_is_listed() -> None:
    """The page names each difference that is tried here, and no other."""
    assert listed() == list(ROWS)
