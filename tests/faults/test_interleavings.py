"""Races, one by one: a hook, or the lock, holds a thread at the point, while another one acts."""

from __future__ import annotations

import _thread
import contextvars
import functools
import gc
import sys
import threading
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, Keep, MakePool, Messages, Resource, Spawn
from helpers import HOUR, Gate, Task, waiting
from helpers_faults import PATIENCE, Visit, check_balance, running_threads, struck
from helpers_proxy import in_thread

import ProxyPatternPool as ppp


@pytest.mark.parametrize("hook", ["retter", "reset"])
def test_return_meets_kill(make_pool: MakePool, factory: Factory, clock: Clock, hook: str) -> None:
    """A round that comes while an object is being returned does not kill it under its hooks."""
    gate, alive = Gate(), list[bool]()

    def busy(resource: Resource) -> None:
        gate()
        alive.append(resource.alive)

    pool = make_pool(max_size=2, min_size=0, max_using_delay_kill=10.0, delay=HOUR, **{hook: busy})
    pool.get()  # which is killed
    with gate.holds(pool.ret, pool.get()):
        clock.advance(11)
        pool._hkRound()
        pool._empty()
    assert alive == [True]
    check_balance(pool, factory)


@pytest.mark.parametrize("deed", ["ret", "shutdown"])
def test_turn_that_comes_as_the_time_is_over(
    make_pool: MakePool, factory: Factory, spawn: Spawn, deed: str
) -> None:
    """Who is served before it can leave the queue, though its time is over, takes it, or hears of the end."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get, timeout=0.02)
    waiting(pool, 1)
    with pool._lock:
        waiter.join(0.2)
        pool.ret(lent) if deed == "ret" else pool.shutdown()
    with nullcontext() if deed == "ret" else pytest.raises(ppp.PoolException):
        pool.ret(waiter.result())
    check_balance(pool, factory)


@struck
@pytest.mark.parametrize("where", [(_thread, "start_new_thread"), (threading, "Thread")])
def test_housekeeper_is_started_once(visit: Visit, factory: Factory, messages: Messages, where: Any) -> None:
    """Of two creations that would start a housekeeper, which could not be started before, one does."""
    with mock.patch.object(*where, side_effect=RuntimeError("no more threads")):
        pool = ppp.Pool(factory, 2, 0, delay=HOUR, closer=Resource.close)
    assert pool._housekeeper is None
    assert any("no housekeeper: no more threads" in text for text in messages("ERROR"))
    threads, held = running_threads(), []
    visit.deed = lambda: held.append(pool.get())
    visit(lambda: held.append(pool.get()))
    assert running_threads() == threads + 1
    for resource in held:
        pool.ret(resource)
    pool.shutdown(delay=PATIENCE)


@struck
def test_two_classes_at_once(visit: Visit, spawn: Spawn) -> None:
    """A proxy that draws objects of two classes at the same time has the special methods of both."""

    class Called:
        def __call__(self) -> None: ...

    proxy: Any = ppp.Proxy(fun=lambda number: ([], Called())[number], max_size=None)
    others: list[Task] = []

    def overtake() -> None:
        others.append(spawn(proxy._get_obj))
        others[0].join(0.002)  # it may have to wait for us

    visit.deed = overtake
    visit(proxy._get_obj)
    for other in others:
        other.result()
        assert (callable(proxy), hasattr(type(proxy), "__len__")) == (True, True)


def test_short_life(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """What has just been made is lent once, even if its opener took longer than its life."""
    pool = make_pool(min_size=0, max_lifetime=1.0, delay=HOUR, opener=lambda _: clock.advance(2.0))
    assert pool.get(timeout=0) is factory.made[0]


def test_thread_that_keeps_its_context(factory: Factory, keep: Keep) -> None:
    """What a thread has drawn in its own context comes back when it ends, though its `Thread` is kept."""
    scope = ppp.Proxy.Scope.WERKZEUG
    proxy = keep(ppp.Proxy(fun=factory, scope=scope, max_size=1, reclaim=True, closer=Resource.close))
    thread: Any = threading.Thread(target=proxy._get_obj)
    if sys.version_info < (3, 14):  # as it does by itself since then
        thread._context = contextvars.copy_context()
        thread.run = functools.partial(thread._context.run, thread.run)
    thread.start()
    thread.join()
    gc.collect()
    assert thread._context is not None
    assert list(proxy._pool._avail) == factory.made


@pytest.mark.parametrize("own_block", [False, True])
def test_block_entered_while_another_thread_returns(factory: Factory, keep: Keep, own_block: bool) -> None:
    """A block that is entered in a context that shares an object, while the hooks of its return run in
    another thread, gets another object; a block in these hooks gets the one that is being returned.
    """
    gate, found = Gate(), list[Resource]()

    def returning(_: Resource) -> None:
        with proxy._obj() as resource:
            found.append(resource)
        gate()
        found.append(proxy._get_obj())  # not robbed of it

    scope: Any = ppp.Proxy.Scope.WERKZEUG
    proxy = keep(ppp.Proxy(fun=factory, scope=scope, max_size=2, timeout=0, retter=returning))
    first = proxy._get_obj()
    context = contextvars.copy_context()

    def give_back() -> None:
        with proxy._obj() if own_block else nullcontext():
            pass
        proxy._ret_obj()

    with gate.holds(context.run, give_back), proxy._obj() as resource:
        assert found == [first]
        assert resource is not first
        assert proxy._get_obj() is resource
    assert found.count(first) == 2
    assert not proxy._has_obj()
    check_balance(proxy._pool, factory)


def test_block_entered_after_the_return(factory: Factory, keep: Keep) -> None:
    """A block entered once the pool has the object back, and before the proxy knows, gets another one."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, timeout=0, retter=lambda _: None))
    pool, first, found = proxy._pool, proxy._get_obj(), list[Resource]()

    def ret_and_use(resource: Resource) -> None:
        pool.ret = ret
        ret(resource)
        assert pool.get() is first
        with proxy._obj() as other:
            found.append(other)

    ret, pool.ret = pool.ret, ret_and_use
    proxy._ret_obj()
    assert first not in found
    assert list(pool._using) == [first]
    pool.ret(first)
    check_balance(pool, factory)


