"""Interruptions of a pool, at each point at which CPython takes signals, and from each hook.

Which points these are is told in `helpers_faults.py`; `test_signals.py` has real signals at random points.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource, Spawn, eventually
from helpers_faults import (
    HOUR,
    PATIENCE,
    Visit,
    check_balance,
    each_point,
    interruptible,
    owns_lock,
    running_threads,
)

import ProxyPatternPool as ppp

pytestmark = [pytest.mark.untraced, *interruptible]

ALL = {
    "opener": Resource.open,
    "getter": Resource.lend,
    "retter": Resource.take_back,
    "reset": Resource.reset,
    "health": Resource.check,
    "check_after_idle": 0.0,
    "max_use": 1,
    "max_lifetime": HOUR,
    "max_using_delay": HOUR,
    "delay": HOUR,
}
EMPTY = {"min_size": 0}

Work = Callable[[ppp.Pool[Any]], object]


def lend(pool: ppp.Pool[Any]) -> None:
    with pool.obj():
        pass


def lend_two(pool: ppp.Pool[Any]) -> None:
    with pool.obj(), pool.obj():
        pass


def spoil(pool: ppp.Pool[Any]) -> None:
    with pool.obj() as resource:
        pool.invalidate(resource)


def refuse(pool: ppp.Pool[Any]) -> None:
    for resource in pool._avail:
        resource.healthy = False
    lend(pool)


def keep_house(pool: ppp.Pool[Any]) -> None:
    pool._hkRound()
    pool._health_check()
    pool._empty()
    pool._fill()


WORKS = [
    pytest.param(lend, {}, id="obj"),
    pytest.param(lend, EMPTY, id="obj of an empty pool"),
    pytest.param(lend, {"max_use": 1}, id="obj worn out"),
    pytest.param(lend_two, ALL | {"min_size": 2}, id="two objs, all hooks"),
    pytest.param(spoil, {}, id="obj invalidated"),
    pytest.param(refuse, ALL, id="obj refused"),
    pytest.param(ppp.Pool.drain, {"min_size": 2}, id="drain"),
    pytest.param(lambda pool: pool.resize(2, 3), EMPTY, id="resize up"),
    pytest.param(lambda pool: pool.resize(0, 1), {"min_size": 2}, id="resize down"),
    pytest.param(keep_house, ALL | {"min_size": 2}, id="round"),
    pytest.param(ppp.Pool.__delete__, {"min_size": 2}, id="delete"),
    pytest.param(ppp.Pool.stats, {}, id="stats"),
    pytest.param(ppp.Pool.shutdown, {"min_size": 2}, id="shutdown"),
]


@pytest.mark.parametrize(("work", "parameters"), WORKS)
def test_interrupted_at_each_point(factory: Factory, work: Work, parameters: dict[str, Any]) -> None:
    """Whatever the pool does, an interruption at whichever point loses no permit, object, count or lock."""

    def run(visit: Visit) -> None:
        pool: ppp.Pool[Any] = ppp.Pool(factory, **{"max_size": 2, "closer": Resource.close, **parameters})
        visit(lambda: work(pool))
        assert not owns_lock(pool)
        if pool._shutdown:
            pool.shutdown()  # a second one finishes what an interruption has left
        check_balance(pool, factory)
        if not pool._shutdown:
            for resource in [pool.get(timeout=1.0) for _ in range(pool._max_size or 1)]:
                pool.ret(resource)
        pool.shutdown(delay=PATIENCE)
        assert factory.alive == []

    each_point(run)


@pytest.mark.parametrize("parameters", [{}, ALL, {"max_use": 1}], ids=["bare", "all hooks", "worn out"])
@pytest.mark.parametrize("what", ["get", "ret", "invalidate"])
def test_interrupted_get_and_ret(
    make_pool: MakePool, factory: Factory, what: str, parameters: dict[str, Any]
) -> None:
    """An interrupted `get` has lent nothing; a `ret` or `invalidate` that has begun is done, once."""

    def run(visit: Visit) -> None:
        pool = make_pool(**{"max_size": 2, **parameters})
        held: list[Any] = []
        if what == "get":
            visit(lambda: held.append(pool.get()))
            assert len(held) == (visit.at is None)
        else:
            held.append(pool.get())
            visit(lambda: getattr(pool, what)(held[0]))
            if visit.at and visit.at[:2] != (what, "call"):  # it has begun
                assert what == "invalidate" or held[0] not in pool._using
        for resource in held:
            if resource in pool._using:
                pool.ret(resource)
        check_balance(pool, factory)
        pool.shutdown()

    each_point(run)


def test_interrupted_constructor_leaves_nothing(factory: Factory) -> None:
    """A constructor interrupted at whichever point leaves no open object and no running thread."""
    threads = running_threads()

    def run(visit: Visit) -> None:
        pools: list[ppp.Pool[Any]] = []
        visit(
            lambda: pools.append(
                ppp.Pool(factory, 3, 2, delay=HOUR, opener=Resource.open, closer=Resource.close)
            )
        )
        assert len(pools) == (visit.at is None)
        for pool in pools:
            pool.shutdown()
        if factory.alive:
            gc.collect()
        assert factory.alive == []

    each_point(run, least=20)
    eventually(lambda: running_threads() <= threads)


def test_interrupted_shutdown_closes_all(factory: Factory) -> None:
    """A shutdown that has begun closes everything, and ends the housekeeper, wherever it is interrupted."""

    def run(visit: Visit) -> None:
        pool: ppp.Pool[Any] = ppp.Pool(factory, 3, 3, delay=HOUR, closer=Resource.close)
        pool.get()
        thread = pool._housekeeper
        assert thread is not None
        visit(pool.shutdown)
        if not pool._shutdown:
            pool.shutdown()
        assert factory.alive == []
        thread.join(PATIENCE / 4)
        assert not thread.is_alive()
        check_balance(pool, factory)

    each_point(run)


@pytest.mark.parametrize("what", ["ret", "invalidate"])
def test_interrupted_waiter_leaves_all_to_the_next(
    make_pool: MakePool, factory: Factory, spawn: Spawn, what: str
) -> None:
    """A waiter interrupted before or after its turn has come, with an object or without, loses neither."""

    def give_back(pool: ppp.Pool[Any], resource: Resource, over: threading.Event) -> None:
        eventually(lambda: pool.stats()["nwaiting"] == 1 or over.is_set())
        getattr(pool, what)(resource)

    def run(visit: Visit) -> None:
        pool = make_pool(max_size=1, min_size=0, health=Resource.check, check_after_idle=0.0, delay=HOUR)
        over = threading.Event()
        task = spawn(give_back, pool, pool.get(), over)
        visit(lambda: lend(pool))
        over.set()
        task.result()
        check_balance(pool, factory)
        with pool.obj(timeout=PATIENCE):
            pass
        pool.shutdown()

    each_point(run, least=10)


def test_interrupted_return_ends_no_later_lending(
    make_pool: MakePool, factory: Factory, spawn: Spawn
) -> None:
    """A return that is interrupted when its object is lent to somebody else leaves that lending alone."""

    def run(visit: Visit) -> None:
        pool = make_pool(max_size=1, min_size=0)
        mine = pool.get()
        other = spawn(pool.get, PATIENCE)
        eventually(lambda: pool.stats()["nwaiting"] == 1)

        def strike() -> None:
            other.join(0.05)
            raise KeyboardInterrupt

        visit.deed = strike
        visit(lambda: pool.ret(mine))
        other.join(1.0)
        if other.is_alive():  # the return had not begun
            pool.ret(mine)
        assert list(pool._using) == [other.result()]
        pool.ret(other.result())
        check_balance(pool, factory)
        pool.shutdown()

    each_point(run)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("where", ["make", "open", "lend", "take_back", "reset", "close", "check"])
def test_interrupted_hook(
    make_pool: MakePool, factory: Factory, where: str, error: type[BaseException]
) -> None:
    """An interruption raised in any hook reaches the caller or not, but loses no permit and no object."""
    pool = make_pool(
        max_size=1,
        min_size=0,
        max_use=1 if where == "close" else 0,
        opener=Resource.open,
        getter=Resource.lend,
        retter=Resource.take_back,
        reset=Resource.reset,
        health=Resource.check,
        check_after_idle=0.0 if where == "check" else None,
        delay=HOUR,
    )
    for _ in range(3):
        factory.fails[where] = error()
        try:
            with pool.obj(timeout=1.0):
                pass
            pool.get(timeout=1.0)
        except error:
            pass
        factory.fails.clear()
        for lent in list(pool._using):
            pool.ret(lent)
        check_balance(pool, factory)
        pool.ret(pool.get(timeout=0))
        assert factory.most_alive == 1
    pool.shutdown()
    assert factory.alive == []
