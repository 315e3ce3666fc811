"""Threads meeting at chosen points: an Event or a Barrier forces each race, so that it happens each time."""

from __future__ import annotations

import dis
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from conftest import (
    SECONDS,
    Clock,
    Factory,
    MakePool,
    Messages,
    Resource,
    Spawn,
    Task,
    eventually,
    run_all,
    wait_for,
)

import ProxyPatternPool as ppp

LONG = 3600.0


class Gate:
    """A point at which a thread stops until it is let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.armed = False

    def arm(self) -> None:
        """Stop the next one who comes."""
        self.armed = True

    def stop(self) -> None:
        """Stop here, if armed, until opened."""
        if self.armed:
            self.armed = False
            self.reached.set()
            wait_for(self.opened)

    def hook(self, resource: Resource) -> bool:
        """Be a hook that stops."""
        self.stop()
        return True


@pytest.fixture
def gate() -> Gate:
    """Give a gate that stops nobody yet."""
    return Gate()


def waiting(pool: ppp.Pool[Any], count: int) -> None:
    """Wait until that many threads wait for the pool."""
    eventually(lambda: pool.stats()["nwaiting"] == count)


# creations


def slow(factory: Factory, gate: Gate) -> Callable[[int], Resource]:
    """Make a maker that stops at the gate."""

    def make(number: int) -> Resource:
        gate.stop()
        return factory(number)

    return make


def test_creation_keeps_nobody_waiting(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn
) -> None:
    """While one thread makes an object, others get, return and read the statistics."""
    pool = make_pool(slow(factory, gate), max_size=3)
    first = pool.get()
    gate.arm()
    maker = spawn(pool.get)
    wait_for(gate.reached)

    def others() -> None:
        pool.ret(first)
        for _ in range(3):
            with pool.obj(timeout=0) as lent:
                assert lent is first
        assert pool.stats()["nobjs"] >= 1

    run_all(others, seconds=2.0)
    assert not gate.opened.is_set()
    gate.opened.set()
    assert maker.result() is factory.made[1]


def test_creations_at_once(factory: Factory, make_pool: MakePool) -> None:
    """As many objects are made at the same time as are asked for, with different numbers."""
    together = threading.Barrier(5)

    def make(number: int) -> Resource:
        together.wait(SECONDS)
        return factory(number)

    pool = make_pool(make, max_size=5, min_size=0)
    run_all(*[pool.get] * 5)
    assert sorted(factory.numbers) == [0, 1, 2, 3, 4]
    assert sorted(resource.number for resource in factory.made) == [0, 1, 2, 3, 4]


def test_numbers_of_failed_creations(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """A number given to one who is still making is not given to another; a failed one is used again."""
    fail = False

    def make(number: int) -> Resource:
        gate.stop()
        if fail:
            raise OSError("no server")
        return factory(number)

    pool = make_pool(make, max_size=4, min_size=0)
    gate.arm()
    slow_one = spawn(pool.get)
    wait_for(gate.reached)
    second = pool.get()
    assert second.number == 1
    fail = True
    with pytest.raises(OSError, match="no server"):
        pool.get()
    fail = False
    third = pool.get()
    gate.opened.set()
    numbers = [slow_one.result().number, second.number, third.number, pool.get().number]
    assert len(set(numbers)) == 4


def test_limit_counts_those_being_made(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn
) -> None:
    """An object that is still being made counts for the limit."""
    pool = make_pool(slow(factory, gate), max_size=1, min_size=0)
    gate.arm()
    maker = spawn(pool.get)
    wait_for(gate.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    gate.opened.set()
    pool.ret(maker.result())
    assert pool.get(timeout=0) is factory.made[0]


def test_limit_counts_those_being_closed(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn
) -> None:
    """An object whose closer still runs counts for the limit, and its token comes back afterwards."""
    pool = make_pool(factory, max_size=1, max_use=1, min_size=0, closer=gate.hook)
    lent = pool.get()
    gate.arm()
    closing = spawn(pool.ret, lent)
    wait_for(gate.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    assert len(factory.made) == 1
    waiter = spawn(pool.get)
    waiting(pool, 1)
    gate.opened.set()
    closing.result()
    assert waiter.result() is factory.made[1]


@pytest.mark.parametrize("door", ["invalidate", "kill", "drain"])
def test_limit_counts_those_being_closed_elsewhere(
    factory: Factory, make_pool: MakePool, clock: Clock, gate: Gate, spawn: Spawn, door: str
) -> None:
    """Through whichever door an object goes, its token stays with it until it is closed."""
    pool = make_pool(factory, max_size=1, min_size=0, max_using_delay_kill=10.0, delay=LONG, closer=gate.hook)
    lent = pool.get()
    doors: dict[str, Callable[[], Any]] = {
        "invalidate": lambda: pool.invalidate(lent),
        "kill": pool._hkRound,
        "drain": pool.drain,
    }
    if door == "drain":
        pool.ret(lent)
    clock.advance(11.0)
    gate.arm()
    closing = spawn(doors[door])
    wait_for(gate.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    gate.opened.set()
    closing.result()
    assert pool.get(timeout=0) is factory.made[1]


def test_return_during_creation(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """A thread that waits is served by a return, though another object is still being made."""
    pool = make_pool(slow(factory, gate), max_size=2)
    first = pool.get()
    gate.arm()
    maker = spawn(pool.get)
    wait_for(gate.reached)
    waiter = spawn(pool.get)
    waiting(pool, 1)
    pool.ret(first)
    assert waiter.result() is first
    gate.opened.set()
    assert maker.result() is factory.made[1]


def test_failed_creation_serves_a_waiter(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn
) -> None:
    """A failed creation gives its token to the one who waits, who makes an object in turn."""
    pool = make_pool(slow(factory, gate), max_size=1, min_size=0)
    gate.arm()
    maker = spawn(pool.get)
    wait_for(gate.reached)
    waiter = spawn(pool.get)
    waiting(pool, 1)
    factory.fails["make"] = OSError("no server")
    last = spawn(pool.get)
    waiting(pool, 2)
    gate.opened.set()
    for task in (maker, waiter, last):
        with pytest.raises(OSError, match="no server"):
            task.result()
    factory.fails.clear()
    assert pool.get(timeout=0).number == 0


def test_return_does_not_wait_for_creation(factory: Factory, make_pool: MakePool, gate: Gate) -> None:
    """Where there is a housekeeper, a return leaves it to make what is missing."""
    makers: list[threading.Thread] = []

    def make(number: int) -> Resource:
        makers.append(threading.current_thread())
        gate.stop()
        return factory(number)

    pool = make_pool(make, max_size=2, max_use=1, delay=LONG)
    lent = pool.get()
    gate.arm()
    run_all(lambda: pool.ret(lent), seconds=2.0)
    wait_for(gate.reached)
    assert makers[1] is not threading.current_thread()
    assert makers[1].daemon
    gate.opened.set()
    eventually(lambda: pool.stats()["navail"] == 1)


def test_housekeeper_asks_a_dead_server_once(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """While creations fail, returns do not each make the housekeeper ask again."""
    pool = make_pool(max_size=4, min_size=4, max_use=1, delay=LONG)
    lent = [pool.get() for _ in range(4)]
    asked = len(factory.numbers)
    factory.fails["make"] = OSError("no server")
    pool.ret(lent[0])
    eventually(lambda: len(factory.numbers) == asked + 1)
    for each in lent[1:]:
        pool.ret(each)
    pool.shutdown(delay=SECONDS)
    assert len(factory.numbers) == asked + 1


def test_created_with_others_idle(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """Filling at a return makes no more than is missing, though two threads do it at once."""
    pool = make_pool(slow(factory, gate), max_size=4, min_size=2, max_use=1)
    first, second = pool.get(), pool.get()
    gate.arm()
    returning = spawn(pool.ret, first)
    wait_for(gate.reached)
    run_all(lambda: pool.ret(second), seconds=2.0)
    gate.opened.set()
    returning.result()
    assert pool.stats()["navail"] == 2
    assert len(factory.made) == 4


# order of arrival


def test_first_come_first_served(make_pool: MakePool, spawn: Spawn) -> None:
    """Those who wait are served in order of arrival."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    served: list[int] = []

    def use(rank: int) -> None:
        with pool.obj(timeout=SECONDS):
            served.append(rank)

    tasks = []
    for rank in range(6):
        tasks.append(spawn(use, rank))
        waiting(pool, rank + 1)
    pool.ret(lent)
    for task in tasks:
        task.result()
    assert served == [0, 1, 2, 3, 4, 5]


