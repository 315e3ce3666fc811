"""The housekeeper and its rounds: what idles, is held too long or is too old goes; nothing ends it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Spawn
from helpers import BUSY, HOUR, at_rest, eventually, keep_house, no_luck, numbers, rounds, uncollected

import ProxyPatternPool as ppp


def test_idle_are_recycled(make_pool: MakePool, clock: Clock) -> None:
    """Objects idle for too long, though examined, are closed, the longest idle first, down to `min_size`."""
    pool = make_pool(min_size=2, max_avail_delay=10.0, health=Resource.check, delay=HOUR)
    lent = [pool.get() for _ in range(4)]
    for rank in (2, 3, 0):
        pool.ret(lent[rank])
        clock.advance(1.0)
    clock.advance(7.5)
    keep_house(pool)
    assert [each.closings for each in lent] == [0, 0, 1, 0]
    clock.advance(2.0)
    keep_house(pool)
    assert [each.closings for each in lent] == [0, 0, 1, 1]
    assert numbers(pool, "nrecycled ndestroys nobjs navail ncreated") == [2, 2, 2, 1, 4]


def test_account_of_holders(make_pool: MakePool, clock: Clock, messages: Messages, spawn: Spawn) -> None:
    """A warning is followed once for each lending by the object, its thread, and the line that asked."""
    pool = make_pool(max_using_delay=10.0, delay=HOUR, name="db", tracer=lambda thing: f"<{thing.serial}>")

    def hold() -> Any:
        return pool.get()

    @pool.obj()
    def decorated() -> None:
        for _ in range(2):
            clock.advance(11.0)
            keep_house(pool)

    for lending in range(2):
        holder = spawn(hold)
        lent = holder.result()
        lines = [hold.__code__.co_firstlineno + 1]
        with contextlib.ExitStack() as stack:
            stack.enter_context(pool.obj())
            lines.append(sys._getframe().f_lineno - 1)
            with pool.obj():
                lines.append(sys._getframe().f_lineno - 1)
                decorated()
                lines.append(sys._getframe().f_lineno - 1)
        pool.ret(lent)
        accounts = [text for text in messages() if Path(__file__).name in text][lending * 4 :]
        for serial, (account, line) in enumerate(zip(sorted(accounts), lines, strict=True)):
            thread = threading.current_thread() if serial else holder
            for text in ("db", f"<{serial}>", thread.name, str(line)):
                assert text in account
            assert Path(ppp.__file__).name not in account


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
    clock.advance(949.0)
    closed = []
    for _ in range(53):
        keep_house(pool)
        closed.append(sum(factory.closings))
        clock.advance(1.0)
    assert (closed[0], len(set(closed)) > 15) == (0, True)
    assert (factory.closings, factory.most_alive) == ([1] * 100 + [0] * 100, 100)


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_wall_clock(
    factory: Factory, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, messages: Messages, step: float
) -> None:
    """A step of the wall clock kills, recycles, expires and examines nothing, and times stay sane."""
    delays = "max_avail_delay max_using_delay max_using_delay_kill max_lifetime check_after_idle"
    parameters: dict[str, Any] = dict.fromkeys(delays.split(), 300.0)
    pool = make_pool(max_size=3, min_size=0, health=Resource.check, delay=HOUR, **parameters)
    pool.get()
    pool.ret(pool.get())
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    pool._hkRound()
    pool._empty()
    pool.ret(pool.get())
    assert (factory.closings, messages(), factory.calls) == ([0, 0], [], [])
    stats = pool.stats()
    times = [stats["running"], stats["use_time"], -stats["rel_hk_last"]]
    times += [-entry[key] for entry in stats["using"] + stats["avail"] for key in ("last_get", "last_ret")]
    assert [time for time in times if not 0.0 <= time < 60.0] == []


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["make", "open", "check", "close"])
def test_thread_outlives_failures(factory: Factory, make_pool: MakePool, name: str, error: Any) -> None:
    """No failure of any hook, or of a handler of messages, ends the thread, and the pool recovers."""

    def check(resource: Resource) -> bool:
        resource.check()
        return False

    pool = make_pool(max_size=4, min_size=2, delay=BUSY, opener=Resource.open, health=check)
    with mock.patch.object(ppp.log, "handlers", [mock.Mock(level=0, handle=no_luck)]):
        factory.fails[name] = error("no luck")
        rounds(pool)  # each makes, opens, refuses and closes something
    del factory.fails[name]
    made = len(factory.made)
    eventually(lambda: len(factory.made) >= made + 3)
    pool.shutdown(delay=5.0)
    at_rest(pool, factory)
    assert factory.most_alive <= 4


class TimedLock(type(threading.RLock())):  # type: ignore[misc]
    """A lock that measures how long it is held at most, in processor time of its holder."""

    longest = 0.0
    since: tuple[float, ...] = ()

    def __enter__(self) -> None:
        super().__enter__()
        self.since = (*self.since, time.thread_time())

    def __exit__(self, *_: object) -> None:
        self.longest = max(self.longest, time.thread_time() - self.since[-1])
        self.since = self.since[:-1]
        super().release()


def measure(size: int) -> tuple[float, float]:
    """Measure a round of that many idle objects, and how long it holds the lock, at best."""
    delays = dict.fromkeys(("max_avail_delay", "max_using_delay_kill", "max_lifetime"), 7200.0)
    parameters: dict[str, Any] = {**delays, "delay": HOUR, "health": id}
    taken, held = [], []
    with ppp.Pool(float, size, size, **parameters) as pool, uncollected():
        for _ in range(3):
            pool._lock = lock = TimedLock()
            start = time.thread_time()
            keep_house(pool)
            taken.append(time.thread_time() - start)
            held.append(lock.longest)
    assert pool._nhealth == 3 * size
    return min(taken), min(held)


@pytest.mark.untraced
def test_many_objects() -> None:
    """Rounds take a linear time, and with 20,000 idle objects hold the lock for less than 1 ms at a time."""
    (few, _), (many, held) = measure(5_000), measure(20_000)
    assert many < 12 * few  # four times as many take four times as long, or sixteen if it were quadratic
    assert held < 0.001
