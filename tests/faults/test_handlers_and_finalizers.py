"""Signal handlers, finalizers and hooks that use the pool, or the proxy, in whose midst they are called."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn, run_all
from helpers_faults import (
    PATIENCE,
    STRESS,
    Account,
    Visit,
    check_balance,
    each_point,
    left_pools,
    missing_permits,
)

import ProxyPatternPool as ppp

pytestmark = [
    left_pools,
    pytest.mark.untraced,
    pytest.mark.timeout(STRESS + 60),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers with signals"),
]


def keep_house(pool: ppp.Pool[Any]) -> None:
    pool._hkRound()
    pool._health_check()
    pool._empty()
    pool._fill()


class Visited:
    """A pool for a visit of a guest, with one lent object and idle ones, and what must hold after it."""

    def __init__(self, factory: Factory, clock: Clock, size: int, least: int, **attributes: Any) -> None:
        self.factory = factory
        self.kept: list[Resource] = []
        self.pool = pool = ppp.Pool(factory, size, least, closer=Resource.close, timeout=0.0)
        for name, value in attributes.items():
            setattr(pool, name, value)  # set now, they start no housekeeper
        self.mine, *others = [pool.get() for _ in range(size - 1)]
        for other in others:
            pool.ret(other)
        clock.advance(10.0)

    def keep(self) -> None:
        self.kept.append(self.pool.get())

    def borrow(self) -> None:
        with self.pool.obj():
            pass

    def give_back(self) -> None:
        if self.mine in self.pool._using:
            self.pool.ret(self.mine)

    def turn_over(self) -> None:
        self.give_back()
        self.keep()

    def end(self) -> None:
        """Return all that is lent, and shut down: nothing may be lost."""
        for resource in {id(thing): thing for thing in [*self.kept, self.mine]}.values():
            if resource in self.pool._using:
                self.pool.ret(resource)
        check_balance(self.pool, self.factory)
        assert self.factory.most_alive <= (self.pool._max_size or 0)
        self.pool.shutdown()
        assert self.factory.alive == []
        self.factory.made.clear()
        self.factory.most_alive = 0


WORKS: dict[str, Callable[[Visited], object]] = {
    "get": Visited.keep,
    "obj": Visited.borrow,
    "ret": lambda it: it.pool.ret(it.mine),
    "invalidate": lambda it: it.pool.invalidate(it.mine),
    "round": lambda it: keep_house(it.pool),
    "drain": lambda it: it.pool.drain(),
    "stats": lambda it: it.pool.stats(),
    "shutdown": lambda it: it.pool.shutdown(),
}

GUESTS: dict[str, Callable[[Visited], object]] = {
    "borrows": Visited.borrow,
    "keeps": Visited.keep,
    "gives back": Visited.give_back,
    "turns over": Visited.turn_over,
    "keeps house": lambda it: keep_house(it.pool),
    "closes all": lambda it: it.pool.__delete__(),
    "shuts down": lambda it: it.pool.shutdown(),
}

POOLS: dict[str, dict[str, Any]] = {
    "bare": {"size": 2, "least": 1},
    "strict": {"size": 3, "least": 1, "_max_avail_delay": 5.0, "_max_using_delay_kill": 5.0, "_max_use": 2},
}


@pytest.mark.parametrize(
    ("work", "guest", "pool"),
    [
        (work, guest, pool)
        for work in WORKS
        for guest in GUESTS
        for pool in POOLS
        # what is being returned would be somebody else's by then
        if not (work in ("ret", "invalidate") and guest == "turns over")
        # a bare pool has ways of its own for these alone
        if pool == "strict" or work in ("get", "obj", "ret")
        # it takes long, having many points
        if work != "stats" or guest in ("turns over", "closes all")
    ],
)
def test_guest_at_each_point(factory: Factory, clock: Clock, work: str, guest: str, pool: str) -> None:
    """Whatever a signal handler does to the pool, whatever that is doing, nothing is lost."""

    def run(visit: Visit) -> None:
        it = Visited(factory, clock, **POOLS[pool])

        def quietly(work: Callable[[Visited], object]) -> None:
            with contextlib.suppress(ppp.PoolException):
                work(it)

        visit.deed = lambda: quietly(GUESTS[guest])
        visit(lambda: quietly(WORKS[work]))
        if not {work, guest} & {"closes all", "shuts down", "shutdown"}:
            assert all(resource.alive for resource in it.kept), "closed while lent"
        assert len({id(resource) for resource in it.kept}) == len(it.kept) or guest == "turns over"
        it.end()

    each_point(run, bool, least=2)


@pytest.mark.parametrize("deed", ["ret", "shutdown"])
def test_guest_ends_the_wait_of_its_own_thread(make_pool: MakePool, spawn: Spawn, deed: str) -> None:
    """A signal handler that returns the object, or shuts down, ends the wait that its thread begins."""

    def run(visit: Visit) -> None:
        pool = make_pool(max_size=1)
        held = [pool.get()]
        over = threading.Event()

        def come() -> None:
            for resource in held:
                pool.ret(resource) if deed == "ret" else pool.shutdown()
            held.clear()

        def wait() -> None:
            told = pytest.raises(ppp.PoolException, match="shutting down")
            ending: AbstractContextManager[Any] = told if deed == "shutdown" else contextlib.nullcontext()
            with ending:
                pool.ret(pool.get(timeout=PATIENCE))

        task = spawn(lambda: come() if not over.wait(0.02) else None)
        visit.deed = come
        start = time.monotonic()
        visit(wait)
        assert time.monotonic() - start < PATIENCE / 2
        over.set()
        task.result()
        pool.shutdown()

    each_point(run, bool, least=2)


PROXY_GUESTS: dict[str, Callable[[Any], object]] = {
    "block": lambda proxy: use_block(proxy),
    "draw": lambda proxy: proxy._get_obj(timeout=0),
    "return": lambda proxy: proxy._ret_obj(),
    "turn over": lambda proxy: (proxy._ret_obj(), proxy._get_obj(timeout=0)),
    "invalidate": lambda proxy: proxy._invalidate_obj(),
}


def use_block(proxy: Any) -> None:
    with proxy._obj(timeout=0):
        pass


@pytest.mark.parametrize(
    ("guest", "scope"), [*((guest, "THREAD") for guest in PROXY_GUESTS), ("turn over", "VERSATILE")]
)
@pytest.mark.parametrize("drawn", [False, True], ids=["drawn there", "found"])
@pytest.mark.parametrize("work", ["enter", "leave", "draw", "return", "invalidate"])
def test_guest_of_a_proxy_at_each_point(
    factory: Factory, work: str, drawn: bool, guest: str, scope: str
) -> None:
    """Whatever a signal handler does to a proxy, in whatever draw, block or return, nothing is lost."""

    def run(visit: Visit) -> None:
        proxy: Any = ppp.Proxy[Any](
            fun=factory, scope=ppp.Proxy.Scope[scope], max_size=2, min_size=0, closer=Resource.close
        )
        use_block(proxy)
        if drawn or work in ("return", "invalidate"):
            proxy._get_obj()
        block = proxy._obj(timeout=0)
        seen: list[Resource] = []
        visit.deed = lambda: PROXY_GUESTS[guest](proxy)
        if work == "enter":
            visit(lambda: seen.append(block.__enter__()))
            assert guest not in ("block", "draw") or seen[0] in proxy._pool._using
            block.__exit__(None, None, None)
        elif work == "leave":
            block.__enter__()
            visit(lambda: block.__exit__(None, None, None))
        elif work == "draw":
            visit(lambda: seen.append(proxy._get_obj(timeout=0)))
            assert guest in ("return", "invalidate", "turn over") or seen[0].alive
        else:
            visit(proxy._ret_obj if work == "return" else proxy._invalidate_obj)
        proxy._ret_obj()
        assert not proxy._has_obj()
        check_balance(proxy._pool, factory)
        proxy._pool.shutdown()
        assert factory.alive == []

    each_point(run, bool, least=1)


class Cycle:
    """A piece of garbage whose finalizer uses a pool and a proxy."""

    seen = 0

    def __init__(self, pool: ppp.Pool[Any], proxy: ppp.Proxy[Any]) -> None:
        self.me, self.pool, self.proxy = self, pool, proxy

    def __del__(self) -> None:
        """Use the pool, wherever the collector was called from."""
        with contextlib.suppress(ppp.TimeOut), self.pool.obj(timeout=0), self.proxy._obj(timeout=0):
            Cycle.seen += self.pool.stats()["nusing"]


def test_finalizer_uses_the_pool() -> None:
    """A finalizer run by the garbage collector in the midst of the library's code may use the pool."""
    account, other = Account(), Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=3, min_size=2, max_use=3, closer=account.closer)
    proxy = ppp.Proxy[Any](fun=other.fun, max_size=3, max_use=3, closer=other.closer)
    before = gc.get_threshold()

    def use() -> None:
        for _ in range(150):
            Cycle(pool, proxy)
            with pool.obj(timeout=PATIENCE), proxy._obj(timeout=PATIENCE):
                pool.stats()

    gc.set_threshold(1, 1, 1)
    try:
        run_all(use, use, seconds=PATIENCE)
    finally:
        gc.set_threshold(*before)
        gc.collect()
    assert Cycle.seen
    for used in (pool, proxy._pool):
        assert used is not None
        assert missing_permits(used) == 0
        used.shutdown()
    assert account.missing() == other.missing() == []
