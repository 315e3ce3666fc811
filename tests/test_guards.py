"""Each lock is waited for: while somebody else holds it, an operation changes nothing and gives nothing.

Under the interpreter lock most of these races cannot be met, since no thread is switched within a transition;
free-threaded builds have them. So the lock is held here, and what should wait for it is watched.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource, Spawn, Stop, Task, wait_for

import ProxyPatternPool as ppp

MOMENT = 0.05
"""Seconds for which a thread is watched; without its lock it would be done after some microseconds."""

State = dict[str, Any]


def state(pool: ppp.Pool[Any]) -> State:
    """Give what a transition may change."""
    names = "_nobjs _nuses _ncreating _ncreated _nborrows _nreturns _ndestroys _nhealth _shutdown _min_size"
    places = [list(map(id, objects)) for objects in (pool._avail, pool._using, pool._todel)]
    sem = pool._sem
    assert sem is not None
    return {name: getattr(pool, name) for name in names.split()} | {"places": places, "free": sem._value}


def watch(task: Task) -> bool:
    """Tell whether a thread still waits after a moment."""
    task.join(MOMENT)
    return task.is_alive()


OPERATIONS: dict[str, Callable[[Any, Any, Any], object]] = {
    "get": lambda pool, lent, idle: pool.get(),
    "ret": lambda pool, lent, idle: pool.ret(lent),
    "invalidate": lambda pool, lent, idle: pool.invalidate(lent),
    "drain": lambda pool, lent, idle: pool.drain(),
    "resize": lambda pool, lent, idle: pool.resize(max_size=3),
    "stats": lambda pool, lent, idle: pool.stats(),
    "shutdown": lambda pool, lent, idle: pool.shutdown(),
    "a round": lambda pool, lent, idle: pool._hkRound(),
    "a health check": lambda pool, lent, idle: pool._health_check(),
    "fill": lambda pool, lent, idle: pool._fill(),
    "empty": lambda pool, lent, idle: pool._empty(),
    "new": lambda pool, lent, idle: pool._new(),
    "borrow": lambda pool, lent, idle: pool._borrow(idle),
    "take out": lambda pool, lent, idle: pool._out(idle),
    "acquire a token": lambda pool, lent, idle: pool._sem.acquire(),
    "release a token": lambda pool, lent, idle: pool._sem.release(),
}


@pytest.mark.parametrize(
    "hooks", [{}, {"retter": Resource.take_back, "health": Resource.check}], ids=["bare", "hooks"]
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_waits_for_the_lock(
    make_pool: MakePool, factory: Factory, spawn: Spawn, operation: str, hooks: dict[str, Any]
) -> None:
    """While a thread holds the pool's lock, no other thread changes a place, a token or a counter."""
    pool = make_pool(max_size=4, min_size=2, **hooks)
    lent = pool.get()
    (idle,) = pool._avail
    with pool._lock:
        before, calls = state(pool), list(factory.calls)
        task = spawn(OPERATIONS[operation], pool, lent, idle)
        assert watch(task)
        assert (state(pool), factory.calls) == (before, calls)
    task.result()


@pytest.mark.parametrize("step", ["claim", "strike off"])
def test_closing_waits_for_the_lock(make_pool: MakePool, factory: Factory, spawn: Spawn, step: str) -> None:
    """An object is taken for closing, and struck off afterwards, with the lock held."""
    stop = Stop()
    pool = make_pool(max_size=2, closer=stop)
    (idle,) = pool._avail
    pool._out(idle)
    if step == "strike off":
        task = spawn(pool._destroy, idle)
        wait_for(stop.reached)
    with pool._lock:
        if step == "claim":
            task = spawn(pool._destroy, idle)
        stop.go.set()
        assert watch(task)
        assert stop.reached.is_set() == (step == "strike off")
        assert (pool._nobjs, pool._ndestroys) == (1, 0)
    task.result()
    assert (pool._nobjs, pool._ndestroys) == (0, 1)


def test_retter_waits_for_the_lock(make_pool: MakePool, spawn: Spawn) -> None:
    """A return claims its object with the lock held, before the retter has it."""
    stop = Stop()
    pool = make_pool(max_size=2, retter=stop)
    lent = pool.get()
    with pool._lock:
        task = spawn(pool.ret, lent)
        assert watch(task)
        assert not stop.reached.is_set()
    stop.go.set()
    task.result()


