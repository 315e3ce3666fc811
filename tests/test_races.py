"""Known races, one by one: an event in a hook holds a thread at the point. Then fairness and end of life."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest
from conftest import (
    Clock,
    Factory,
    MakePool,
    Messages,
    Resource,
    Spawn,
    Stop,
    Task,
    eventually,
    run_all,
    wait_for,
)

import ProxyPatternPool as ppp


def tokens(pool: ppp.Pool[Any]) -> tuple[int, int]:
    """Give the free tokens and all tokens."""
    sem = pool.stats()["sem"]
    return sem["value"], sem["init"]


def waiting(pool: ppp.Pool[Any]) -> int:
    """Count the threads that wait."""
    return int(pool.stats()["nwaiting"])


# Shutdown meets everything else.


def test_shutdown_during_a_creation(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """An object still being made at a shutdown is closed, not lent; the shutdown does not wait for it."""
    stop = Stop()

    def fun(number: int) -> Resource:
        resource = factory(number)
        stop()
        return resource

    pool = make_pool(fun, max_size=2, min_size=0, closer=Resource.close)
    getter = spawn(pool.get)
    wait_for(stop.reached)
    start = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - start < 0.5
    stop.go.set()
    with pytest.raises(ppp.PoolException, match="shutting down"):
        getter.result()
    assert [resource.closings for resource in factory.made] == [1]
    assert tokens(pool) == (2, 2)
    stats = pool.stats()
    assert (stats["ncreated"], stats["ndestroys"], stats["nobjs"]) == (1, 1, 0)


def test_shutdown_during_an_opener(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """An object still being opened at a shutdown is closed, not lent."""
    stop = Stop()
    pool = make_pool(max_size=2, min_size=0, opener=stop)
    getter = spawn(pool.get)
    wait_for(stop.reached)
    pool.shutdown()
    stop.go.set()
    with pytest.raises(ppp.PoolException, match="shutting down"):
        getter.result()
    eventually(lambda: factory.alive == [])
    assert pool.stats()["nobjs"] == 0


def test_shutdown_during_a_getter(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A shutdown while an object is being lent closes it once, whatever its borrower does then."""
    stop = Stop()
    pool = make_pool(max_size=2, min_size=0, getter=stop)

    def borrow() -> None:
        try:
            thing = pool.get()
        except ppp.PoolException:
            return
        pool.ret(thing)

    getter = spawn(borrow)
    wait_for(stop.reached)
    pool.shutdown()
    stop.go.set()
    getter.result()
    assert [resource.closings for resource in factory.made] == [1]
    assert tokens(pool) == (2, 2)


