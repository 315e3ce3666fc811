"""The current object: drawn on demand, from a pool or without one, kept by its thread, returned, counted."""

from __future__ import annotations

import gc
import threading
from typing import Any
from unittest import mock

import pytest
from conftest import Factory, Keep, Messages, Resource, Spawn
from helpers import SECONDS, Gate, run_all
from helpers_proxy import SCOPES, Conn, Scope, all_back, drawn, held_elsewhere, in_thread, of_each_kind, use

import ProxyPatternPool as ppp


@pytest.mark.parametrize("scope", SCOPES)
def test_thread_gets_and_keeps_its_object(keep: Keep, factory: Factory, scope: Any) -> None:
    """A thread has the same object until it returns it, also if it has ended; two at once have two."""
    proxy = keep(ppp.Proxy(fun=factory, scope=scope, max_size=2, timeout=30.0))
    mine = proxy._get_obj()
    assert proxy._has_obj()
    with held_elsewhere(proxy) as theirs:
        assert theirs is not mine
        assert proxy._get_obj() is mine
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert all_back(proxy)
    assert {in_thread(proxy._get_obj) for _ in range(2)} == {mine, theirs}
    gc.collect()
    for timeout in (0, None):  # the time given counts, otherwise the pool's
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            proxy._get_obj(timeout)
        proxy._pool._timeout = 0.02
    assert not proxy._has_obj()


def test_returning_nothing_is_no_error(keep: Keep, factory: Factory, messages: Messages) -> None:
    """`_ret_obj` and `_invalidate_obj` with nothing to give back do nothing and say nothing."""
    pooled = keep(ppp.Proxy(fun=factory, max_size=1))
    use(pooled)
    for proxy in (pooled, ppp.Proxy(), *of_each_kind([1]), *drawn([1])):
        had = proxy._has_obj()
        proxy._ret_obj()
        proxy._invalidate_obj()
        assert proxy._has_obj() == had
    assert messages("WARNING") == messages("ERROR") == []
    assert all_back(pooled)


def test_invalidate(keep: Keep, factory: Factory, messages: Messages) -> None:
    """`_invalidate_obj` destroys the object instead of returning it, with neither `retter` nor `reset`."""
    hooks: dict[str, Any] = {"closer": Resource.close, "retter": Resource.take_back, "reset": Resource.reset}
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, min_size=0, **hooks))
    broken = proxy._get_obj()
    proxy._invalidate_obj()
    assert factory.calls == [("close", broken)]
    assert not proxy._has_obj()
    assert proxy._get_obj(timeout=1) is not broken
    proxy._pool.invalidate(proxy._get_obj())
    proxy._ret_obj()
    assert (proxy._has_obj(), proxy._pool.stats()["ninvalidated"]) == (False, 2)
    assert messages() == []


def test_number_of_objects(keep: Keep) -> None:
    """`_nobjs` is as of the last draw: 0 before it, then the pool's."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=3, min_size=2))
    numbers = [proxy._nobjs]
    for _ in range(3):
        in_thread(proxy._get_obj)
        numbers.append(proxy._nobjs)
    assert numbers == [0, 2, 2, 3]
    proxy._pool.shutdown()
    assert (proxy._nobjs, proxy._pool._nobjs) == (3, 0)


def test_pool_that_was_shut_down(keep: Keep, factory: Factory, messages: Messages) -> None:
    """Giving an object back to a pool that was shut down is harmless; drawing another one is an error."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, closer=Resource.close))
    proxy._get_obj()
    proxy._pool.shutdown()
    proxy._ret_obj()
    assert not proxy._has_obj()
    with pytest.raises(ppp.PoolException, match="Pool is shutting down"):
        proxy._get_obj()
    assert (factory.alive, messages("ERROR")) == ([], [])


@pytest.mark.parametrize("hook", ["retter", "reset"])
@pytest.mark.parametrize("how", ["proxy.write('')", "use(proxy)", "proxy._ret_obj()"])
def test_hook_of_a_return_uses_the_proxy(keep: Keep, how: str, hook: str) -> None:
    """A hook of a return that goes through the proxy finds the object that is being returned."""
    returned = []

    def roll_back(conn: Conn) -> None:
        returned.append(conn)
        eval(how, {**globals(), "proxy": proxy})

    hooks: dict[str, Any] = {hook: roll_back}
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, timeout=0, **hooks))
    conn = proxy._get_obj()
    proxy._ret_obj()
    assert (returned, conn.log, proxy._has_obj()) == ([conn], [""] * ("write" in how), False)
    assert all_back(proxy)