def test_dismissal_waits_for_the_lock(make_pool: MakePool, spawn: Spawn) -> None:
    """At the interpreter's end, waiters are told with the lock held, hence not while one is being served."""
    pool: Any = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get)
    while pool.stats()["nwaiting"] < 1:
        threading.Event().wait(0.001)
    with pool._lock:
        task = spawn(pool._dismiss)
        assert watch(task)
        assert len(pool._sem._waiters) == 1
        pool.ret(lent)
    task.result()
    assert waiter.result() is lent


def test_numbers_of_pools_wait_for_their_lock(spawn: Spawn) -> None:
    """The number of a pool is taken with a lock held."""
    with ppp._registry.numbering:
        before = ppp._registry.next_id
        task = spawn(ppp._registry.number)
        assert watch(task)
        assert ppp._registry.next_id == before
    assert task.result() == before


def test_numbers_without_a_pool_wait_for_their_lock(spawn: Spawn) -> None:
    """Without a pool, a creation number is taken, and a creation counted, with the lock of the proxy held."""
    stop = Stop()
    made: list[int] = []

    def make(number: int) -> list[int]:
        made.append(number)
        stop()
        return [number]

    proxy = ppp.Proxy[Any](fun=make, max_size=None)
    core = ppp._core_of(proxy)
    with core.lock:
        task = spawn(core.make, make)
        assert watch(task)
        assert made == []
    wait_for(stop.reached)
    with core.lock:
        stop.go.set()
        assert watch(task)
        assert proxy._nobjs == 0
    assert task.result() == [0]
    assert proxy._nobjs == 1


class Slow(float):
    """A number which takes long to be looked at."""

    stop: Stop

    def __float__(self) -> float:
        self.stop()
        return 60.0


def test_one_pool_for_two_threads(factory: Factory, spawn: Spawn) -> None:
    """When two threads build the pool of a proxy at once, both use that of the faster one."""
    Slow.stop = Stop()
    proxy = ppp.Proxy[Any](fun=factory, max_size=4, timeout=Slow(60.0))
    first = spawn(proxy._get_obj)
    wait_for(Slow.stop.reached)
    second = spawn(proxy._get_obj)
    assert second.result().serial == 0
    assert proxy._pool is not None
    Slow.stop.go.set()
    assert {first.result().serial, second.result().serial} == {0, 1}
    assert proxy._pool is not None
    assert proxy._pool._ncreated == 2
    proxy._set(mandatory=False)


class Late(ppp.Pool[str]):
    """A pool which takes long to begin."""

    stop: Stop | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Late:
        if cls.stop is not None:
            cls.stop()
        return super().__new__(cls)


def test_one_pool_for_two_arrivals(spawn: Spawn) -> None:
    """A pickled pool that arrives in two threads at once is one pool there."""
    with Late(str, min_size=0) as pool:
        travelling = pickle.dumps(pool)
    try:
        Late.stop = Stop()
        first = spawn(pickle.loads, travelling)
        wait_for(Late.stop.reached)
        second = spawn(pickle.loads, travelling)
        assert watch(second)
        Late.stop.go.set()
        with first.result() as arrived:
            assert second.result() is arrived
    finally:
        Late.stop = None


def housekeepers(pool: ppp.Pool[Any]) -> int:
    """Count the threads that keep house for a pool."""
    return sum(thread.name == f"{pool._name} housekeeper" for thread in threading.enumerate())


@pytest.mark.parametrize("end", [False, True], ids=["two creations at once", "shut down meanwhile"])
def test_one_housekeeper(make_pool: MakePool, spawn: Spawn, end: bool) -> None:
    """In a child, two first creations start one housekeeper, and none where a shutdown is faster."""
    pool: Any = make_pool(min_size=0, max_size=4, delay=3600.0, name=f"kept {end}")
    pool.shutdown(delay=5.0)
    pool._forked()
    pool._shutdown = False
    assert housekeepers(pool) == 0
    with pool._lock:
        tasks = [spawn(pool._start_housekeeper) for _ in range(2)]
        assert all(map(watch, tasks))
        if end:
            pool._shutdown = True
    for task in tasks:
        task.result()
    assert housekeepers(pool) == (0 if end else 1)


def test_turn_that_comes_when_the_time_is_over(make_pool: MakePool, spawn: Spawn) -> None:
    """Who finds out that his time is over leaves with the lock held; if his turn came before, he takes it."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get, timeout=MOMENT)
    while pool.stats()["nwaiting"] < 1:
        threading.Event().wait(0.001)
    with pool._lock:
        waiter.join(2 * MOMENT)
        pool.ret(lent)
    assert waiter.result() is lent
    assert pool._ndestroys == 0
