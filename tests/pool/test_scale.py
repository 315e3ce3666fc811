"""Scale: many idle objects, and many uses."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from conftest import HOUR, Thing, keep_house

import ProxyPatternPool as ppp

pytestmark = pytest.mark.untraced


class TimedLock:
    """A lock that measures how long it is held by each outermost holder, in processor time of that thread."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._since: list[float] = []
        self.held: list[float] = []

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        """Acquire, and note when."""
        got = bool(self._lock.acquire(*args, **kwargs))
        self._since.append(time.thread_time())
        return got

    def release(self, *_: object) -> None:
        """Release, and note after how long."""
        since = self._since.pop()
        if not self._since:
            self.held.append(time.thread_time() - since)
        self._lock.release()

    __enter__, __exit__ = acquire, release

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def times(size: int) -> tuple[float, float]:
    """Measure a round of that many idle objects, and how long it holds the lock, at best."""
    parameters: dict[str, Any] = dict.fromkeys(("max_avail_delay", "max_using_delay_kill"), 7200.0)
    pool = ppp.Pool(
        Thing, size, size, health=lambda thing: True, delay=HOUR, max_lifetime=7200.0, **parameters
    )
    lock = TimedLock(pool._lock)
    pool._lock = lock
    taken, held = [], []
    gc.collect()
    gc.disable()  # the collector's own pauses are not the pool's
    try:
        for _ in range(3):
            lock.held.clear()
            start = time.thread_time()
            keep_house(pool)
            taken.append(time.thread_time() - start)
            pool.ret(pool.get())
            held.append(max(lock.held))
    finally:
        gc.enable()
        pool._lock = lock._lock
    assert pool._nhealth == 3 * size
    pool.shutdown()
    return min(taken), min(held)


def test_rounds() -> None:
    """Rounds take a linear time, and with 20,000 idle objects hold the lock for less than 1 ms at a time."""
    (few, _), (many, held) = times(5_000), times(20_000)
    print(f"\na round: {few * 1000:.1f} ms for 5,000 idle objects, {many * 1000:.1f} ms for 20,000")
    print(f"the lock was held for at most {held * 1e6:.0f} µs")
    assert many < 12 * few  # four times as many take four times as long, or sixteen if it were quadratic
    assert held < 0.001
