"""The end of a pool: `shutdown`, `__delete__`, which keeps the pool, and a pool that nobody refers to."""

from __future__ import annotations

import gc
import logging
import re
import sys
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from conftest import Factory, MakePool, Messages, Resource, Spawn
from helpers import BUSY, HOUR, Gate, Thing, at_rest, ended, eventually, no_luck, numbers, rounds, uncollected

import ProxyPatternPool as ppp


def test_shutdown(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A shutdown closes everything, counting what is lent in a warning; a second one is harmless."""
    pool = make_pool(max_size=5, min_size=4, name="db")
    lent = [pool.get(), pool.get()]
    pool._out(next(iter(pool._avail)))
    pool.shutdown()
    for each in lent:
        pool.ret(each)
    pool.resize(min_size=3)  # which makes nothing
    pool.shutdown(delay=1.0, grace=1.0)
    assert factory.closings == [1, 1, 1, 1]
    (warning, *_) = messages()
    assert re.search("db.*deleting in-use objects: 2", warning)
    assert numbers(pool, "shutdown min_size nobjs ntodel ncreated ndestroys") == [True, 0, 0, 0, 4, 4]
    assert numbers(pool, "sem") == [{"value": 5, "init": 5}]


@pytest.mark.parametrize("busy", [False, True], ids=["asleep", "busy"])
def test_prompt(make_pool: MakePool, messages: Messages, busy: bool) -> None:
    """The housekeeper is woken, and waited for no longer than `delay`, with a warning if that ran out."""
    stop = Gate(shut=True)
    pool = make_pool(health=stop, delay=BUSY if busy else HOUR)
    thread: Any = pool._housekeeper
    if busy:
        assert stop.reached.wait(5.0)
    start = time.monotonic()
    pool.shutdown(delay=0.01 if busy else 30.0)
    assert time.monotonic() - start < 5.0
    assert thread.is_alive() == busy
    assert sum("shutting down pool with live housekeeper" in text for text in messages()) == busy
    stop.go.set()
    ended(thread)


def test_by_the_housekeeper(make_pool: MakePool, messages: Messages) -> None:
    """A hook may shut the pool down in the housekeeper's thread, which does not wait for itself."""
    pool: Any = make_pool(min_size=2, delay=BUSY)
    thread = pool._housekeeper
    pool._health = lambda _: pool.shutdown(delay=5.0) is None
    ended(thread)
    assert (pool._shutdown, messages("ERROR")) == (True, [])


@pytest.mark.parametrize("how", ["shutdown", "drain"])
def test_nothing_old_is_lent_once_it_has_begun(make_pool: MakePool, how: str) -> None:
    """While a shutdown, or `drain`, is busy closing one idle object, the others are out of reach already."""
    lent: list[Any] = []

    def closer(resource: Resource) -> None:
        if resource in old:
            with suppress(ppp.PoolException):
                lent.append(pool.get(timeout=0))

    pool = make_pool(min_size=3, closer=closer)
    old = list(pool._avail)
    getattr(pool, how)()
    assert len(lent) == (3 if how == "drain" else 0)
    assert not set(lent) & set(old)


@pytest.mark.parametrize("how", ["get", "resize"])
def test_during_a_creation(factory: Factory, make_pool: MakePool, spawn: Spawn, how: str) -> None:
    """An object still being made at the shutdown is closed, not lent, and no other is made."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=4, min_size=0, closer=Resource.close)
    with gate.holds(getattr(pool, how), 3) as task:
        spawn(pool.shutdown).result(2.0)
    with pytest.raises(ppp.PoolException, match="shutting down") if how == "get" else nullcontext():
        task.result()
    assert factory.closings == [1]
    at_rest(pool, factory)


def test_with_pool(factory: Factory) -> None:
    """`with Pool(…)` gives the pool and shuts it down at the end, whatever happens."""
    with pytest.raises(KeyError), ppp.Pool(factory, min_size=2, closer=Resource.close) as pool:
        raise KeyError(pool.get())
    assert (factory.closings, pool._shutdown) == ([1, 1], True)


@pytest.mark.parametrize("end", ["ret", "invalidate"])
def test_grace(make_pool: MakePool, factory: Factory, spawn: Spawn, messages: Messages, end: str) -> None:
    """A shutdown with grace tells those who wait at once, and waits for what is lent to come back."""
    pool = make_pool(max_size=2, min_size=2)
    lent = [pool.get(), pool.get()]
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    endings = [spawn(pool.shutdown, grace=60.0) for _ in range(2)]
    with pytest.raises(ppp.PoolException, match="shutting down") as raised:
        waiter.result()
    assert not isinstance(raised.value, ppp.TimeOut)
    pool.ret(lent[0])
    endings[0].join(0.03)
    assert (endings[0].is_alive(), lent[1].alive) == (True, True)
    getattr(pool, end)(lent[1])
    for ending in endings:
        ending.result()
    assert (messages(), factory.alive) == ([], [])
    at_rest(pool, factory)


@pytest.mark.parametrize(("held", "made"), [(0, 0), (0, 2), (1, 2)])
def test_grace_runs_out(
    make_pool: MakePool, factory: Factory, messages: Messages, held: int, made: int
) -> None:
    """What has not come back within the grace is closed with the warning; with nothing lent it costs none."""
    pool = make_pool(max_size=2, min_size=made)
    lent = [pool.get() for _ in range(held)]
    start = time.monotonic()
    pool.shutdown(grace=0.05 if held else HOUR)
    assert 0.04 * held <= time.monotonic() - start < 5.0
    assert factory.closings == [1] * made
    assert sum("deleting in-use objects: 1" in text for text in messages()) == len(lent)


@pytest.mark.parametrize("cycle", [False, True], ids=["", "cycle"])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("delay", [0.0, BUSY, HOUR])
def test_abandoned(delay: float, cycle: bool, used: bool) -> None:
    """An abandoned pool is collected, its thread ends, its objects are closed; one that lent says so."""
    closed: list[int] = []

    def close(thing: Thing) -> None:
        closed.append(thing.number)
        raise ValueError("this spares no other object")

    # an error that is logged here is kept, and its traceback with it
    silent: dict[str, Any] = {"closer": close, "health": bool, "log_level": logging.CRITICAL}
    pool: Any = ppp.Pool(Thing, min_size=3, delay=delay, name="db", **silent)
    if used:
        pool.ret(pool.get())
    if delay == BUSY:
        rounds(pool)
    if cycle:
        pool._getter = pool.stats
    reference, thread = weakref.ref(pool), pool._housekeeper
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del pool
        # a cycle is found by the collector, unless a round is at work just then
        eventually(lambda: gc.collect() >= 0 and reference() is None and len(closed) == 3)
        eventually(lambda: warned or not used)
    assert sorted(closed) == [0, 1, 2]
    assert [(each.category, "db" in str(each.message)) for each in warned] == [(ResourceWarning, True)] * used
    if thread is not None:
        ended(thread)


def close_beside(pool: ppp.Pool[Any]) -> None:
    """Close what was idle beside an object that is lent now."""
    first, second = pool.get(), pool.get()
    pool.ret(first)
    pool.ret(second)
    pool.get()
    pool._del(first)


DOORS: dict[str, Callable[[Any], object]] = {
    "refused": lambda pool: pool._health_check(),
    "worn out": lambda pool: [pool.ret(pool.get()) for _ in range(2)],
    "taken out": close_beside,
    "invalidated": lambda pool: pool.invalidate(pool.get()),
    "drained": lambda pool: pool.drain(),
    "closed": lambda pool: pool.__delete__(),
    "shut down": lambda pool: pool.shutdown(),
}


@pytest.mark.parametrize("failing", [False, True], ids=["", "failing"])
@pytest.mark.parametrize("door", DOORS)
def test_no_reference_to_closed_objects(door: str, failing: bool) -> None:
    """A pool keeps no reference to an object that it has closed, not even in a cycle or if hooks fail."""
    references: list[weakref.ref[Thing]] = []

    def make(number: int) -> Thing:
        thing = Thing(number)
        references.append(weakref.ref(thing))
        return thing

    names = "opener getter retter reset closer health".split() if failing else []
    hooks: dict[str, Any] = {"health": lambda _: False, **dict.fromkeys(names, no_luck)}
    pool = ppp.Pool(make, max_size=2, max_use=2, delay=HOUR, log_level=logging.CRITICAL, **hooks)
    with uncollected(), pool:
        DOORS[door](pool)
        if sys.implementation.name != "cpython":
            gc.collect()
        assert references[0]() is None
