"""Scale and time: many idle objects, many short threads, and a wall clock that jumps."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource, run_all

import ProxyPatternPool as ppp


class Thing:
    """A cheap object that has a health."""

    __slots__ = ("__weakref__",)

    def good(self) -> bool:
        """Be healthy."""
        return True


def big_pool(size: int) -> ppp.Pool[Thing]:
    """Build a pool of that many idle objects, whose rounds are called by hand."""
    return ppp.Pool(
        lambda number: Thing(),
        max_size=size,
        min_size=size,
        max_avail_delay=7200.0,
        max_using_delay_kill=7200.0,
        health=Thing.good,
        delay=3600.0,
        max_lifetime=7200.0,
    )


def seconds(work: Callable[[], object]) -> float:
    """Measure what a piece of work takes at best, in processor time, since the machine may be busy."""
    times = []
    for _ in range(3):
        gc.collect()
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


def test_rounds_are_linear() -> None:
    """A round over 20,000 idle objects takes at most about four times one over 5,000."""
    small, large = big_pool(5_000), big_pool(20_000)
    few, many = seconds(small._hkRound), seconds(large._hkRound)
    assert large.stats()["nhealth"] == 60_000
    small.shutdown()
    large.shutdown()
    print(f"\na round: {few * 1000:.1f} ms for 5,000 idle objects, {many * 1000:.1f} ms for 20,000")
    assert many < 12 * few  # four times as many take four times as long, or sixteen if it were quadratic


class TimedLock:
    """A lock that measures how long it is held by each outermost holder, in processor time of that thread."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._depth = 0
        self._since = 0.0
        self.held: list[float] = []

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        """Acquire, and note when."""
        got = bool(self._lock.acquire(*args, **kwargs))
        if got:
            self._depth += 1
            if self._depth == 1:
                self._since = time.thread_time()
        return got

    def release(self) -> None:
        """Release, and note after how long."""
        if self._depth == 1:
            self.held.append(time.thread_time() - self._since)
        self._depth -= 1
        self._lock.release()

    def __enter__(self) -> bool:
        """Acquire."""
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        """Release."""
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def test_lock_is_never_held_long() -> None:
    """With 20,000 idle objects, rounds and statistics hold the lock for less than 1 ms at a time."""
    pool = big_pool(20_000)
    lock = TimedLock(pool._lock)
    pool._lock = lock
    worst = []
    gc.disable()  # the collector's own pauses are not the pool's
    try:
        for _ in range(3):
            lock.held.clear()
            pool._hkRound()
            pool.stats()
            pool.ret(pool.get())
            worst.append(max(lock.held))
            assert len(lock.held) > 3
    finally:
        gc.enable()
    pool._lock = lock._lock
    pool.shutdown()
    print(f"\nthe lock was held for at most {min(worst) * 1e6:.0f} µs")
    assert min(worst) < 0.001