class Place(dict[str, Any]):
    """What a local keeps, where a deed comes right after a look, the first one or a later one."""

    deed: Any = staticmethod(lambda: None)
    left = 0

    def _look(self, found: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            in_thread(self.deed)
        return found

    def __contains__(self, name: object) -> bool:
        return bool(self._look(super().__contains__(name)))

    def __getitem__(self, name: str) -> Any:
        return self._look(super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self._look(super().get(name, default))


@pytest.mark.parametrize("scope", [ppp.Proxy.Scope.THREAD, ppp.Proxy.Scope.WERKZEUG])
@pytest.mark.parametrize("look", range(1, 9))
@pytest.mark.parametrize("what", "_get_obj _ret_obj _invalidate_obj _obj __repr__ __len__ copy".split())
def test_another_thread_ends_it_between_two_looks(scope: ppp.Proxy.Scope, look: int, what: str) -> None:
    """A thread that shares the current object, and uses or returns it while another one returns it and a
    third one draws it from the pool, sees the object or none, and does not end what the third one holds.
    """
    proxy: Any = ppp.Proxy(fun=lambda number: [number], max_size=2, scope=scope)
    kind = type(proxy._local) if scope is ppp.Proxy.Scope.WERKZEUG else object
    proxy._get_obj()
    place = Place(vars(proxy._local))
    proxy._local = type("Local", (kind,), {"__dict__": property(lambda _: place)})()
    taken = list[Any]()

    def end_and_take() -> None:
        proxy._ret_obj()
        taken.append(proxy._pool.get())

    place.deed, place.left = end_and_take, look
    with getattr(proxy, what)() if what == "_obj" else nullcontext(getattr(proxy, what)()):
        pass
    place.left = 0
    if not taken:  # it looked less often
        end_and_take()
    assert taken[0] in proxy._pool._using
    proxy._pool.ret(taken[0])
    proxy._ret_obj()
    assert len(proxy._pool._using) == 0
    proxy._pool.shutdown()
