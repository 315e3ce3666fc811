"""`reclaim=True`: the object of a thread, greenlet or task that ends goes back to the pool by itself."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from typing import Any

import pytest
from conftest import Factory, Keep, Resource
from helpers import eventually, numbers, run_all, start
from helpers_proxy import SCOPES, Conn, Scope, all_back, in_thread, use

import ProxyPatternPool as ppp


@pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
@pytest.mark.parametrize("fails", [False, True], ids=["returning", "raising"])
@pytest.mark.parametrize("scope", SCOPES)
def test_object_of_an_ended_thread(keep: Keep, scope: Any, fails: bool, kept: bool) -> None:
    """The object of a thread comes back when that ends, by an error too, though its `Thread` is kept."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=scope, max_size=1, timeout=20.0, reclaim=True))

    def work() -> Any:
        conn = proxy._get_obj()
        return 1 / 0 if fails else conn

    for _ in range(5):
        task = start(work)
        task.join(5)
        if not kept:
            del task
            gc.collect()
        # eventlet's local lets go of the last greenlet when another one looks
        eventually(lambda: not proxy._has_obj() and all_back(proxy))
    assert numbers(proxy._pool, "ncreated ntimeouts") == [1, 0]


def test_returned_once_only(keep: Keep, factory: Factory) -> None:
    """What a block of a thread gave back, before or after the thread's end, is not given back once more."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=20.0, reclaim=True, retter=Resource.take_back))
    in_thread(use, proxy)
    block = proxy._obj()
    in_thread(block.__enter__)
    block.__exit__(None, None, None)
    mine = proxy._get_obj()
    gc.collect()
    assert (mine.rets, list(proxy._pool._using)) == (2, [mine])


def test_harmless_without_a_pool() -> None:
    """`reclaim` is the proxy's own parameter, and harmless without a pool."""
    for proxy in (ppp.Proxy([1], reclaim=True), ppp.Proxy(fun=lambda _: [1], max_size=None, reclaim=True)):
        assert proxy._pool_kwargs == {}
        assert in_thread(lambda proxy=proxy: proxy == [1])


def test_many_short_threads(keep: Keep) -> None:
    """Hundreds of threads that never give back share four objects: no timeout, and nothing piles up."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=4, timeout=20.0, reclaim=True))

    def things_after(count: int) -> int:
        for _ in range(count):
            run_all(*[lambda: proxy.write("x")] * 8)
        gc.collect()
        return sum(type(thing).__module__ == "ProxyPatternPool" for thing in gc.get_objects())

    assert things_after(10) > things_after(50) - 50
    assert numbers(proxy._pool, "nuses ntimeouts") == [480, 0]


@pytest.mark.parametrize("fails", [False, True], ids=["returning", "raising"])
def test_objects_of_ended_tasks(keep: Keep, fails: bool) -> None:
    """The object of a task comes back when the task ends, also by an exception, and not before."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=Scope.WERKZEUG, max_size=4, timeout=20.0, reclaim=True))

    async def job() -> None:
        proxy.write("x")
        await asyncio.sleep(0)
        gc.collect()
        assert len(proxy._pool._using) == 4
        if fails:
            raise ValueError("no")

    async def main() -> None:
        for _ in range(2):
            await asyncio.gather(*[job() for _ in range(4)], return_exceptions=True)

    asyncio.run(main())
    eventually(lambda: gc.collect() >= 0 and all_back(proxy))
    assert numbers(proxy._pool, "nuses ntimeouts") == [8, 0]


@pytest.mark.parametrize("scope", SCOPES)
def test_abandoned_proxy(scope: Any) -> None:
    """A proxy without references goes with its pool and what its thread or context, which lives on, holds."""
    closed: list[Any] = []
    proxy: Any = ppp.Proxy(fun=Conn, scope=scope, max_size=1, reclaim=True, closer=closed.append)
    proxy._get_obj()
    pool = weakref.ref(proxy._pool)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del proxy
        eventually(lambda: gc.collect() >= 0 and pool() is None)
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert len(closed) == 1
