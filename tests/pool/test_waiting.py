"""Waiting: timeouts, who is served when, how many may wait, and the limit that makes them wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn
from helpers import HOUR, SECONDS, Gate, Task, at_rest, keep_house, none_left, permits, waiting

import ProxyPatternPool as ppp


def test_time_out(make_pool: MakePool) -> None:
    """A `get` that finds no object in its time raises `TimeOut` then, with the pool's name and numbers."""
    pool = make_pool(max_size=3, min_size=0, name="db")
    lent = [pool.get() for _ in range(3)]
    start = time.monotonic()
    with pytest.raises(ppp.TimeOut, match=r"db.*sem timeout after 0\.05.*3 of 3") as raised:
        pool.get(timeout=0.05)
    assert 0.04 < time.monotonic() - start < 2.0
    assert raised.value.__context__ is None
    pool.ret(lent[0])
    assert pool.get(timeout=0.05) is lent[0]


@pytest.mark.parametrize("default", [None, 30.0, 0])
@pytest.mark.parametrize("timeout", [0, 0.0, -2.5, 1e-12])
def test_zero_does_not_wait(make_pool: MakePool, default: float | None, timeout: float) -> None:
    """A timeout of 0, below, or over at once, does not wait, whatever the pool's default."""
    pool = make_pool(max_size=1, min_size=0, timeout=default)
    lent = pool.get(timeout=timeout)
    start = time.monotonic()
    with pytest.raises(ppp.TimeOut, match=r"sem timeout after \d"):  # a negative one counts as 0
        pool.get(timeout=timeout)
    assert time.monotonic() - start < 2.0
    pool.ret(lent)
    assert pool.get(timeout=timeout) is lent


def test_waiting_with_the_lock_in_hand(make_pool: MakePool, spawn: Spawn) -> None:
    """Who holds the lock lets go of it while waiting, as a signal handler may that came in its midst."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    with pool._lock, pool._lock:
        spawn(pool.ret, lent)
        assert pool.get(timeout=SECONDS) is lent
        pool.ret(lent)
    assert pool.get(timeout=0) is lent


@pytest.mark.parametrize("how", ["returned", "destroyed", "failed"])
def test_first_come_first_served(factory: Factory, make_pool: MakePool, spawn: Spawn, how: str) -> None:
    """Permits go on in order of arrival; who has timed out changes nothing, who asks again comes last."""
    served: list[str] = []

    def make(number: int) -> Resource:
        if "make" in factory.fails:
            served.append(threading.current_thread().name)
        return factory(number)

    def use() -> None:
        with suppress(OSError):
            fresh = pool.get(timeout=SECONDS)
            served.append(threading.current_thread().name)
            give_back(fresh)

    pool = make_pool(make, max_size=1)
    give_back = pool.ret if how == "returned" else pool.invalidate
    lent = pool.get()
    if how == "failed":
        factory.fails["make"] = OSError("no server")
    tasks = []
    for rank in range(6):
        tasks.append(spawn(use))
        waiting(pool, rank + 1)
        none_left(pool, 0.005)
        none_left(pool, 0)
    with pool._lock:  # the waiter has been served, though it sleeps on
        give_back(lent)
        none_left(pool, 0)
    for task in tasks:
        task.result()
    assert served == [task.name for task in tasks]


def in_line(spawn: Spawn, pool: ppp.Pool[Any], count: int) -> list[Task]:
    """Let that many threads wait for the pool, in order."""
    tasks = []
    for rank in range(count):
        tasks.append(spawn(pool.get, SECONDS))
        waiting(pool, rank + 1)
    return tasks


def test_permit_of_a_pool_that_shrank(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A waiter whose permit came just before the pool shrank waits on, at its place in the queue."""
    pool = make_pool(max_size=2)
    lost, left = pool.get(), pool.get()
    waiters = in_line(spawn, pool, 2)
    with pool._lock:  # the first one cannot look before all of it has happened
        pool.invalidate(lost)
        pool.resize(min_size=0, max_size=1)
    waiting(pool, 2)
    for waiter in waiters:
        pool.ret(left)
        assert waiter.result() is left
    assert len(factory.made) == 2


def test_served_in_vain(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A waiter whose object was closed before it woke gets a new one, before those behind it, unexamined."""
    pool = make_pool(factory, max_size=1, health=Resource.check, check_after_idle=0.0, closer=Resource.close)
    held = pool.get()
    factory.calls.clear()
    waiter, behind = in_line(spawn, pool, 2)
    with pool._lock:  # the waiter sleeps on for a moment
        pool.ret(held)
        pool.__delete__()
    assert waiter.result().alive
    assert (held.closings, ("check", held) in factory.calls) == (1, False)
    pool.ret(waiter.result())
    assert behind.result() is waiter.result()


# max_waiting


def test_max_waiting(make_pool: MakePool, spawn: Spawn) -> None:
    """With that many waiting already, `get` raises `TooManyRequests` at once instead of waiting too."""
    pool = make_pool(max_size=1, max_waiting=2, name="db")
    lent = pool.get()
    tasks = in_line(spawn, pool, 2)
    start = time.monotonic()
    for timeout in (30.0, 0):
        with pytest.raises(ppp.TooManyRequests, match="db"):
            pool.get(timeout=timeout)
    assert (time.monotonic() - start < 5.0, pool.stats()["ntimeouts"]) == (True, 2)
    pool.resize(max_size=3)  # which serves both at once
    assert lent not in [task.result() for task in tasks]


@pytest.mark.parametrize("max_size", [0, 5])
def test_examinations_keep_to_the_timeout(make_pool: MakePool, factory: Factory, max_size: int) -> None:
    """When examinations have taken all the time, `get` gives up and names the time that was asked for."""

    def refuse(resource: Resource) -> bool:
        time.sleep(0.02)
        factory.happen("check", resource)
        return False

    pool = make_pool(max_size=max_size, min_size=5, health=refuse, check_after_idle=0.0, delay=HOUR)
    with pytest.raises(ppp.TimeOut, match=rf"sem timeout after 0\.01 .*of {max_size} in use"):
        pool.get(timeout=0.01)
    assert len(factory.calls) < 5
    pool.ret(pool.get(timeout=0))  # which waits for nothing, but tries them all
    at_rest(pool, factory)


DOORS: dict[str, Callable[[Any, Any], object]] = {
    "worn out": lambda pool, lent: pool.ret(lent),
    "invalidated": lambda pool, lent: pool.invalidate(lent),
    "killed": lambda pool, lent: keep_house(pool),
    "closed": lambda pool, lent: pool.__delete__(),
    "drained": lambda pool, lent: (pool.drain(), pool.ret(lent)),
    "taken out": lambda pool, lent: (pool._out(lent), pool._empty()),
}


@pytest.mark.parametrize("door", DOORS)
def test_limit_counts_those_being_closed(
    factory: Factory, make_pool: MakePool, clock: Clock, spawn: Spawn, door: str
) -> None:
    """Through whichever door an object goes, a waiter gets its permit as soon as its closer has ended."""
    gate = Gate()

    def closer(resource: Resource) -> None:
        gate()
        resource.close()

    sizes = {"max_size": 1, "max_use": 1, "min_size": 0}
    pool = make_pool(factory, max_using_delay_kill=10.0, delay=HOUR, closer=closer, **sizes)
    lent = pool.get()
    clock.advance(11.0)
    with gate.holds(DOORS[door], pool, lent) as closing:
        assert permits(pool) == (0, 1)
        none_left(pool)
        (waiter,) = in_line(spawn, pool, 1)
    closing.result()
    assert (waiter.result(), factory.most_alive) == (factory.made[1], 1)