def test_two_end_at_once(keep: Keep) -> None:
    """However many give the object back at once, as threads may that share a context, one does."""
    returned = []

    def overtaken(conn: Conn) -> None:
        returned.append(conn)
        proxy._ret_obj()
        return_it(conn)

    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, retter=lambda conn: None))
    return_it, proxy._pool.ret = proxy._pool.ret, overtaken
    use(proxy)
    assert len(returned) == 1
    assert all_back(proxy)


@pytest.mark.parametrize("spec", [["get", "ret", "_nobjs"], ppp.Pool, None])
def test_pool_replaced_by_a_stub(spec: Any) -> None:
    """A proxy draws by its pool's `get(timeout=…)` and returns by its `ret`, also those of a test's stub."""
    proxy: Any = ppp.Proxy(fun=Conn, min_size=0)
    proxy._pool = stub = mock.MagicMock(spec=spec, _nobjs=3)
    stub.get.return_value = "fake"
    proxy.kept = 1
    assert (proxy.upper(), proxy._has_obj(), proxy._nobjs, proxy.kept) == ("FAKE", True, 3, 1)
    proxy._ret_obj()
    with proxy._obj(0.25) as obj:
        assert obj == "fake"
    assert stub.get.mock_calls == [mock.call(timeout=None), mock.call(timeout=0.25)]
    assert stub.ret.mock_calls == [mock.call("fake")] * 2
    stub.ret.side_effect = OSError("no")
    with pytest.raises(OSError, match="no"), proxy._obj():
        pass
    assert not proxy._has_obj()
    assert proxy._set_obj("real") == "real"


# without a pool


@pytest.mark.parametrize("scope", SCOPES)
def test_each_thread_makes_and_keeps_one(scope: Any) -> None:
    """Without a pool each thread makes and keeps its object; those who make one at once get 0, 1, 2…"""
    barrier = threading.Barrier(16)
    proxy: Any = ppp.Proxy(fun=lambda number: [number, barrier.wait(5)], scope=scope, max_size=None)
    assert (proxy._pool, proxy._nobjs, proxy._has_obj()) == (None, 0, False)

    def number_of_what_is_kept() -> int:
        mine = proxy._get_obj()
        proxy._ret_obj()
        proxy._invalidate_obj()
        assert proxy._get_obj() is mine
        return proxy[0]  # type: ignore[no-any-return]

    assert sorted(run_all(*[number_of_what_is_kept] * 16)) == list(range(16))
    assert proxy._nobjs == 16


def test_numbers_begin_anew() -> None:
    """A new function is called with 0, 1, 2…, though the former one still makes an object."""

    def slow(number: int) -> list[int]:
        proxy._set_fun(lambda number: [number + 10])
        raise OSError(number)

    proxy: Any = ppp.Proxy(fun=slow, max_size=None)
    with pytest.raises(OSError, match="0"):
        proxy._get_obj()
    assert (proxy._get_obj(), in_thread(proxy._get_obj), proxy._nobjs) == ([10], [11], 2)


def test_shared_function_makes_one(factory: Factory, spawn: Spawn) -> None:
    """With scope SHARED, threads that come together wait for one object, made once, without a pool."""
    stop = Gate(shut=True)
    proxy: Any = ppp.Proxy(fun=stop.maker(factory), scope=Scope.SHARED)
    assert (proxy._has_obj(), proxy._nobjs, proxy._pool) == (False, 0, None)
    tasks = [spawn(proxy._get_obj) for _ in range(8)]
    assert stop.reached.wait(SECONDS)
    assert not stop.go.wait(0.05)
    assert all(task.is_alive() for task in tasks)
    stop.go.set()
    assert [task.result() for task in tasks] == factory.made * 8
    assert (factory.numbers, proxy._nobjs) == ([0], 1)


def test_shared_object_that_needs_itself() -> None:
    """A function that uses the proxy for which it makes the shared object is told so."""
    proxy: Any = ppp.Proxy(fun=lambda number: proxy._get_obj(), scope=Scope.SHARED)
    with pytest.raises(ppp.ProxyException, match="needed to make it"):
        proxy._get_obj()
    proxy._set_fun(lambda number: [number])
    assert proxy == [0]
