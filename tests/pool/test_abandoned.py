"""A pool without references goes away, and keeps none to what it has closed."""

from __future__ import annotations

import gc
import logging
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import BUSY, HOUR, SECONDS, Thing, eventually, no_luck, rounds

import ProxyPatternPool as ppp


@pytest.mark.parametrize("cycle", [False, True], ids=["", "cycle"])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
@pytest.mark.parametrize("delay", [0.0, BUSY, HOUR])
def test_abandoned(delay: float, cycle: bool, used: bool) -> None:
    """An abandoned pool is collected, its thread ends, its objects are closed; one that lent says so."""
    closed: list[int] = []

    def close(thing: Thing) -> None:
        closed.append(thing.number)
        raise ValueError("this spares no other object")

    # an error that is logged here is kept, and its traceback with it
    pool: Any = ppp.Pool(
        Thing, min_size=3, delay=delay, closer=close, health=bool, log_level=logging.CRITICAL, name="db"
    )
    if used:
        pool.ret(pool.get())
    if delay == BUSY:
        rounds(pool)
    if cycle:
        pool._getter = pool.stats
    reference, thread = weakref.ref(pool), pool._housekeeper
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del pool
        # a cycle is found by the collector, unless a round is at work just then
        eventually(lambda: gc.collect() >= 0 and reference() is None and len(closed) == 3)
        eventually(lambda: warned or not used)
    assert sorted(closed) == [0, 1, 2]
    assert [(each.category, "db" in str(each.message)) for each in warned] == [(ResourceWarning, True)] * used
    if thread is not None:
        thread.join(SECONDS)
        assert not thread.is_alive()


DOORS: dict[str, Callable[[ppp.Pool[Any]], object]] = {
    "refused": lambda pool: pool._health_check(),
    "worn out": lambda pool: pool.ret(pool.get()),
    "invalidated": lambda pool: pool.invalidate(pool.get()),
    "drained": lambda pool: pool.drain(),
    "closed": lambda pool: pool.__delete__(),
    "shut down": lambda pool: pool.shutdown(),
}


@pytest.mark.parametrize("failing", [False, True], ids=["", "failing"])
@pytest.mark.parametrize("door", DOORS)
def test_no_reference_to_closed_objects(door: str, failing: bool) -> None:
    """A pool keeps no reference to an object that it has closed, though all its hooks failed."""
    references: list[weakref.ref[Thing]] = []

    def make(number: int) -> Thing:
        thing = Thing(number)
        references.append(weakref.ref(thing))
        return thing

    names = "opener getter retter reset closer health".split() if failing else []
    hooks: dict[str, Any] = {"health": lambda _: False, **dict.fromkeys(names, no_luck)}
    with ppp.Pool(make, max_size=2, max_use=1, delay=HOUR, log_level=logging.CRITICAL, **hooks) as pool:
        DOORS[door](pool)
        gc.collect()
        assert references[0]() is None