def test_users_go_on_during_a_round() -> None:
    """While rounds go over 20,000 idle objects, a get and return takes no longer than a few milliseconds."""
    pool = big_pool(20_000)
    stop = threading.Event()
    rounds = 0

    def housekeeping() -> None:
        nonlocal rounds
        while not stop.is_set():
            pool._hkRound()
            rounds += 1

    thread = threading.Thread(target=housekeeping, daemon=True)
    thread.start()
    times = []
    limit = time.monotonic() + 0.7
    while time.monotonic() < limit or rounds < 2:
        start = time.perf_counter()
        pool.ret(pool.get(timeout=5.0))
        times.append(time.perf_counter() - start)
    stop.set()
    thread.join(20)
    pool.shutdown()
    times.sort()
    median, late = times[len(times) // 2], times[-len(times) // 100]
    print(f"\nget and ret during rounds: median {median * 1e6:.0f} µs, 99 % {late * 1e3:.1f} ms")
    assert not thread.is_alive()
    assert len(times) > 20
    assert median < 0.02  # twice what Python itself takes to switch threads, and more


@pytest.mark.parametrize("reclaim", [True, False], ids=["reclaimed", "returned"])
def test_many_short_threads_through_a_proxy(reclaim: bool) -> None:
    """Thousands of short threads through a pooled proxy (10,000 with `reclaim`) leave memory as it was."""
    made: list[int] = []

    def fun(number: int) -> Thing:
        made.append(number)
        return Thing()

    proxy: Any = ppp.Proxy(fun=fun, max_size=4, timeout=10.0, reclaim=reclaim)

    def use() -> None:
        assert proxy.good()
        if not reclaim:
            proxy._ret_obj()

    def run(threads: int) -> int:
        for _ in range(threads // 4):
            batch = [threading.Thread(target=use) for _ in range(4)]
            for thread in batch:
                thread.start()
            for thread in batch:
                thread.join(20)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0

    run(7_000 if reclaim else 500)
    tracemalloc.start()
    try:
        before = run(1_000 if reclaim else 200)
        after = run(2_000 if reclaim else 1_000)
    finally:
        tracemalloc.stop()
    stats = proxy._pool.stats()
    assert stats["nuses"] == (10_000 if reclaim else 1_700)
    assert stats["nusing"] == 0
    assert len(made) <= 4
    print(f"\nsome thousand more threads: {after - before} bytes more")
    assert after - before < 50_000
    proxy._pool.shutdown()


def test_many_uses_leave_no_trace(make_pool: MakePool) -> None:
    """Fifty thousand gets, timeouts and creations leave memory as it was."""
    pool: ppp.Pool[Thing] = make_pool(lambda number: Thing(), max_size=2, min_size=1, max_use=10)

    def use(times: int) -> None:
        for _ in range(times):
            with pool.obj(), pool.obj(), pytest.raises(ppp.TimeOut):
                pool.get(timeout=0)

    use(200)
    gc.collect()
    tracemalloc.start()
    try:
        use(500)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        use(3_000)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    print(f"\n3,000 more turns: {after - before} bytes more")
    assert after - before < 50_000


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_wall_clock_jumps(
    factory: Factory, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The wall clock an hour forward or back kills and recycles nothing, and times in `stats` stay sane."""
    wall = time.time
    pool = make_pool(
        max_size=4,
        min_size=1,
        max_avail_delay=600.0,
        max_using_delay_kill=600.0,
        max_lifetime=600.0,
        check_after_idle=600.0,
        health=Resource.check,
        delay=3600.0,
    )
    held = pool.get()
    pool.ret(pool.get())
    before = pool.stats()
    monkeypatch.setattr(time, "time", lambda: wall() + hours * 3600)
    for _ in range(3):
        pool._hkRound()
    pool.ret(pool.get())
    stats = pool.stats()
    assert (stats["nkilled"], stats["nrecycled"], stats["nexpired"], stats["ndestroys"]) == (0, 0, 0, 0)
    assert (stats["nusing"], stats["navail"]) == (1, 1)
    assert stats["started"] == before["started"]
    assert 0 <= stats["running"] < 60
    assert abs(stats["now"] - before["now"]) < 60 or abs(stats["now"] - wall() - hours * 3600) < 60
    assert -60 < stats["rel_hk_last"] <= 0
    for entry in stats["using"] + stats["avail"]:
        assert -60 < entry["last_get"] <= 0
        assert -60 < entry["last_ret"] <= 0
    assert 0 <= stats["use_time"] < 60
    start = time.monotonic()
    pool.ret(held)
    others = [pool.get(timeout=0) for _ in range(4)]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0.05)
    assert time.monotonic() - start < 5
    for thing in others:
        pool.ret(thing)
    assert all(resource.alive for resource in factory.made)


def test_a_hundred_lifetimes_do_not_end_together(make_pool: MakePool, factory: Factory, clock: Any) -> None:
    """A hundred objects made together under `max_lifetime` do not end in the same round."""
    pool = make_pool(max_size=100, min_size=100, max_lifetime=1000.0, delay=36_000.0)
    clock.advance(949)
    pool._hkRound()
    assert all(resource.alive for resource in factory.made[:100])
    ends: list[int] = []
    left = 100
    for _ in range(60):
        clock.advance(1)
        pool._hkRound()
        now = sum(resource.alive for resource in factory.made[:100])
        ends.append(left - now)
        left = now
    assert left == 0
    assert max(ends) < 25
    assert sum(1 for count in ends if count) > 15
    assert len(factory.alive) == 100


def test_storm_of_creations_and_returns_at_scale() -> None:
    """Hundreds of objects made, lent and closed by 8 threads at once keep the account straight."""
    lock = threading.Lock()
    alive = {"now": 0, "most": 0}

    def fun(number: int) -> Thing:
        with lock:
            alive["now"] += 1
            alive["most"] = max(alive.values())
        return Thing()

    def closer(thing: Thing) -> None:
        with lock:
            alive["now"] -= 1

    pool: ppp.Pool[Thing] = ppp.Pool(fun, max_size=200, min_size=0, max_use=2, closer=closer)

    def work() -> None:
        for _ in range(20):
            things = [pool.get(timeout=10.0) for _ in range(25)]
            for thing in things:
                pool.ret(thing)

    run_all(*[work] * 8, seconds=30.0)
    stats = pool.stats()
    assert stats["sem"] == {"value": 200, "init": 200}
    assert stats["nuses"] == 8 * 20 * 25
    assert alive["most"] <= 200
    assert stats["ncreated"] - stats["ndestroys"] == stats["nobjs"] == alive["now"]
    pool.shutdown()
    assert alive["now"] == 0
