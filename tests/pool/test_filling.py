"""Filling: what is made ahead, when it is made again, and how often a server that is down is asked."""

from __future__ import annotations

import pytest
from conftest import (
    HOUR,
    Clock,
    Factory,
    Gate,
    MakePool,
    Resource,
    at_rest,
    eventually,
    keep_house,
    numbers,
    run_all,
)

import ProxyPatternPool as ppp


@pytest.mark.parametrize("delay", [0.0, HOUR], ids=["alone", "housekeeper"])
def test_filled(factory: Factory, make_pool: MakePool, delay: float) -> None:
    """A pool is filled at its construction, and after a return, by the housekeeper or by who returns."""
    pool = make_pool(min_size=2, max_use=1, delay=delay)
    assert (len(pool._avail), factory.numbers) == (2, [0, 1])
    pool.ret(pool.get())
    if delay:
        eventually(lambda: len(pool._avail) == 2)
    assert (len(pool._avail), len(factory.made), pool._hk_rounds) == (2, 3, 0)


def test_interrupted(factory: Factory) -> None:
    """A construction that is interrupted has closed what it made by the time the error arrives."""

    def make(number: int) -> Resource:
        if number:
            raise KeyboardInterrupt
        return factory(number)

    with pytest.raises(KeyboardInterrupt) as raised:
        ppp.Pool(make, min_size=2, closer=Resource.close)
    assert raised.tb is not None  # which keeps the pool
    assert [resource.closings for resource in factory.made] == [1]


@pytest.mark.parametrize("delay", [0.0, HOUR], ids=["alone", "housekeeper"])
def test_returns_do_not_each_ask_a_dead_server(
    make_pool: MakePool, factory: Factory, clock: Clock, delay: float
) -> None:
    """While creations fail, returns do not each ask again, nor each make the housekeeper ask."""
    pool = make_pool(max_size=4, min_size=3, delay=delay)
    held = pool.get()
    asked = len(factory.numbers)
    factory.fails["make"] = OSError("no server")
    pool.invalidate(pool.get())
    eventually(lambda: len(factory.numbers) == asked + 1)
    pool.invalidate(pool.get())
    for seconds in (0.0, 60.0):
        clock.advance(seconds)
        for _ in range(50):
            pool.ret(held)
            held = pool.get()
    assert len(factory.numbers) <= asked + 4
    factory.fails.clear()
    clock.advance(60.0)
    pool.ret(held)
    keep_house(pool)
    assert len(pool._avail) == 3


@pytest.mark.parametrize("how", ["drain", "resize"])
def test_filled_at_once_after_failures(make_pool: MakePool, factory: Factory, how: str) -> None:
    """New credentials and `drain` (or `resize`) fill the pool at once, however lately a creation failed."""
    factory.fails["make"] = OSError("bad password")
    pool = make_pool(max_size=4, min_size=1, delay=HOUR)
    del factory.fails["make"]
    getattr(pool, how)(**({} if how == "drain" else {"min_size": 2}))
    eventually(lambda: len(pool._avail) == pool._min_size)


def test_two_fill_at_once(factory: Factory, make_pool: MakePool) -> None:
    """Two threads that fill at once make no more than is missing; what is drained meanwhile is made anew."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=6, min_size=2, max_use=1, closer=Resource.close)
    first, second = pool.get(), pool.get()
    with gate.holds(pool.ret, first) as task:
        run_all(lambda: pool.ret(second), seconds=2.0)
        assert len(pool._avail) == 1
        pool.drain()
    task.result()
    assert numbers(pool, "navail ncreated") == [2, 6]
    at_rest(pool, factory)


@pytest.mark.parametrize("how", ["refuses", "raises"])
def test_rounds_without_a_server(make_pool: MakePool, factory: Factory, clock: Clock, how: str) -> None:
    """While a server is away each get fails with its error, nothing piles up; afterwards all is well."""
    pool = make_pool(max_size=4, min_size=2, health=Resource.check, delay=HOUR)
    error = factory.fails["make"] = OSError("no server")
    if how == "raises":
        factory.fails["check"] = error
    for resource in factory.made:
        resource.healthy = False
    for _ in range(3):
        clock.advance(60)
        attempts = len(factory.numbers)
        keep_house(pool)
        assert len(factory.numbers) == attempts + 1  # the round stops at the first failure
        with pytest.raises(OSError, match="no server"):
            pool.get(timeout=0)
        assert numbers(pool, "ncreated ndestroys nobjs hk_errors") == [2, 2, 0, 0]
    factory.fails.clear()
    clock.advance(60)
    keep_house(pool)
    assert len(pool._avail) == len(factory.alive) == 2
    assert all(pool.get(timeout=0).alive for _ in range(4))
