"""The housekeeper's thread: when there is one, that it does its rounds, that nothing ends it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from conftest import (
    BUSY,
    HOUR,
    SECONDS,
    Factory,
    MakePool,
    Messages,
    Resource,
    at_rest,
    eventually,
    housekeepers,
    idle_objects,
)

import ProxyPatternPool as ppp


def test_thread(make_pool: MakePool) -> None:
    """A pool with a delay has one daemon thread, named after it; one without has none."""
    before = set(threading.enumerate())
    assert make_pool(name="quiet")._housekeeper is None
    assert housekeepers(before) == []
    pool = make_pool(delay=HOUR, name="db", min_size=0)
    (thread,) = housekeepers(before)
    assert thread.daemon
    assert "db" in thread.name
    pool.shutdown(delay=SECONDS)
    assert (pool._housekeeper, housekeepers(before)) == (None, [])


def test_whole_rounds(make_pool: MakePool, factory: Factory) -> None:
    """The thread by itself closes what idles, kills what is held, refuses the sick, and fills up."""
    delays: dict[str, Any] = {"max_avail_delay": 0.02, "max_using_delay_kill": 0.04, "delay": BUSY}
    pool = make_pool(max_size=4, health=lambda resource: resource.serial != 0, **delays)
    idle_objects(pool, 3)
    held = pool.get()
    eventually(lambda: held.closings == 1)
    eventually(lambda: pool._nobjs == len(pool._avail) == 1)
    assert pool._nkilled >= 1
    assert pool._nrecycled + pool._bad_health >= 2
    assert factory.made[0].closings == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["make", "open", "check", "close"])
def test_thread_outlives_failures(
    factory: Factory, make_pool: MakePool, name: str, error: type[BaseException]
) -> None:
    """No failure of any hook, or of a handler of messages, ends the thread, and the pool recovers."""

    def check(resource: Resource) -> bool:
        resource.check()
        return False

    def times() -> int:
        """Count what was called: each round makes, opens, refuses and closes something."""
        if name == "make":
            return len(factory.numbers)
        return sum(called == name for called, _ in list(factory.calls))

    class Unreliable(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the server for logs is away")

    handler = Unreliable()
    pool = make_pool(max_size=4, min_size=2, delay=BUSY, opener=Resource.open, health=check)
    ppp.log.addHandler(handler)
    try:
        factory.fails[name] = error("no luck")
        known = times()
        eventually(lambda: times() >= known + 3)
    finally:
        ppp.log.removeHandler(handler)
    del factory.fails[name]
    made = len(factory.made)
    eventually(lambda: len(factory.made) >= made + 3)
    pool.shutdown(delay=SECONDS)
    at_rest(pool, factory)
    assert factory.most_alive <= 4


def test_no_more_threads(
    make_pool: MakePool, factory: Factory, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started, that is logged, and the pool works without a housekeeper."""

    def fail(*args: Any, **kwargs: Any) -> int:
        raise RuntimeError("can't start new thread")

    import _thread

    monkeypatch.setattr(_thread, "start_new_thread", fail)
    monkeypatch.setattr(threading.Thread, "start", fail)
    pool = make_pool(max_size=1, delay=HOUR, max_use=1)
    with pool.obj(timeout=0) as lent:
        assert lent.alive
    monkeypatch.undo()
    assert any("can't start new thread" in text for text in messages("ERROR"))
    at_rest(pool, factory)
