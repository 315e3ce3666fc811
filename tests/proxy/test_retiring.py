"""Setting a proxy anew: the new object or function is everybody's, and the old pool retires."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Factory, Messages, Resource, Spawn, Stop, wait_for
from helpers_proxy import Conn, Keep, Scope, all_back, in_thread, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp


def test_object_set_anew() -> None:
    """An object set anew takes the old one's place for everybody, and nothing keeps the old one."""
    proxy: Any = ppp.Proxy(Conn(1))
    reference = weakref.ref(proxy._get_obj())
    proxy.set(SimpleNamespace(x=2))
    assert proxy.x == in_thread(lambda: proxy.x) == 2
    proxy.set([1])
    assert proxy == [1]
    assert not hasattr(proxy, "x")
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("new", ["object", "function", "nothing"])
def test_idle_objects_are_closed(keep: Keep, factory: Factory, new: str) -> None:
    """What is idle in the old pool is closed as the proxy is set anew, and the new setting counts."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=3, min_size=2, closer=Resource.close))
    old = proxy._pool
    if new == "object":
        assert proxy.set([1]) == [1]
        assert proxy._pool is None
    elif new == "function":
        proxy.set_fun(other := Factory())
        assert proxy._get_obj() in other.made
        assert proxy._pool is not old
    else:
        assert repr(proxy._set_obj(None)) == "<Proxy unset>"
    assert [made.closings for made in factory.made] == [1, 1]
    assert len(old._avail) == 0


def test_lent_objects_stay_their_holder_s(keep: Keep, factory: Factory, messages: Messages) -> None:
    """What is lent is not closed under its holder's hands, but when it is returned to the old pool."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, closer=Resource.close))
    mine = proxy._get_obj()
    old = proxy._pool
    proxy.set_fun(Factory())
    assert mine.alive
    assert mine in old._using
    assert proxy._get_obj() is not mine
    assert messages() == []
    old.ret(mine)
    assert (mine.closings, old._nobjs) == (1, 0)


def test_block_ends_its_lease_of_the_old_pool(keep: Keep, factory: Factory) -> None:
    """What a block holds as the proxy is set anew is closed when the block ends, and the new object stays."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, closer=Resource.close))
    with proxy._obj() as mine:
        proxy.set_fun(Factory())
        new = proxy._get_obj()
        assert mine.alive
    assert mine.closings == 1
    assert proxy._get_obj() is new
    with proxy._obj(), proxy._obj():
        proxy.set([1])
        assert new.alive
    assert not new.alive
    assert proxy == [1]


def test_lent_objects_are_else_left_to_the_collector(keep: Keep) -> None:
    """What nobody returns is left to the garbage collector, and not closed."""
    closed: list[Any] = []
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, closer=closed.append))
    reference = weakref.ref(proxy._get_obj())
    proxy.set([1])
    gc.collect()
    assert reference() is None
    assert closed == []


def test_threads_with_an_object_draw_anew(keep: Keep, factory: Factory, spawn: Spawn) -> None:
    """A thread that drew an object of the old function, or is drawing it, gets a new one afterwards."""
    other = Factory()
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, closer=Resource.close))
    drawn, go = threading.Event(), threading.Event()

    def work() -> tuple[Any, Any]:
        before = proxy._get_obj()
        drawn.set()
        wait_for(go)
        assert not proxy._has_obj()
        after = proxy._get_obj()
        proxy._ret_obj()
        return before, after

    task = spawn(work)
    wait_for(drawn)
    proxy.set_fun(other)
    go.set()
    assert task.result() == (factory.made[0], other.made[0])
    assert all_back(proxy)
    assert factory.made[0].alive


@pytest.mark.parametrize("scope", [Scope.THREAD, Scope.SHARED])
def test_draw_that_is_overtaken(keep: Keep, spawn: Spawn, scope: Any) -> None:
    """A draw that is overtaken by a setting gives an open object, or the error of the pool; none is lost."""
    stop = Stop()

    def slow(number: int) -> Conn:
        stop()
        return Conn(number)

    def work() -> None:
        with contextlib.suppress(ppp.PoolException), proxy._obj() as obj:
            assert not obj.closed

    proxy = keep(ppp.Proxy(fun=slow, scope=scope, max_size=1, min_size=0, closer=Conn.close))
    old = proxy._pool
    task = spawn(work)
    wait_for(stop.reached)
    setting = spawn(proxy.set_fun, lambda number: Conn(10 + number))
    setting.join(0.05)
    stop.go.set()
    for thread in (setting, task):
        thread.result()
    with proxy._obj() as new:
        assert new.number == 10
    if old is not None:
        assert all_back(proxy)
        assert len(old._avail) == 0