def test_asking_again_queues_behind(make_pool: MakePool, spawn: Spawn) -> None:
    """A thread that returns an object and asks again comes after those who waited."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    done = threading.Event()

    def use() -> Resource:
        mine: Resource = pool.get(timeout=SECONDS)
        wait_for(done)
        pool.ret(mine)
        return mine

    waiter = spawn(use)
    waiting(pool, 1)
    pool.ret(lent)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    done.set()
    assert waiter.result() is lent
    assert pool.get(timeout=0) is lent


def test_newcomer_queues_behind(make_pool: MakePool, spawn: Spawn) -> None:
    """A newcomer doesn't overtake one who waits, and timeouts in the queue change no order."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    served: list[str] = []

    def use(name: str) -> None:
        with pool.obj(timeout=SECONDS):
            served.append(name)

    first = spawn(use, "first")
    waiting(pool, 1)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0.01)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    second = spawn(use, "second")
    waiting(pool, 2)
    pool.ret(lent)
    first.result()
    second.result()
    assert served == ["first", "second"]


def test_timed_out_leaves_the_queue(make_pool: MakePool, spawn: Spawn) -> None:
    """A token is never handed to one who no longer waits."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    for _ in range(3):
        with pytest.raises(ppp.TimeOut):
            pool.get(timeout=0.005)
    assert pool.stats()["nwaiting"] == 0
    patient = spawn(pool.get, SECONDS)
    waiting(pool, 1)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0.005)
    pool.ret(lent)
    assert patient.result() is lent
    pool.ret(lent)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0) is lent


def test_many_tokens_many_waiters(make_pool: MakePool, spawn: Spawn) -> None:
    """Each of several tokens goes to one who waits, and none is left or lost."""
    pool = make_pool(max_size=3)
    lent = [pool.get() for _ in range(3)]
    tasks = []
    for rank in range(3):
        tasks.append(spawn(pool.get, SECONDS))
        waiting(pool, rank + 1)
    for each in lent:
        pool.ret(each)
    got = [task.result() for task in tasks]
    assert {id(each) for each in got} == {id(each) for each in lent}
    assert pool.stats()["sem"] == {"value": 0, "init": 3}


def test_freed_tokens_keep_the_order(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """Tokens of destroyed objects, and of failed creations, go to those who wait in order of arrival too."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    served: list[int] = []

    def use(rank: int) -> None:
        try:
            fresh = pool.get(timeout=SECONDS)
        except OSError:
            served.append(-rank)
        else:
            served.append(rank)
            pool.invalidate(fresh)

    tasks = []
    for rank in range(1, 7):
        tasks.append(spawn(use, rank))
        waiting(pool, rank)
    pool.invalidate(lent)
    for task in tasks:
        task.result()
    assert served == [1, 2, 3, 4, 5, 6]
    served.clear()
    lent = pool.get()
    again = []
    for rank in range(1, 7):
        again.append(spawn(use, rank))
        waiting(pool, rank)
    factory.fails["make"] = OSError("no server")
    pool.invalidate(lent)
    for task in again:
        task.result()
    assert served == [-1, -2, -3, -4, -5, -6]