def test_shutdown_during_a_retter(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A shutdown while an object is being returned closes it once."""
    stop = Stop()
    pool = make_pool(max_size=2, min_size=0, retter=stop)
    returner = spawn(pool.ret, pool.get())
    wait_for(stop.reached)
    pool.shutdown()
    stop.go.set()
    returner.result()
    eventually(lambda: factory.alive == [])
    assert [resource.closings for resource in factory.made] == [1]
    assert tokens(pool) == (2, 2)
    assert pool.stats()["nobjs"] == 0


def test_shutdown_during_a_health_check(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A shutdown in the midst of a health check closes every object once, the examined one too."""
    stop = Stop()

    def health(resource: Resource) -> bool:
        stop()
        return True

    pool = make_pool(max_size=3, min_size=3, health=health, delay=3600.0)
    round_ = spawn(pool._hkRound)
    wait_for(stop.reached)
    start = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - start < 0.5
    stop.go.set()
    round_.result()
    eventually(lambda: factory.alive == [])
    assert [resource.closings for resource in factory.made] == [1, 1, 1]
    assert tokens(pool) == (3, 3)
    assert pool.stats()["nobjs"] == 0


def test_shutdown_during_a_closer(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A shutdown while an object is being destroyed elsewhere closes the others, and that one only once."""
    stop = Stop()

    def closer(resource: Resource) -> None:
        resource.close()
        stop()

    pool = make_pool(factory, max_size=3, min_size=2, closer=closer)
    destroyer = spawn(pool.invalidate, pool.get())
    wait_for(stop.reached)
    pool.shutdown()
    assert len(factory.alive) == 0
    stop.go.set()
    destroyer.result()
    assert all(resource.closings == 1 for resource in factory.made)
    eventually(lambda: tokens(pool) == (3, 3))


@pytest.mark.parametrize("hook", ["opener", "getter", "retter", "reset", "health", "closer"])
def test_shutdown_from_a_hook(make_pool: MakePool, factory: Factory, spawn: Spawn, hook: str) -> None:
    """A hook may shut its own pool down: nothing deadlocks, every object is closed once."""
    pools: list[ppp.Pool[Any]] = []

    def shut(resource: Resource) -> bool:
        if hook == "closer":
            resource.close()
        if pools:
            pools[0].shutdown()
        return True

    hooks: dict[str, Any] = {"closer": Resource.close, hook: shut}
    if hook == "health":
        hooks["check_after_idle"] = 0.0
    pool = make_pool(factory, max_size=2, min_size=0 if hook == "opener" else 1, delay=3600.0, **hooks)
    pools.append(pool)

    def use() -> None:
        try:
            thing = pool.get(timeout=1.0)
        except ppp.PoolException:
            return
        (pool.invalidate if hook == "closer" else pool.ret)(thing)

    spawn(use).result()
    eventually(lambda: factory.alive == [])
    assert pool.stats()["shutdown"]
    assert tokens(pool) == (2, 2)
    assert pool.stats()["nobjs"] == 0


def test_shutdown_twice_at_once(make_pool: MakePool, factory: Factory) -> None:
    """Two threads that shut a pool down at once close each object once."""
    for _ in range(20):
        pool = make_pool(max_size=8, min_size=6, delay=3600.0)
        held = pool.get()
        barrier = threading.Barrier(4)

        def shut(pool: ppp.Pool[Any] = pool, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(5)
            pool.shutdown()

        run_all(shut, shut, shut, shut)
        pool.ret(held)
        assert factory.alive == []
        assert tokens(pool) == (8, 8)


def test_shutdown_wakes_blocked_getters(make_pool: MakePool, spawn: Spawn) -> None:
    """Threads that wait for an object are woken by a shutdown with `PoolException`, not `TimeOut`."""
    pool = make_pool(max_size=1)
    pool.get()
    waiters = [spawn(pool.get, timeout) for timeout in (None, 60.0, 60.0, None)]
    eventually(lambda: pool.stats()["nwaiting"] == 4)
    start = time.monotonic()
    pool.shutdown()
    for waiter in waiters:
        with pytest.raises(ppp.PoolException, match="shutting down") as caught:
            waiter.result()
        assert not isinstance(caught.value, ppp.TimeOut)
    assert time.monotonic() - start < 1.0


def test_shutdown_is_prompt(make_pool: MakePool) -> None:
    """A shutdown takes less than 0.1 s where the housekeeper sleeps for 60 s, and its thread ends."""
    took = []
    for _ in range(3):  # the machine may be busy with something else for once
        pool = make_pool(max_size=4, min_size=4, delay=60.0)
        thread = pool._housekeeper
        assert thread is not None
        assert thread.is_alive()
        start = time.monotonic()
        pool.shutdown(delay=10.0)
        took.append(time.monotonic() - start)
        assert not thread.is_alive()
    assert min(took) < 0.1


# Deadlines and handovers.


def test_kill_against_return(make_pool: MakePool, factory: Factory, clock: Clock, spawn: Spawn) -> None:
    """A return that comes while its object is being killed is a wrong return: closed once, one token."""
    stop = Stop()

    def closer(resource: Resource) -> None:
        resource.close()
        stop()

    pool = make_pool(factory, max_size=1, min_size=0, max_using_delay_kill=10.0, delay=3600.0, closer=closer)
    thing = pool.get()
    clock.advance(11)
    round_ = spawn(pool._hkRound)
    wait_for(stop.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)  # being closed, it still counts
    pool.ret(thing)
    stop.go.set()
    round_.result()
    assert thing.closings == 1
    assert tokens(pool) == (1, 1)
    assert pool.stats()["nkilled"] == 1
    pool.ret(pool.get(timeout=0))


def test_return_against_kill(make_pool: MakePool, factory: Factory, clock: Clock, spawn: Spawn) -> None:
    """A round that comes while an object is being returned does not kill it under its `retter`."""
    stop = Stop()
    open_in_retter: list[bool] = []

    def retter(resource: Resource) -> None:
        stop()
        open_in_retter.append(resource.alive)

    pool = make_pool(max_size=1, min_size=0, max_using_delay_kill=10.0, delay=3600.0, retter=retter)
    returner = spawn(pool.ret, pool.get())
    wait_for(stop.reached)
    clock.advance(11)
    pool._hkRound()
    stop.go.set()
    returner.result()
    assert open_in_retter == [True]
    assert tokens(pool) == (1, 1)
    assert all(resource.closings <= 1 for resource in factory.made)
    stats = pool.stats()
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]


def test_double_return_at_once(make_pool: MakePool, messages: Messages, spawn: Spawn) -> None:
    """Of two threads that return one object at once, one is told that it was wrong; one token comes back."""
    stop = Stop()
    pool = make_pool(max_size=2, retter=stop)
    thing = pool.get()
    first = spawn(pool.ret, thing)
    wait_for(stop.reached)
    pool.ret(thing)
    stop.go.set()
    first.result()
    assert len([text for text in messages() if "unexpected object returned" in text]) == 1
    assert tokens(pool) == (2, 2)
    assert pool.stats()["navail"] == 1


def test_timeout_against_handover(make_pool: MakePool, spawn: Spawn) -> None:
    """A token given back at the very moment in which a waiter times out goes to it or stays: never lost."""
    pool = make_pool(max_size=1)
    outcomes = {"got": 0, "late": 0}
    for turn in range(60):
        held = pool.get(timeout=1.0)
        timeout = 0.002

        def wait(timeout: float = timeout) -> bool:
            try:
                pool.ret(pool.get(timeout=timeout))
            except ppp.TimeOut:
                return False
            return True

        waiter = spawn(wait)
        eventually(lambda waiter=waiter: waiting(pool) or not waiter.is_alive())  # type: ignore[misc]
        limit = time.perf_counter() + timeout * (0.8 + 0.01 * (turn % 40))
        while time.perf_counter() < limit:
            pass
        pool.ret(held)
        outcomes["got" if waiter.result() else "late"] += 1
        assert tokens(pool) == (1, 1)
        assert pool.stats()["nwaiting"] == 0
    assert sum(outcomes.values()) == 60


def test_a_waiter_gone_gets_no_token(make_pool: MakePool, spawn: Spawn) -> None:
    """A token returned after a waiter has left goes to the next one in the queue."""
    pool = make_pool(max_size=1)
    held = pool.get()
    gone = spawn(pool.get, 0.01)
    eventually(lambda: pool.stats()["nwaiting"] == 1 or not gone.is_alive())
    patient = spawn(pool.get, 5.0)
    with pytest.raises(ppp.TimeOut, match="timeout after"):
        gone.result()
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(held)
    assert patient.result() is held
    pool.ret(held)


def test_first_come_first_served(make_pool: MakePool, spawn: Spawn) -> None:
    """Waiters get tokens in the order in which they came."""
    pool = make_pool(max_size=1)
    held = pool.get()
    order: list[int] = []

    def wait(number: int) -> None:
        with pool.obj(timeout=5.0):
            order.append(number)

    tasks: list[Task] = []
    for number in range(12):
        tasks.append(spawn(wait, number))
        eventually(lambda number=number: waiting(pool) == number + 1)  # type: ignore[misc]
    pool.ret(held)
    for task in tasks:
        task.result()
    assert order == list(range(12))


def test_a_returner_queues_behind_the_waiters(make_pool: MakePool, spawn: Spawn) -> None:
    """A thread that returns and asks again at once does not overtake the one that waits."""
    pool = make_pool(max_size=1)
    held = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(held)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    pool.ret(waiter.result())
    pool.ret(pool.get(timeout=0))


def test_refused_object_is_never_lent(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """While health examines an object it is not lent, and once refused it never is."""
    stop = Stop()

    def health(resource: Resource) -> bool:
        stop()
        return False

    pool = make_pool(max_size=1, min_size=1, health=health, delay=3600.0)
    (sick,) = factory.made
    round_ = spawn(pool._health_check)
    wait_for(stop.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    waiter = spawn(pool.get, 5.0)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    stop.go.set()
    round_.result()
    thing = waiter.result()
    assert thing is not sick
    assert factory.most_alive == 1
    pool.ret(thing)


def test_slow_closer_keeps_its_token(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """Until its closer has ended, an object counts against `max_size`; others do not wait for it."""
    stop = Stop()

    def closer(resource: Resource) -> None:
        stop()
        resource.close()

    pool = make_pool(factory, max_size=2, min_size=0, closer=closer)
    first, second = pool.get(), pool.get()
    destroyer = spawn(pool.invalidate, first)
    wait_for(stop.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    pool.ret(second)
    pool.ret(pool.get(timeout=0))
    pool.stats()
    stop.go.set()
    destroyer.result()
    assert tokens(pool) == (2, 2)
    assert factory.most_alive == 2


def test_creations_do_not_wait_for_each_other(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """All creations run at once, and while they do others get, return and ask for stats."""
    barrier = threading.Barrier(5)
    slow = threading.Event()

    def fun(number: int) -> Resource:
        if slow.is_set():
            barrier.wait(5)
        return factory(number)

    pool = make_pool(fun, max_size=6, min_size=1, closer=Resource.close)
    held = pool.get()
    slow.set()
    tasks = [spawn(pool.get) for _ in range(4)]
    eventually(lambda: pool.stats()["ncreating"] == 5)
    pool.ret(held)
    assert pool.get(timeout=0) is held
    barrier.wait(5)
    things = [task.result() for task in tasks]
    assert len({id(thing) for thing in [held, *things]}) == 5
    for thing in [held, *things]:
        pool.ret(thing)


# Fairness.


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
    print(f"\nfairness: served {min(served)} to {max(served)} times")
    assert min(served) > 10
    # the round in which the end comes serves some once more than others
    assert min(served) >= 0.9 * (max(served) - 1)


def test_timeouts_are_exact_under_load() -> None:
    """A `get` that finds nothing raises `TimeOut` within 50 ms of its time while 20 threads are busy."""
    pool: ppp.Pool[object] = ppp.Pool(lambda number: object(), max_size=2)
    full: ppp.Pool[object] = ppp.Pool(lambda number: object(), max_size=1)
    full.get()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            with pool.obj():
                stop.wait(0.001)

    def wait(timeout: float) -> float:
        start = time.monotonic()
        with pytest.raises(ppp.TimeOut):
            full.get(timeout=timeout)
        return time.monotonic() - start - timeout

    tasks = [Task(load) for _ in range(20)]
    for task in tasks:
        task.start()
    timeouts = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3] * 3
    try:
        late = run_all(*[lambda timeout=timeout: wait(timeout) for timeout in timeouts])
    finally:
        stop.set()
        for task in tasks:
            task.result()
    pool.shutdown()
    full.shutdown()
    assert min(late) >= -0.001
    assert sorted(late)[len(late) // 2] < 0.05
    assert max(late) < 0.25  # a machine with every core busy may be late for once


# An abandoned pool.


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("delay", [0.0, 60.0], ids=["without a housekeeper", "with a housekeeper"])
@pytest.mark.parametrize("cycle", [False, True], ids=["no cycle", "cycle"])
def test_abandoned_pools_go_away(delay: float, cycle: bool) -> None:
    """Two hundred pools dropped leave no thread and no open object, in a reference cycle too."""
    before = {thread.ident for thread in threading.enumerate()}
    pools: list[weakref.ref[ppp.Pool[Any]]] = []
    closed: list[object] = []
    for _ in range(50):
        pool: ppp.Pool[Any] = ppp.Pool(lambda number: object(), 4, 2, delay=delay, closer=closed.append)
        pool.ret(pool.get())
        if cycle:
            pool.myself = pool  # type: ignore[attr-defined]
        pools.append(weakref.ref(pool))
        del pool
    gc.collect()
    assert [pool() for pool in pools if pool() is not None] == []
    eventually(lambda: {thread.ident for thread in threading.enumerate()} <= before)
    assert len(closed) == len({id(thing) for thing in closed}) == 100


def test_abandoned_pool_warns(factory: Factory) -> None:
    """A pool dropped without a shutdown says so by a `ResourceWarning`, once."""
    pools: list[ppp.Pool[Any]] = [ppp.Pool(factory, 4, 2, closer=Resource.close, name="dropped")]
    with pytest.warns(ResourceWarning, match="dropped") as caught:
        pools.clear()
    gc.collect()
    eventually(lambda: factory.alive == [])
    assert len(caught) == 1


def test_no_reference_to_a_closed_object(make_pool: MakePool) -> None:
    """A pool keeps no reference to an object that it has closed."""

    class Thing:
        pass

    pool = make_pool(lambda number: Thing(), 4, 2, max_use=1, delay=3600.0, closer=id, getter=id, retter=id)
    things = [pool.get() for _ in range(4)]
    seen = [weakref.ref(thing) for thing in things]
    pool.invalidate(things.pop())
    pool.ret(things.pop())
    pool._empty()
    things.clear()
    pool._hkRound()
    gc.collect()
    assert [thing() for thing in seen] == [None] * 4


def test_nothing_is_lent_once_a_shutdown_has_begun(make_pool: MakePool, spawn: Spawn) -> None:
    """While a shutdown is busy closing one idle object, the others are out of reach already."""
    stop = Stop()
    pool = make_pool(max_size=4, min_size=3, closer=stop)
    task = spawn(pool.shutdown)
    wait_for(stop.reached)
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get(timeout=0)
    stop.go.set()
    task.result()
    assert (pool._nobjs, pool._nuses) == (0, 0)


def test_nothing_old_is_lent_once_a_drain_has_begun(make_pool: MakePool, spawn: Spawn) -> None:
    """While `drain` is busy closing one idle object, the others are lent no more: who asks gets a new one."""
    stop = Stop()
    pool = make_pool(max_size=4, min_size=3, closer=stop)
    old = list(pool._avail)
    task = spawn(pool.drain)
    wait_for(stop.reached)
    assert pool.get(timeout=1.0) not in old
    stop.go.set()
    task.result()
    assert not any(resource in pool._avail or resource in pool._using for resource in old)
