"""The current object: drawn on demand, kept by its thread, returned, destroyed, counted."""

from __future__ import annotations

import gc
from typing import Any
from unittest import mock

import pytest
from conftest import Factory, Messages, Resource
from helpers_proxy import (  # noqa: F401
    Conn,
    Keep,
    Scope,
    all_back,
    drawn,
    held_elsewhere,
    in_thread,
    keep_fixture,
    of_each_kind,
)

import ProxyPatternPool as ppp


def test_thread_gets_and_keeps_its_object(keep: Keep, factory: Factory) -> None:
    """A thread has the same object until it returns it; two threads at once have two."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    assert not proxy._has_obj()
    mine = proxy._get_obj()
    assert proxy._get_obj() is mine
    assert proxy._has_obj()
    with held_elsewhere(proxy) as theirs:
        assert theirs is not mine
        assert proxy._get_obj() is mine
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            in_thread(proxy._get_obj, 0)
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert all_back(proxy)


def test_ended_thread_keeps_its_object(keep: Keep, factory: Factory) -> None:
    """An object drawn by a thread stays with it after the thread has ended: others meet `TimeOut`."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    assert in_thread(lambda: proxy.number) == 0
    gc.collect()
    with pytest.raises(ppp.TimeOut, match="timeout after"):
        proxy._get_obj(timeout=0.02)
    assert proxy._pool.stats()["nusing"] == 1


def test_timeouts(keep: Keep, factory: Factory) -> None:
    """The time given to `_get_obj` or `_obj` counts, otherwise the pool's; 0 doesn't wait."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=30.0))
    with held_elsewhere(proxy):
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            proxy._get_obj(timeout=0)
        with pytest.raises(ppp.TimeOut, match="timeout after"), proxy._obj(timeout=0):
            pytest.fail("nothing was free")
        proxy._pool._timeout = 0.02
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            _ = proxy.number
        assert not proxy._has_obj()
    assert proxy._get_obj(timeout=0) is factory.made[0]


def test_returning_nothing_is_no_error(keep: Keep, factory: Factory, messages: Messages) -> None:
    """`_ret_obj` and `_invalidate_obj` with nothing to give back do nothing and say nothing."""
    pooled = keep(ppp.Proxy(fun=factory, max_size=1))
    for proxy in (pooled, ppp.Proxy(), *of_each_kind([1]), *drawn([1])):
        had = proxy._has_obj()
        for _ in range(2):
            proxy._ret_obj()
            proxy._invalidate_obj()
        assert proxy._has_obj() == had
    pooled._get_obj()
    for _ in range(2):
        pooled._ret_obj()
    assert messages("WARNING") == messages("ERROR") == []
    assert all_back(pooled)


def test_invalidate(keep: Keep, factory: Factory) -> None:
    """`_invalidate_obj` destroys the object instead of returning it, with neither `retter` nor `reset`."""
    hooks: dict[str, Any] = {"closer": Resource.close, "retter": Resource.take_back, "reset": Resource.reset}
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, min_size=0, **hooks))
    broken = proxy._get_obj()
    proxy._invalidate_obj()
    assert (broken.closings, broken.rets, broken.resets) == (1, 0, 0)
    assert not proxy._has_obj()
    assert proxy._get_obj(timeout=1) is not broken
    assert proxy._pool.stats()["ninvalidated"] == 1


def test_number_of_objects(keep: Keep) -> None:
    """`_nobjs` is 1 around one object, else as of the last draw: 0 before it, then the pool's."""
    assert (ppp.Proxy([1])._nobjs, ppp.Proxy()._nobjs) == (1, 0)
    proxy = keep(ppp.Proxy(fun=Conn, max_size=3, min_size=2))
    assert (proxy._nobjs, proxy._pool._nobjs) == (0, 2)
    for number in (2, 2, 3):
        in_thread(proxy._get_obj)
        assert proxy._nobjs == proxy._pool._nobjs == number
    proxy._pool.shutdown()
    assert (proxy._nobjs, proxy._pool._nobjs) == (3, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_interrupted_return_leaves_the_thread_without(
    keep: Keep, factory: Factory, error: BaseException
) -> None:
    """A return that is interrupted, or fails, leaves the thread without an object that others may have."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=0, retter=Resource.take_back))

    def block() -> None:
        with proxy._obj():
            pass

    for end in (proxy._ret_obj, block):
        proxy._get_obj()
        factory.fails["take_back"] = error
        with pytest.raises(type(error)):
            end()
        factory.fails.clear()
        assert not proxy._has_obj()
        with held_elsewhere(proxy), pytest.raises(ppp.TimeOut, match="timeout after"):
            proxy._get_obj()
        assert all_back(proxy)
    proxy._get_obj()
    with mock.patch.object(proxy._pool, "ret", side_effect=OSError("no")), pytest.raises(OSError, match="no"):
        proxy._ret_obj()
    assert not proxy._has_obj()


def test_pool_that_was_shut_down(keep: Keep, factory: Factory, messages: Messages) -> None:
    """Giving an object back to a pool that was shut down is harmless; drawing from it is the pool's error."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, closer=Resource.close))
    proxy._get_obj()
    proxy._pool.shutdown()
    with proxy._obj():
        pass
    assert not proxy._has_obj()
    with pytest.raises(ppp.PoolException, match="Pool is shutting down"):
        proxy._get_obj()
    assert factory.alive == []
    assert messages("ERROR") == []


@pytest.mark.parametrize("scope", [Scope.THREAD, Scope.WERKZEUG])
@pytest.mark.parametrize("where", ["fun", "getter"])
def test_used_during_its_own_draw(keep: Keep, where: str, scope: Any) -> None:
    """Where `fun` or a hook uses the proxy while that draws an object, no permit is lost."""
    visits = iter([True])

    def visit(thing: Any) -> Conn:
        if next(visits, False):
            proxy.write("by a hook")
        return Conn()

    fun, getter = (visit, None) if where == "fun" else (Conn, visit)
    proxy = keep(ppp.Proxy(scope=scope, max_size=2, min_size=0, getter=getter))
    proxy.set_fun(fun)
    mine = proxy._get_obj()
    assert not next(visits, False)
    assert proxy._get_obj() is mine
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert all_back(proxy)


@pytest.mark.parametrize("use", ["attribute", "block", "return"])
def test_hook_of_a_return_uses_the_proxy(keep: Keep, use: str) -> None:
    """A `retter` that goes through the proxy finds the object that is being returned, even the only one."""

    def retter(conn: Conn) -> None:
        if use == "attribute":
            proxy.write("rollback")
        elif use == "block":
            with proxy._obj() as same:
                same.write("rollback")
        else:
            proxy._ret_obj()
            conn.write("rollback")

    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, timeout=0, retter=retter))
    conn = proxy._get_obj()
    proxy._ret_obj()
    assert conn.log == ["rollback"]
    assert not proxy._has_obj()
    assert all_back(proxy)


