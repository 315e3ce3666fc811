"""`stats()`: its keys, and what each of them counts (that it is JSON is in `programs/stats_as_json.py`)."""

from __future__ import annotations

import datetime
import json
import threading
import time
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn
from helpers import BUSY, HOUR, SECONDS, Hostile, no_luck, none_left, numbers, rounds, waiting

KEYS = (
    "id started min_size max_size max_use timeout delay max_avail_delay max_using_delay_kill "
    "max_using_delay_warn health_freq now sem navail nusing ntodel running rel_hk_last time_per_hk shutdown "
    "avail using nobjs ncreated ncreating nuses nkilled nrecycled nwornout nborrows nreturns ndestroys "
    "nhealth bad_health hk_rounds hk_errors hc_rounds hc_errors "
    # new in version 12
    "name nwaiting nwaits ntimeouts wait_time use_time create_time nexpired ninvalidated nreset_errors "
    "nchecks"
).split()


def test_new_pool(make_pool: MakePool, clock: Clock) -> None:
    """A new pool's statistics have these keys: parameters, one idle object, and everything else zero."""
    pool = make_pool()
    stats = pool.stats()
    assert sorted(stats) == sorted(KEYS)
    ones = "min_size health_freq navail nobjs ncreated ncreating"
    assert numbers(pool, ones) == [1] * 6
    assert numbers(pool, "timeout sem using name") == [None, None, [], f"pool-{stats['id']}"]
    zeros = set(KEYS) - set(f"{ones} timeout sem using name id started now running rel_hk_last avail".split())
    assert {key: stats[key] for key in zeros} == dict.fromkeys(zeros, 0)
    assert make_pool(name="db").stats()["id"] == stats["id"] + 1


def test_times_of_the_wall(make_pool: MakePool) -> None:
    """The start is told in local time, now since the epoch, rounds relative to it and by their mean."""
    pool = make_pool(delay=BUSY, health=lambda _: not threading.Event().wait(0.001))
    rounds(pool)
    stats = pool.stats()
    started = datetime.datetime.fromisoformat(stats["started"]).timestamp()
    assert max(abs(started - time.time()), abs(stats["now"] - time.time())) < 60.0
    assert -5.0 < stats["rel_hk_last"] <= 0.0 < stats["time_per_hk"] < 1.0


DESCRIBED: list[tuple[dict[str, Any], str]] = [
    ({"stats": lambda it: {"number": it.number}, "tracer": str}, '"stats": {"number": 0}'),
    ({"tracer": lambda it: f"#{it.number}"}, '"trace": "#0"'),
    ({}, '"str": "resource 0"'),
    ({"stats": no_luck}, "no luck"),
    ({"tracer": no_luck}, "no luck"),
    ({"fun": lambda number: Hostile()}, "no luck"),
]


@pytest.mark.parametrize(("hooks", "description"), DESCRIBED)
def test_descriptions(make_pool: MakePool, clock: Clock, hooks: Any, description: str) -> None:
    """An object is described by the stats hook, else the tracer, else its text, or by what fails there."""
    pool = make_pool(**hooks)
    clock.advance(3.0)
    pool.ret(pool.get())
    clock.advance(7.0)
    (entry,) = pool.stats()["avail"]
    assert description in json.dumps(entry)
    assert (len(entry), entry["uses"], entry["last_get"], entry["last_ret"]) == (4, 1, -7.0, -7.0)
    assert pool.stats()["running"] == 10.0


def test_waits(make_pool: MakePool, spawn: Spawn) -> None:
    """Waits, those waiting now, their time and timeouts are counted; finding an object is no wait."""
    pool = make_pool(max_size=1)
    lent = pool.get(timeout=1.0)
    assert numbers(pool, "nwaits wait_time ntimeouts") == [0, 0.0, 0]
    waiter = spawn(pool.get, SECONDS)
    waiting(pool, 1)
    pool.ret(lent)
    waiter.result()
    nwaiting, nwaits, ntimeouts, before = numbers(pool, "nwaiting nwaits ntimeouts wait_time")
    assert (nwaiting, nwaits, ntimeouts, 0.0 < before < SECONDS) == (0, 1, 0, True)
    none_left(pool, 0.03)
    assert numbers(pool, "nwaiting nwaits ntimeouts") == [0, 2, 1]
    assert pool.stats()["wait_time"] - before > 0.02


@pytest.mark.parametrize("hooks", [{}, {"retter": Resource.take_back}], ids=["bare", "retter"])
def test_use_and_create_time(make_pool: MakePool, factory: Factory, clock: Clock, hooks: Any) -> None:
    """The times of making objects and of lendings are summed up, however the objects come back."""

    def make(number: int) -> Resource:
        clock.advance(0.5)
        return factory(number)

    pool = make_pool(make, max_size=4, max_using_delay_kill=100.0, delay=HOUR, **hooks)
    first, second = pool.get(), pool.get()
    clock.advance(3.0)
    pool.ret(first)
    clock.advance(2.0)
    pool.invalidate(second)
    clock.advance(50.0)
    with pool.obj():
        clock.advance(1.0)
    assert numbers(pool, "use_time create_time") == [9.5, 1.0]  # the second was made meanwhile
