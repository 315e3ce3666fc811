"""Rounds: what idles, is held too long or is too old goes, and the wall clock has no part in it."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    HOUR,
    SECONDS,
    Clock,
    Factory,
    MakePool,
    Messages,
    Resource,
    Spawn,
    at_rest,
    idle_objects,
    keep_house,
    none_left,
    numbers,
    permits,
    waiting,
)

import ProxyPatternPool as ppp

# idle


def test_idle_are_recycled(make_pool: MakePool, clock: Clock) -> None:
    """Objects idle for too long are closed, the longest idle first, down to the smallest number alive."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, delay=HOUR)
    lent = [pool.get() for _ in range(4)]
    for rank in (2, 3, 0):
        pool.ret(lent[rank])
        clock.advance(1.0)
    clock.advance(7.5)
    keep_house(pool)
    assert [each.closings for each in lent] == [0, 0, 1, 0]
    clock.advance(20.0)
    keep_house(pool)
    assert [each.closings for each in lent] == [0, 0, 1, 1]
    assert numbers(pool, "nrecycled ndestroys nobjs navail ncreated") == [2, 2, 2, 1, 4]


def test_no_delays(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """Without delays nothing is recycled, nothing is killed and nothing is said."""
    pool = make_pool(min_size=0, delay=HOUR)
    idle_objects(pool, 3)
    pool.get()
    clock.advance(1e9)
    keep_house(pool)
    assert (pool._nobjs, messages()) == (3, [])


# held too long


def test_round_queues_and_empty_destroys(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """`_hkRound` moves the killed and the recycled to `_todel`, calling no hook; `_empty` destroys these."""
    pool = make_pool(
        max_size=4, min_size=0, max_avail_delay=10.0, max_using_delay_kill=20.0, delay=HOUR, tracer=str
    )
    killed, recycled, kept = pool.get(), pool.get(), pool.get()
    pool.ret(recycled)
    clock.advance(15.0)
    pool.ret(kept)
    assert pool.get() is kept  # a lending of its own
    clock.advance(6.0)
    pool._hkRound()
    assert set(pool._todel) == {killed, recycled}
    assert (list(pool._using), list(pool._avail), factory.calls) == ([kept], [], [])
    assert numbers(pool, "nkilled nrecycled ndestroys ntodel") == [1, 1, 0, 2]
    assert permits(pool) == (1, 4)
    pool._empty()
    assert set(factory.closed) == {killed, recycled}
    assert (pool._ndestroys, len(pool._todel), permits(pool)) == (2, 0, (3, 4))
    pool.ret(kept)
    at_rest(pool, factory)


# who holds an object too long

HERE = Path(__file__).name


def line() -> int:
    """Give the line from which this is called."""
    return sys._getframe(1).f_lineno


def accounts(messages: Messages, text: str) -> list[str]:
    """Give the warnings that name a holder of the object with that text."""
    return [each for each in messages() if text in each and HERE in each]


def test_account_of_get(make_pool: MakePool, clock: Clock, messages: Messages, spawn: Spawn) -> None:
    """The warning is followed once for each lending by the object, its thread, and the line of `get`."""
    pool = make_pool(max_size=1, max_using_delay=10.0, delay=HOUR, name="db", tracer=lambda thing: "<it>")
    place: list[int] = []

    def hold() -> Any:
        place.append(line() + 1)
        return pool.get(SECONDS)

    first = spawn(hold)
    lent = first.result()
    second = spawn(hold)
    waiting(pool, 1)
    clock.advance(11.0)
    keep_house(pool)
    keep_house(pool)
    (account,) = accounts(messages, "<it>")
    for text in ("db", first.name, str(place[0])):
        assert text in account
    assert messages().index(account) > 0
    pool.ret(lent)
    assert second.result() is lent
    keep_house(pool)
    clock.advance(11.0)
    keep_house(pool)
    assert second.name in accounts(messages, "<it>")[1]
    assert len(accounts(messages, "<it>")) == 2


def test_account_of_a_block(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """The line of a block is that of the user's program, also where `contextlib` stands between."""
    pool = make_pool(max_size=3, max_using_delay=10.0, delay=HOUR, tracer=lambda thing: f"<{thing.serial}>")

    @pool.obj()
    def decorated() -> None:
        clock.advance(11.0)
        keep_house(pool)

    with contextlib.ExitStack() as stack:
        stack.enter_context(pool.obj())
        places = [line() - 1]
        with pool.obj():
            places.append(line() - 1)
            decorated()
            places.append(line() - 1)
    for serial, place in enumerate(places):
        (account,) = accounts(messages, f"<{serial}>")
        assert str(place) in account
        assert Path(ppp.__file__).name not in account


# lifetime


@pytest.mark.parametrize("how", ["lent", "returned", "idle"])
def test_lifetime(factory: Factory, make_pool: MakePool, clock: Clock, how: str) -> None:
    """An object past its lifetime is destroyed instead of lent or kept, never while in use, and replaced."""
    pool = make_pool(max_size=2, max_lifetime=100.0, delay=HOUR)
    (old,) = factory.made
    pool.ret(pool.get())
    clock.advance(94.0)
    keep_house(pool)
    assert pool.get() is old
    if how == "returned":
        clock.advance(7.0)
        keep_house(pool)
        assert old.alive
    pool.ret(old)
    clock.advance(7.0)
    if how == "idle":
        keep_house(pool)
    with pool.obj() as fresh:
        assert (fresh is old, old.closings) == (False, 1)
    assert numbers(pool, "nexpired ndestroys nrecycled") == [1, 1, 0]
    at_rest(pool, factory)


def test_spread(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """Objects made together do not all end together: limits are shortened by up to 5 %."""
    pool = make_pool(max_size=100, min_size=100, max_lifetime=1000.0, delay=HOUR)
    first = factory.made[:]
    clock.advance(949.0)
    keep_house(pool)
    assert factory.closed == []
    ends = []
    for _ in range(52):
        clock.advance(1.0)
        known = len(factory.closed)
        keep_house(pool)
        ends.append(len(factory.closed) - known)
    assert factory.closed == first
    assert max(ends) < 25
    assert sum(1 for count in ends if count) > 15
    assert (len(factory.alive), factory.most_alive) == (100, 100)


# time


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_wall_clock(
    factory: Factory, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, messages: Messages, step: float
) -> None:
    """A step of the wall clock kills, recycles, expires and examines nothing, and times stay sane."""
    delays = "max_avail_delay max_using_delay max_using_delay_kill max_lifetime check_after_idle"
    parameters: dict[str, Any] = dict.fromkeys(delays.split(), 300.0)
    pool = make_pool(max_size=3, min_size=0, health=Resource.check, delay=HOUR, **parameters)
    lent, idle = pool.get(), pool.get()
    pool.ret(idle)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    pool._hkRound()
    pool._empty()
    pool.ret(pool.get())
    assert (lent.closings, idle.closings, messages(), factory.calls) == (0, 0, [], [])
    stats = pool.stats()
    assert 0.0 <= stats["running"] < 60.0
    assert 0.0 <= stats["use_time"] < 60.0
    assert -60.0 < stats["rel_hk_last"] <= 0.0
    for entry in stats["using"] + stats["avail"]:
        assert -60.0 < entry["last_get"] <= 0.0
        assert -60.0 < entry["last_ret"] <= 0.0
    idle_objects(pool, 2)
    start = time.monotonic()
    for _ in range(2):
        pool.get()
    none_left(pool, 0.05)
    assert time.monotonic() - start < 5.0
