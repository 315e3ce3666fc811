"""Races, one by one: a hook, or the lock, holds a thread at the point, while another one acts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn, Stop, Task, eventually, wait_for
from helpers_faults import HOUR, check_balance

import ProxyPatternPool as ppp

pytestmark = pytest.mark.untraced


def use(pool: ppp.Pool[Any]) -> None:
    """Get an object and return it, unless the pool is shut down."""
    try:
        pool.ret(pool.get())
    except ppp.PoolException as error:
        assert "shutting down" in str(error)  # noqa: PT017


@pytest.mark.parametrize("hook", ["fun", "opener", "getter", "retter", "reset", "check", "health", "closer"])
def test_shutdown_meets_a_busy_hook(make_pool: MakePool, factory: Factory, spawn: Spawn, hook: str) -> None:
    """A shutdown does not wait for a hook that is busy with an object; everything is closed once."""
    stop = Stop()

    def busy(resource: Resource) -> bool:
        if hook == "closer":
            resource.close()
        stop()
        return True

    def fun(number: int) -> Resource:
        resource = factory(number)
        if hook == "fun":
            stop()
        return resource

    hooks: dict[str, Any] = {"closer": Resource.close}
    if hook != "fun":
        hooks["health" if hook == "check" else hook] = busy
    if hook == "check":
        hooks["check_after_idle"] = 0.0
    pool = make_pool(fun, max_size=3, min_size=0 if hook in ("fun", "opener") else 3, delay=HOUR, **hooks)
    works: dict[str, Callable[[], object]] = {
        "health": pool._health_check,
        "closer": lambda: pool.invalidate(pool.get()),
    }
    task = spawn(works.get(hook, lambda: use(pool)))
    wait_for(stop.reached)
    start = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - start < 0.5
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get(timeout=0)
    stop.go.set()
    task.result()
    assert {resource.closings for resource in factory.made} == {1}
    check_balance(pool, factory)


@pytest.mark.parametrize("method", ["shutdown", "drain"])
def test_nothing_old_is_lent_once_it_has_begun(make_pool: MakePool, spawn: Spawn, method: str) -> None:
    """While a shutdown, or `drain`, is busy closing one idle object, the others are out of reach already."""
    stop = Stop()
    pool = make_pool(max_size=4, min_size=3, closer=stop)
    old = list(pool._avail)
    task = spawn(getattr(pool, method))
    wait_for(stop.reached)
    if method == "shutdown":
        with pytest.raises(ppp.PoolException, match="shutting down"):
            pool.get(timeout=0)
    else:
        assert not any(pool.get(timeout=1.0) is resource for resource in old)
    stop.go.set()
    task.result()
    assert not any(resource in pool._avail or resource in pool._using for resource in old)


def test_kill_meets_return(make_pool: MakePool, factory: Factory, clock: Clock, spawn: Spawn) -> None:
    """A return that comes while its object is being killed is a wrong return: closed once, one permit."""
    stop = Stop()

    def closer(resource: Resource) -> None:
        resource.close()
        stop()

    pool = make_pool(factory, max_size=1, min_size=0, max_using_delay_kill=10.0, delay=HOUR, closer=closer)
    thing = pool.get()
    clock.advance(11)
    pool._hkRound()
    destroyer = spawn(pool._empty)
    wait_for(stop.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)  # being closed, it still counts
    pool.ret(thing)
    stop.go.set()
    destroyer.result()
    assert (thing.closings, pool.stats()["nkilled"]) == (1, 1)
    pool.ret(pool.get(timeout=0))
    check_balance(pool, factory)


@pytest.mark.parametrize("hook", ["retter", "reset"])
def test_return_meets_kill(
    make_pool: MakePool, factory: Factory, clock: Clock, spawn: Spawn, hook: str
) -> None:
    """A round that comes while an object is being returned does not kill it under its hooks."""
    stop = Stop()
    alive: list[bool] = []

    def busy(resource: Resource) -> None:
        stop()
        alive.append(resource.alive)

    hooks: dict[str, Any] = {hook: busy}
    pool = make_pool(max_size=2, min_size=0, max_using_delay_kill=10.0, delay=HOUR, **hooks)
    pool.get()  # which is killed
    returner = spawn(pool.ret, pool.get())
    wait_for(stop.reached)
    clock.advance(11)
    pool._hkRound()
    pool._empty()
    stop.go.set()
    returner.result()
    assert alive == [True]
    check_balance(pool, factory)


def test_round_meets_get(make_pool: MakePool, clock: Clock) -> None:
    """What is lent in the moment in which a round finds it idle for too long is left alone."""
    lent: list[Any] = []

    class Slow(float):
        def __le__(self, other: float) -> bool:
            if not lent:
                lent.append(pool.get(timeout=0))
            return float(self) <= other

    pool = make_pool(min_size=0, delay=HOUR)
    pool.ret(pool.get())
    pool._max_avail_delay = Slow(10.0)
    clock.advance(11)
    pool._hkRound()
    assert list(pool._using) == lent


def test_turn_that_comes_as_the_time_is_over(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """Who is served before it can leave the queue, though its time is over, takes the object or leaves it."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get, timeout=0.02)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    with pool._lock:
        waiter.join(0.1)
        pool.ret(lent)
    waiter.join(5.0)
    try:
        pool.ret(waiter.result())
    except ppp.TimeOut:
        assert list(pool._avail) == [lent]
    check_balance(pool, factory)


def test_examination_meets_a_waiter(make_pool: MakePool, spawn: Spawn) -> None:
    """What a waiter gets after its examination is not among the idle ones any more."""
    stop = Stop()

    def health(resource: Resource) -> bool:
        stop()
        return True

    pool = make_pool(max_size=2, min_size=2, health=health)
    lent = pool.get()
    check = spawn(pool._health_check)
    wait_for(stop.reached)
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    stop.go.set()
    examined = waiter.result()
    check.result()
    pool.invalidate(lent)
    assert pool.get(timeout=0) is not examined
    assert len(pool._using) == 2


def test_fairness() -> None:
    """Of 40 threads on 4 objects for 5 ms each, the least served has at least 0.9 of the most served."""
    pool: ppp.Pool[object] = ppp.Pool(lambda number: object(), max_size=4)
    stop = threading.Event()
    barrier = threading.Barrier(40)
    served = [0] * 40

    def work(who: int) -> None:
        barrier.wait(10)
        while not stop.is_set():
            with pool.obj():
                stop.wait(0.005)
                served[who] += 1

    tasks = [Task(work, who) for who in range(40)]
    for task in tasks:
        task.start()
    eventually(lambda: sum(served) >= 40 * 30, 30.0)  # a second and a half, if the machine is not busy
    stop.set()
    for task in tasks:
        task.result()
    pool.shutdown()
    print(f"\nserved {min(served)} to {max(served)} times")
    # the round in which the end comes serves some once more than others
    assert min(served) >= 0.9 * (max(served) - 1)