def test_handover_across_exhausted_objects(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """One who waits gets a new object where the returned one was worn out."""
    pool = make_pool(max_size=1, max_use=1)
    lent = pool.get()
    waiter = spawn(pool.get, SECONDS)
    waiting(pool, 1)
    pool.ret(lent)
    fresh = waiter.result()
    assert (lent.closings, fresh.closings, factory.most_alive) == (1, 0, 1)


# returns


def test_double_return_race(make_pool: MakePool, gate: Gate, spawn: Spawn, messages: Messages) -> None:
    """Of two returns of one object at once, one counts and the other is a warning."""
    pool = make_pool(max_size=2, retter=gate.hook)
    lent = pool.get()
    gate.arm()
    first = spawn(pool.ret, lent)
    wait_for(gate.reached)
    run_all(lambda: pool.ret(lent), seconds=2.0)
    gate.opened.set()
    first.result()
    assert sum("unexpected object returned: " in text for text in messages()) == 1
    assert (pool.stats()["navail"], pool.stats()["sem"]["value"]) == (1, 2)
    assert pool.get(timeout=0) is not pool.get(timeout=0)


def test_object_in_retter_is_not_lent(make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """An object whose retter still runs is not lent to another."""
    pool = make_pool(max_size=1, retter=gate.hook)
    lent = pool.get()
    gate.arm()
    returning = spawn(pool.ret, lent)
    wait_for(gate.reached)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    gate.opened.set()
    returning.result()
    assert pool.get(timeout=0) is lent


def test_kill_during_return(make_pool: MakePool, clock: Clock, gate: Gate, spawn: Spawn) -> None:
    """An object killed while it is returned is closed once and not lent again, or not killed at all."""
    pool = make_pool(max_size=1, min_size=0, retter=gate.hook, max_using_delay_kill=10.0, delay=LONG)
    lent = pool.get()
    clock.advance(11.0)
    gate.arm()
    returning = spawn(pool.ret, lent)
    wait_for(gate.reached)
    run_all(pool._hkRound, seconds=2.0)
    gate.opened.set()
    returning.result()
    stats = pool.stats()
    assert stats["sem"] == {"value": 1, "init": 1}
    assert stats["nobjs"] == stats["navail"] == 1 - lent.closings
    assert pool.get(timeout=0).alive


def test_kill_during_getter(make_pool: MakePool, clock: Clock, gate: Gate, spawn: Spawn) -> None:
    """An object killed while its getter still runs is closed once, and its token comes back once."""
    pool = make_pool(max_size=1, min_size=0, getter=gate.hook, max_using_delay_kill=10.0, delay=LONG)
    gate.arm()
    getting = spawn(pool.get)
    wait_for(gate.reached)
    clock.advance(11.0)
    run_all(pool._hkRound, seconds=2.0)
    gate.opened.set()
    lent = getting.result()
    pool.ret(lent)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0).alive


@pytest.mark.parametrize("hook", ["opener", "getter", "retter", "reset", "health"])
def test_closing_everything_during_hook(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn, hook: str
) -> None:
    """An object that `__delete__` closes while a hook runs on it does not come back to the pool."""

    def use() -> None:
        pool.ret(pool.get())
        pool._hkRound()

    hooks: dict[str, Any] = {hook: gate.hook}
    pool = make_pool(max_size=2, min_size=0, delay=LONG, **hooks)
    gate.arm()
    using = spawn(use)
    wait_for(gate.reached)
    run_all(pool.__delete__, seconds=2.0)
    gate.opened.set()
    using.result()
    stats = pool.stats()
    assert stats["sem"] == {"value": 2, "init": 2}
    assert stats["nobjs"] == stats["navail"] == len(factory.alive)
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
    assert pool.get(timeout=0).alive
    assert pool.get(timeout=0).alive


def test_invalidate_race(make_pool: MakePool, gate: Gate, spawn: Spawn, messages: Messages) -> None:
    """Of two invalidations at once, one counts and the other is a warning."""
    closed: list[int] = []

    def close(resource: Resource) -> None:
        closed.append(resource.serial)
        gate.stop()

    pool = make_pool(max_size=2, min_size=0, closer=close)
    lent = pool.get()
    gate.arm()
    first = spawn(pool.invalidate, lent)
    wait_for(gate.reached)
    run_all(lambda: pool.invalidate(lent), lambda: pool.ret(lent), seconds=2.0)
    gate.opened.set()
    first.result()
    assert closed == [0]
    assert sum("unexpected object returned: " in text for text in messages()) == 2
    assert (pool.stats()["ninvalidated"], pool.stats()["sem"]["value"]) == (1, 2)


# health


def test_refused_object_is_never_lent(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn
) -> None:
    """An object that health refuses goes from the examination to its end, though others wait for one."""

    def check(resource: Resource) -> bool:
        gate.stop()
        return resource.serial > 0

    pool = make_pool(max_size=1, health=check, delay=LONG)
    gate.arm()
    rounds = spawn(pool._hkRound)
    wait_for(gate.reached)
    waiter = spawn(pool.get, SECONDS)
    waiting(pool, 1)
    gate.opened.set()
    rounds.result()
    assert (waiter.result().serial, factory.made[0].closings) == (1, 1)


def test_examined_object_goes_to_a_waiter(
    make_pool: MakePool, factory: Factory, gate: Gate, spawn: Spawn
) -> None:
    """A token that an examination gives back goes to the one who waits."""
    pool = make_pool(max_size=1, health=gate.hook, delay=LONG)
    gate.arm()
    rounds = spawn(pool._hkRound)
    wait_for(gate.reached)
    waiter = spawn(pool.get, SECONDS)
    waiting(pool, 1)
    gate.opened.set()
    assert waiter.result() is factory.made[0]
    rounds.result()


# the end


def test_shutdown_during_creation(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """An object still being made at the shutdown is closed, not lent."""
    pool = make_pool(slow(factory, gate), max_size=2, min_size=0, closer=Resource.close)
    gate.arm()
    maker = spawn(pool.get)
    wait_for(gate.reached)
    run_all(pool.shutdown, seconds=2.0)
    gate.opened.set()
    with pytest.raises(ppp.PoolException, match="shutting down"):
        maker.result()
    assert [resource.closings for resource in factory.made] == [1]
    stats = pool.stats()
    assert (stats["nobjs"], stats["sem"]) == (0, {"value": 2, "init": 2})
    assert stats["ncreated"] == stats["ndestroys"]


def test_shutdown_during_fill(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """An object made ahead that is still being made at the shutdown is closed, and no other is made."""
    pool = make_pool(slow(factory, gate), max_size=4, min_size=0, closer=Resource.close)
    gate.arm()
    filling = spawn(pool.resize, 3)
    wait_for(gate.reached)
    run_all(pool.shutdown, seconds=2.0)
    gate.opened.set()
    filling.result()
    assert len(factory.numbers) == 1
    assert factory.alive == []
    assert pool.stats()["nobjs"] == 0


def test_shutdown_during_examination(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """An object that is examined at the shutdown is closed once."""
    pool = make_pool(max_size=2, min_size=2, health=gate.hook, delay=LONG)
    gate.arm()
    rounds = spawn(pool._hkRound)
    wait_for(gate.reached)
    run_all(pool.shutdown, seconds=2.0)
    gate.opened.set()
    rounds.result()
    assert [resource.closings for resource in factory.made] == [1, 1]
    assert (pool.stats()["nobjs"], pool.stats()["sem"]["value"]) == (0, 2)


@pytest.mark.parametrize("hook", ["getter", "retter", "opener", "reset"])
def test_shutdown_during_hook(
    factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn, hook: str
) -> None:
    """A shutdown while a hook runs closes each object once, and no lending starts after it."""
    hooks: dict[str, Any] = {hook: gate.hook}
    pool = make_pool(max_size=2, min_size=0, **hooks)

    def use() -> None:
        pool.ret(pool.get())

    gate.arm()
    using = spawn(use)
    wait_for(gate.reached)
    run_all(pool.shutdown, seconds=2.0)
    gate.opened.set()
    try:
        using.result()
    except ppp.PoolException as error:
        assert "shutting down" in str(error)  # noqa: PT017
    assert [resource.closings for resource in factory.made] == [1]
    assert (pool.stats()["nobjs"], pool.stats()["sem"]["value"]) == (0, 2)


def test_shutdown_wakes_those_who_wait(make_pool: MakePool, spawn: Spawn) -> None:
    """Threads that wait for an object are told at once that there will be none."""
    pool = make_pool(max_size=1)
    pool.get()
    tasks = [spawn(pool.get), spawn(pool.get, 60.0)]
    waiting(pool, 2)
    pool.shutdown()
    for task in tasks:
        with pytest.raises(ppp.PoolException, match="shutting down") as raised:
            task.result(2.0)
        assert not isinstance(raised.value, ppp.TimeOut)
    assert pool.stats()["nwaiting"] == 0
    assert pool.stats()["sem"] == {"value": 1, "init": 1}


def test_shutdown_from_two_threads(factory: Factory, make_pool: MakePool, gate: Gate, spawn: Spawn) -> None:
    """Two shutdowns at once close each object once."""
    closed: list[int] = []

    def close(resource: Resource) -> None:
        closed.append(resource.serial)
        gate.stop()

    pool = make_pool(factory, max_size=3, min_size=3, closer=close)
    gate.arm()
    first = spawn(pool.shutdown)
    wait_for(gate.reached)
    second = spawn(pool.shutdown)
    eventually(lambda: len(closed) == 3 or not second.is_alive())
    gate.opened.set()
    first.result()
    second.result()
    assert sorted(closed) == [0, 1, 2]


# interruption


def interrupt(number: int, frame: FrameType | None) -> None:
    """Be a signal handler that ends what it interrupts."""
    raise KeyboardInterrupt


def test_interrupted_wait(make_pool: MakePool, spawn: Spawn) -> None:
    """An interrupt ends a wait, and leaves no place in the queue that would swallow a token."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    main = threading.get_ident()

    def wake() -> None:
        waiting(pool, 1)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        for _ in range(5):
            waker = spawn(wake)
            with pytest.raises(KeyboardInterrupt):
                pool.get(timeout=SECONDS)
            waker.result()
            assert pool.stats()["nwaiting"] == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    pool.ret(lent)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0) is lent


def test_signal_handler_serves_the_wait(make_pool: MakePool, spawn: Spawn) -> None:
    """A signal handler may return the object for which its own thread waits."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    main = threading.get_ident()

    def give_back(number: int, frame: FrameType | None) -> None:
        pool.stats()
        pool.ret(lent)

    def wake() -> None:
        waiting(pool, 1)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, give_back)
    try:
        waker = spawn(wake)
        assert pool.get(timeout=SECONDS) is lent
        waker.result()
    finally:
        signal.signal(signal.SIGUSR1, before)


INTERRUPTIBLE = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "POP_JUMP_BACKWARD")
"""After these instructions CPython looks for signals, and after no other ones."""


def visit(work: Callable[[], Any], guest: Callable[[], Any], limit: int = 2_000) -> int:
    """Do the work again and again, the guest coming in at its first point in the module, then at its second…

    That is what a signal handler does. Returns how many points the work had.
    """
    points = 0
    before = sys.gettrace()
    # at first without the guest: some versions of Python tell instructions only from the second time on
    for wanted in range(-1, limit):
        points = 0
        previous: dict[FrameType, str] = {}

        def trace(frame: FrameType, event: str, _: object, wanted: int = wanted) -> Any:
            nonlocal points
            if frame.f_code.co_filename != ppp.__file__:
                return None
            if event == "call":
                frame.f_trace_opcodes = True
            elif event == "opcode":
                came_from = previous.get(frame, "RESUME")  # noqa: B023
                previous[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]  # noqa: B023
                if came_from.startswith(INTERRUPTIBLE):
                    if points == wanted:
                        guest()
                    points += 1
            return trace

        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)
        if points <= wanted:
            return points
    raise AssertionError(f"more than {limit} points")


@pytest.mark.parametrize("max_size", [0, 3])
@pytest.mark.parametrize("max_use", [0, 1])
def test_use_within_use(factory: Factory, make_pool: MakePool, max_size: int, max_use: int) -> None:
    """What a signal handler does with the pool, at whatever point of it, neither hangs nor harms."""
    pool = make_pool(max_size=max_size, min_size=1, max_use=max_use)

    def work() -> None:
        mine = pool.get(timeout=SECONDS)
        assert mine.alive
        pool.ret(mine)

    def guest() -> None:
        with pool.obj(timeout=0) as first, pool.obj(timeout=0) as second:
            assert first is not second
            assert first.alive
            assert second.alive
        pool.stats()

    task = Task(visit, work, guest)
    task.start()
    assert task.result(30.0) > 10
    stats = pool.stats()
    assert stats["nusing"] == stats["nwaiting"] == 0
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"] == len(factory.made)
    assert len(factory.alive) == stats["nobjs"]
    if max_size:
        assert stats["sem"] == {"value": 3, "init": 3}
        assert factory.most_alive <= 3


def test_use_within_round(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """The same within a round that recycles, kills, examines and fills."""
    pool = make_pool(
        max_size=6,
        min_size=1,
        health=Resource.check,
        max_avail_delay=10.0,
        max_using_delay_kill=10.0,
        delay=LONG,
    )

    def work() -> None:
        idle, _ = pool.get(timeout=0), pool.get(timeout=0)
        pool.ret(idle)
        clock.advance(11.0)
        pool._hkRound()

    def guest() -> None:
        with pool.obj(timeout=0):
            pool.stats()

    task = Task(visit, work, guest)
    task.start()
    assert task.result(30.0) > 10
    clock.advance(11.0)
    pool._hkRound()
    stats = pool.stats()
    assert (stats["nusing"], stats["sem"]) == (0, {"value": 6, "init": 6})
    assert len(factory.alive) == stats["nobjs"]
    assert factory.most_alive <= 6


def test_finalizer_uses_the_pool(make_pool: MakePool) -> None:
    """The finalizer of an object may use the pool while the pool lets go of it."""
    finalized: list[int] = []

    class Thing:
        """A thing whose end needs another one."""

        def __init__(self, number: int) -> None:
            self.number = number

        def __del__(self) -> None:
            if not finalized:
                finalized.append(self.number)
                with pool.obj(timeout=0) as other:
                    finalized.append(other.number)
                    pool.stats()

    pool = make_pool(Thing, max_size=2)
    run_all(pool.__delete__, seconds=2.0)
    assert finalized[0] == 0
    assert len(finalized) == 2
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


# storms in small


@pytest.mark.parametrize("max_size", [1, 3])
def test_small_storm(factory: Factory, make_pool: MakePool, max_size: int) -> None:
    """However threads meet, an object has one holder, the limit holds and everything comes back."""
    holders: dict[Resource, int] = {}
    doubles: list[Resource] = []

    def use() -> None:
        for turn in range(40):
            with pool.obj(timeout=SECONDS) as lent:
                mine = threading.get_ident()
                if holders.setdefault(lent, mine) != mine or not lent.alive:
                    doubles.append(lent)
                if turn % 7 == 0:
                    pool.stats()
                holders.pop(lent, None)

    pool = make_pool(max_size=max_size, min_size=1, max_use=5)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run_all(*[use] * 8, seconds=20.0)
    finally:
        sys.setswitchinterval(interval)
    assert doubles == []
    stats = pool.stats()
    assert (stats["nuses"], stats["nusing"]) == (320, 0)
    assert stats["sem"] == {"value": max_size, "init": max_size}
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
    assert factory.most_alive <= max_size