def test_two_end_at_once(keep: Keep) -> None:
    """However many give the object back at once, as threads may that share a context, one does."""
    returned = []

    def overtaken(conn: Conn) -> None:
        returned.append(conn)
        if len(returned) == 1:
            proxy._ret_obj()
        return_it(conn)

    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, retter=lambda conn: None))
    return_it, proxy._pool.ret = proxy._pool.ret, overtaken
    conn = proxy._get_obj()
    proxy._ret_obj()
    assert returned == [conn]
    assert all_back(proxy)


def test_pool_s_get_and_ret_are_called(keep: Keep) -> None:
    """A proxy draws by its pool's `get(timeout=…)` and returns by its `ret`, whoever has patched them."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1))
    pool = proxy._pool

    def block() -> None:
        with proxy._obj(0.25):
            pass

    def use() -> None:
        proxy.write("x")
        proxy._ret_obj()

    for draw, timeout in ((use, None), (block, 0.25)):
        with (
            mock.patch.object(pool, "get", wraps=pool.get) as get,
            mock.patch.object(pool, "ret", wraps=pool.ret) as ret,
        ):
            draw()
        get.assert_called_once_with(timeout=timeout)
        ret.assert_called_once_with(next(iter(pool._avail)))


def test_pool_replaced_by_a_stub(keep: Keep) -> None:
    """A test may put a stub with `get` and `ret` in the pool's place."""
    proxy = keep(ppp.Proxy(fun=Conn))
    proxy._pool.shutdown()
    proxy._pool = stub = mock.Mock(spec=["get", "ret", "shutdown", "_nobjs"], _nobjs=3)
    stub.get.return_value = "fake"
    assert (proxy.upper(), proxy._has_obj(), proxy._nobjs) == ("FAKE", True, 3)
    proxy._ret_obj()
    with proxy._obj() as obj:
        assert obj == "fake"
    assert not proxy._has_obj()
    assert stub.ret.mock_calls == [mock.call("fake")] * 2
