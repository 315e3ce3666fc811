"""Rounds of the housekeeper: idle objects, objects held too long, health, filling, and its thread."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Spawn, eventually, wait_for

import ProxyPatternPool as ppp

LONG = 3600.0
"""A delay after which the housekeeper's own first round comes too late for any test."""

# idle


def borrow_all(pool: ppp.Pool[Any], count: int) -> None:
    """Make the pool have that many idle objects."""
    lent = [pool.get(timeout=0) for _ in range(count)]
    for each in reversed(lent):
        pool.ret(each)


def test_idle_are_recycled(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """Objects idle for too long are closed, down to the smallest number."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, delay=LONG)
    borrow_all(pool, 5)
    clock.advance(9.5)
    pool._hkRound()
    assert (factory.closed, pool.stats()["nrecycled"]) == ([], 0)
    clock.advance(1.0)
    pool._hkRound()
    stats = pool.stats()
    assert (len(factory.closed), stats["nrecycled"], stats["ndestroys"], stats["nobjs"]) == (3, 3, 3, 2)
    assert len(factory.made) == 5


def test_used_ones_stay(make_pool: MakePool, clock: Clock) -> None:
    """What was used meanwhile is not idle for too long."""
    pool = make_pool(min_size=0, max_avail_delay=10.0, delay=LONG)
    borrow_all(pool, 2)
    clock.advance(9.0)
    fresh = pool.get()
    pool.ret(fresh)
    clock.advance(2.0)
    pool._hkRound()
    assert (fresh.closings, pool.stats()["nobjs"]) == (0, 1)


def test_lent_ones_count_as_alive(make_pool: MakePool, clock: Clock) -> None:
    """Lent objects are alive too: with them above the smallest number, idle ones go."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, delay=LONG)
    borrow_all(pool, 3)
    lent = [pool.get(), pool.get()]
    clock.advance(11.0)
    pool._hkRound()
    assert [each.closings for each in lent] == [0, 0]
    assert (pool.stats()["nobjs"], pool.stats()["navail"]) == (2, 0)


def test_longest_idle_go_first(make_pool: MakePool, clock: Clock) -> None:
    """Where only some of the idle objects may go, those go that have idled longest."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, delay=LONG)
    lent = [pool.get() for _ in range(4)]
    for rank in (2, 0, 3, 1):
        pool.ret(lent[rank])
        clock.advance(1.0)
    clock.advance(20.0)
    pool._hkRound()
    assert [each.closings for each in lent] == [1, 0, 1, 0]


def test_no_idle_delay(make_pool: MakePool, clock: Clock) -> None:
    """Without an idle delay nothing is recycled."""
    pool = make_pool(min_size=0, delay=LONG)
    borrow_all(pool, 3)
    clock.advance(1e9)
    pool._hkRound()
    assert pool.stats()["nobjs"] == 3


def test_never_lent_is_idle_since_made(make_pool: MakePool, clock: Clock) -> None:
    """An object that was never lent is idle since it was made."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, delay=LONG)
    clock.advance(8.0)
    pool.ret(pool.get())
    pool.resize(min_size=0)
    clock.advance(4.0)
    pool._hkRound()
    assert pool.stats()["nobjs"] == 1


# held too long


def test_held_too_long_is_warned(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """One warning a round says how many are held too long, their mean seconds, and how many to kill."""
    pool = make_pool(max_using_delay=10.0, max_using_delay_kill=100.0, delay=LONG, name="db")
    lent = [pool.get()]
    clock.advance(8.0)
    lent.append(pool.get())
    pool._hkRound()
    assert messages() == []
    clock.advance(12.0)
    lent.append(pool.get())
    pool._hkRound()
    first = messages()
    assert all(text.startswith("pool 'db': ") for text in first)
    pool._hkRound()
    (warning,) = messages()[len(first) :]
    assert "2" in warning
    assert "16" in warning
    assert "0" in warning
    assert [each.closings for each in lent] == [0, 0, 0]


def test_nothing_held_too_long(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """Nothing is said about objects held for a moment, or idle for long."""
    pool = make_pool(min_size=3, max_using_delay=10.0, delay=LONG)
    pool.get()
    clock.advance(9.0)
    pool._hkRound()
    pool.ret(pool.get())
    assert messages() == []


def test_kill(factory: Factory, make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """An object held for far too long is closed, and its token is free for others."""
    pool = make_pool(max_size=2, min_size=0, max_using_delay=10.0, max_using_delay_kill=20.0, delay=LONG)
    old = pool.get()
    clock.advance(12.0)
    young = pool.get()
    clock.advance(9.0)
    pool._hkRound()
    assert (old.closings, young.closings) == (1, 0)
    stats = pool.stats()
    assert (stats["nkilled"], stats["ndestroys"], stats["nusing"], stats["nobjs"]) == (1, 1, 1, 1)
    assert stats["sem"] == {"value": 1, "init": 2}
    assert "1" in messages()[0]
    assert pool.get(timeout=0).serial == 2


def test_kill_is_for_one_lending(make_pool: MakePool, clock: Clock) -> None:
    """An object that comes back and is lent anew while a round is about to kill it is not killed."""

    def trace(resource: Resource) -> str:
        if held:
            pool.ret(held.pop())
            assert pool.get(timeout=0) is resource
        return "traced"

    pool = make_pool(max_size=1, max_using_delay_kill=20.0, delay=LONG, tracer=trace)
    lent = pool.get()
    held = [lent]
    clock.advance(21.0)
    pool._hkRound()
    assert (held, lent.closings, pool.stats()["nkilled"]) == ([], 0, 0)
    pool.ret(lent)
    assert pool.get(timeout=0) is lent


def test_kill_serves_a_waiter(make_pool: MakePool, clock: Clock, spawn: Spawn) -> None:
    """A thread that waits gets an object as soon as a held one was killed."""
    pool = make_pool(max_size=1, max_using_delay_kill=20.0, delay=LONG)
    old = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    clock.advance(21.0)
    pool._hkRound()
    fresh = waiter.result()
    assert (old.closings, fresh.closings) == (1, 0)


def test_no_kill_delay(make_pool: MakePool, clock: Clock) -> None:
    """Without a kill delay an object may be held for ever."""
    pool = make_pool(max_using_delay=10.0, delay=LONG)
    lent = pool.get()
    clock.advance(1e9)
    pool._hkRound()
    assert (lent.closings, pool.stats()["nkilled"]) == (0, 0)


def test_no_using_delay(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """Without either delay nothing is said or killed."""
    pool = make_pool(delay=LONG)
    pool.get()
    clock.advance(1e9)
    pool._hkRound()
    assert (messages(), pool.stats()["nkilled"]) == ([], 0)


def test_killed_are_replaced(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """A round fills up what it killed."""
    pool = make_pool(max_size=2, min_size=2, max_using_delay_kill=20.0, delay=LONG)
    pool.get()
    pool.get()
    clock.advance(21.0)
    pool._hkRound()
    assert (len(factory.closed), len(factory.alive), pool.stats()["navail"]) == (2, 2, 2)


def test_held_too_long_with_bad_tracer(make_pool: MakePool, clock: Clock) -> None:
    """A tracer that raises doesn't keep a round from its work."""

    def no_text(thing: object) -> str:
        raise ValueError("no text")

    pool = make_pool(
        max_size=2, min_size=0, max_using_delay=5.0, max_using_delay_kill=20.0, delay=LONG, tracer=no_text
    )
    lent = [pool.get(), pool.get()]
    clock.advance(6.0)
    pool._hkRound()
    clock.advance(15.0)
    pool._hkRound()
    assert [each.closings for each in lent] == [1, 1]


# health


def test_health(factory: Factory, make_pool: MakePool) -> None:
    """Idle objects that health refuses are closed, the others stay."""
    pool = make_pool(max_size=4, min_size=3, health=Resource.check, delay=LONG)
    factory.made[1].healthy = False
    pool._hkRound()
    assert [resource.closings for resource in factory.made] == [0, 1, 0, 0]
    stats = pool.stats()
    counts = ("nhealth", "bad_health", "nborrows", "nreturns", "hc_rounds", "hc_errors", "ndestroys", "nobjs")
    assert [stats[key] for key in counts] == [3, 1, 3, 2, 1, 0, 1, 3]
    assert stats["sem"] == {"value": 4, "init": 4}
    assert stats["nuses"] == 0


def test_health_of_lent(factory: Factory, make_pool: MakePool) -> None:
    """An object in use is not examined."""
    pool = make_pool(max_size=2, health=Resource.check, delay=LONG)
    pool.get().healthy = False
    pool._hkRound()
    assert (factory.calls, factory.closed) == ([], [])


@pytest.mark.parametrize("freq", [1, 2, 3])
def test_health_freq(make_pool: MakePool, freq: int) -> None:
    """Health is checked every `health_freq` rounds."""
    pool = make_pool(health=Resource.check, health_freq=freq, delay=LONG)
    for _ in range(6):
        pool._hkRound()
    stats = pool.stats()
    assert (stats["hk_rounds"], stats["hc_rounds"], stats["nhealth"]) == (6, 6 // freq, 6 // freq)


def test_health_that_raises(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A health hook that raises says no: counted, logged, and the object is closed."""
    pool = make_pool(max_size=4, min_size=2, health=Resource.check, delay=LONG)
    factory.fails["check"] = ValueError("no answer")
    pool._hkRound()
    stats = pool.stats()
    assert (stats["hc_errors"], stats["ndestroys"], stats["nobjs"]) == (2, 2, 2)
    assert [resource.closings for resource in factory.made] == [1, 1, 0, 0]
    assert any("no answer" in text for text in messages("ERROR"))


def test_examined_object_is_not_lent(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """While an object is examined nobody else gets it, and its examination holds one token."""
    begun, go_on = threading.Event(), threading.Event()

    def check(resource: Resource) -> bool:
        begun.set()
        wait_for(go_on)
        return False

    pool = make_pool(max_size=1, min_size=1, health=check, delay=LONG)
    one = factory.made[0]
    rounds = spawn(pool._hkRound)
    wait_for(begun)
    stats = pool.stats()
    assert (stats["navail"], stats["sem"]) == (0, {"value": 0, "init": 1})
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    go_on.set()
    rounds.result()
    assert waiter.result() is not one
    assert one.closings == 1


def test_examined_one_at_a_time(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """Only one object is away for examination, the others can be lent meanwhile."""
    begun, go_on = threading.Event(), threading.Event()

    def check(resource: Resource) -> bool:
        begun.set()
        wait_for(go_on)
        return True

    pool = make_pool(max_size=3, min_size=3, health=check, delay=LONG)
    rounds = spawn(pool._hkRound)
    wait_for(begun)
    lent = [pool.get(timeout=0), pool.get(timeout=0)]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    for each in lent:
        pool.ret(each)
    go_on.set()
    rounds.result()
    assert (pool.stats()["navail"], pool.stats()["sem"]["value"]) == (3, 3)


def test_examination_is_no_use(make_pool: MakePool, clock: Clock) -> None:
    """Being examined neither makes an object younger nor counts as a use."""
    pool = make_pool(
        min_size=0, max_use=2, max_avail_delay=10.0, health=Resource.check, delay=LONG,
        getter=Resource.lend, retter=Resource.take_back,
    )  # fmt: skip
    lent = pool.get()
    pool.ret(lent)
    for _ in range(3):
        clock.advance(3.0)
        pool._hkRound()
    assert (lent.closings, lent.gets, lent.rets, pool.stats()["nhealth"]) == (0, 1, 1, 3)
    clock.advance(3.0)
    pool._hkRound()
    assert lent.closings == 1


# filling


def test_round_fills(factory: Factory, make_pool: MakePool) -> None:
    """A round makes up to the smallest number."""
    factory.fails["make"] = OSError("no server")
    pool = make_pool(min_size=3, delay=LONG)
    factory.fails.clear()
    pool._hkRound()
    assert pool.stats()["navail"] == 3


def test_round_stops_at_first_failure(
    factory: Factory, make_pool: MakePool, messages: Messages, clock: Clock
) -> None:
    """A round that fails to fill stops at the first failure, and the next round tries again."""
    factory.fails["make"] = OSError("no server")
    pool = make_pool(min_size=3, delay=LONG)
    for rounds in range(10):
        clock.advance(LONG)
        known = len(factory.numbers)
        pool._hkRound()
        assert len(factory.numbers) == known + 1, rounds
    assert sum("new object failed: " in text for text in messages("ERROR")) == len(factory.numbers)
    factory.fails.clear()
    clock.advance(LONG)
    pool._hkRound()
    assert (pool.stats()["navail"], pool.stats()["hk_rounds"]) == (3, 11)


def test_fill_keeps_the_limit(factory: Factory, make_pool: MakePool) -> None:
    """Filling never makes more than the limit, whatever is lent."""
    pool = make_pool(max_size=3, min_size=3, delay=LONG)
    lent = [pool.get() for _ in range(3)]
    pool._hkRound()
    pool.invalidate(lent[0])
    pool._hkRound()
    assert (factory.most_alive, pool.stats()["nobjs"]) == (3, 3)


# time


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_wall_clock(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, messages: Messages, step: float
) -> None:
    """A step of the wall clock kills, recycles and expires nothing, and times stay sane."""
    pool = make_pool(
        min_size=0,
        max_avail_delay=100.0,
        max_using_delay=100.0,
        max_using_delay_kill=200.0,
        max_lifetime=300.0,
        delay=LONG,
    )
    lent, idle = pool.get(), pool.get()
    pool.ret(idle)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    pool._hkRound()
    assert (lent.closings, idle.closings, messages()) == (0, 0, [])
    stats = pool.stats()
    assert 0.0 <= stats["running"] < 60.0
    assert -60.0 < stats["rel_hk_last"] <= 0.0
    assert all(-60.0 < entry["last_get"] <= 0.0 for entry in stats["using"] + stats["avail"])
    pool.ret(lent)
    assert pool.get() is lent


# the thread


def housekeepers(before: set[threading.Thread]) -> list[threading.Thread]:
    """List the threads that came since then."""
    return [thread for thread in threading.enumerate() if thread not in before]


def test_thread(make_pool: MakePool) -> None:
    """A pool with a delay has one daemon thread, named after it; one without has none."""
    before = set(threading.enumerate())
    make_pool(name="quiet")
    assert housekeepers(before) == []
    make_pool(delay=LONG, name="db")
    (thread,) = housekeepers(before)
    assert thread.daemon
    assert "db" in thread.name


def test_thread_without_objects(make_pool: MakePool) -> None:
    """The thread is there from the beginning, though no object is made ahead."""
    before = set(threading.enumerate())
    pool = make_pool(min_size=0, delay=0.002)
    assert len(housekeepers(before)) == 1
    eventually(lambda: pool.stats()["hk_rounds"] >= 2)


def test_thread_does_rounds(make_pool: MakePool) -> None:
    """The thread does round after round, at the given delay."""
    pool = make_pool(delay=0.002)
    eventually(lambda: pool.stats()["hk_rounds"] >= 5)
    stats = pool.stats()
    assert stats["hk_errors"] == 0
    assert 0.0 <= stats["time_per_hk"] < 1.0
    assert -5.0 < stats["rel_hk_last"] <= 0.0


def test_thread_recycles(make_pool: MakePool, factory: Factory) -> None:
    """The thread by itself closes what idles, kills what is held, and fills up."""
    pool = make_pool(max_size=4, min_size=1, max_avail_delay=0.02, max_using_delay_kill=0.04)
    borrow_all(pool, 3)
    held = pool.get()
    eventually(lambda: held.closings == 1)
    eventually(lambda: pool.stats()["nobjs"] == pool.stats()["navail"] == 1)
    stats = pool.stats()
    assert stats["nkilled"] == 1
    assert stats["nrecycled"] >= 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["make", "open", "check", "close"])
def test_thread_outlives_failures(
    factory: Factory, make_pool: MakePool, name: str, error: type[BaseException]
) -> None:
    """No failure of any hook ends the thread, and the pool recovers when the failures end."""

    def check(resource: Resource) -> bool:
        resource.check()
        return False

    def times() -> int:
        """Count what was called: each round makes, opens, refuses and closes something."""
        if name == "make":
            return len(factory.numbers)
        return sum(called == name for called, _ in list(factory.calls))

    pool = make_pool(max_size=4, min_size=2, delay=0.002, opener=Resource.open, health=check)
    lent = pool.get()
    factory.fails[name] = error("no luck")
    known = times()
    eventually(lambda: times() >= known + 3)
    del factory.fails[name]
    made = len(factory.made)
    eventually(lambda: len(factory.made) >= made + 3)
    pool.ret(lent)
    pool.shutdown(delay=5.0)
    assert factory.alive == []
    stats = pool.stats()
    assert (stats["sem"], stats["nobjs"]) == ({"value": 4, "init": 4}, 0)
    assert factory.most_alive <= 4


def test_busy_thread_keeps_nobody_waiting(factory: Factory, make_pool: MakePool) -> None:
    """While the thread is stuck in a check, others get, return and read the statistics."""
    begun, go_on = threading.Event(), threading.Event()

    def check(resource: Resource) -> bool:
        begun.set()
        wait_for(go_on)
        return True

    pool = make_pool(max_size=2, min_size=2, health=check, delay=0.001)
    wait_for(begun)
    lent = pool.get(timeout=0)
    assert pool.stats()["nusing"] >= 1
    pool.ret(lent)
    go_on.set()
    eventually(lambda: pool.stats()["hc_rounds"] >= 1)
