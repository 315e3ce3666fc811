"""Filling, `drain` and `resize`: what is made ahead and anew, and how often a dead server is asked."""

from __future__ import annotations

from collections.abc import Callable
from threading import current_thread
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Resource
from helpers import HOUR, Gate, at_rest, eventually, keep_house, none_left, numbers, permits, run_all

import ProxyPatternPool as ppp


@pytest.mark.parametrize("delay", [0.0, HOUR], ids=["alone", "housekeeper"])
def test_filled(make_pool: MakePool, factory: Factory, delay: float) -> None:
    """A pool is filled at its construction, and after a return, by the housekeeper or by who returns."""
    makers: list[Any] = []
    pool = make_pool(min_size=2, max_use=1, delay=delay, opener=lambda _: makers.append(current_thread()))
    assert (len(pool._avail), factory.numbers) == (2, [0, 1])
    pool.ret(pool.get())
    if delay:
        eventually(lambda: len(pool._avail) == 2)
    assert (len(pool._avail), len(factory.made), pool._hk_rounds) == (2, 3, 0)
    assert makers[-1] is (pool._housekeeper or current_thread())


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


FILLS: dict[str, Callable[[Any], object]] = {
    "drain": ppp.Pool.drain,
    "resize": lambda pool: pool.resize(min_size=3),
    "get": lambda pool: pool.ret(pool.get()),
}


@pytest.mark.parametrize("how", FILLS)
def test_filled_at_once_after_failures(make_pool: MakePool, factory: Factory, how: str) -> None:
    """New credentials and `drain`, `resize` or a `get` that succeeds fill the pool at once, however lately a
    creation failed.
    """
    factory.fails["make"] = OSError("bad password")
    pool = make_pool(max_size=4, min_size=2, delay=HOUR)
    del factory.fails["make"]
    FILLS[how](pool)
    eventually(lambda: len(pool._avail) == pool._min_size)


def test_rounds_without_a_server(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """While a server is away each round asks it once, each get fails with its error, nothing piles up."""
    pool = make_pool(max_size=4, min_size=2, health=Resource.check, delay=HOUR)
    factory.fails = dict.fromkeys(("make", "check"), OSError("no server"))
    for attempts in (3, 5, 7):
        clock.advance(60)
        keep_house(pool)
        assert len(factory.numbers) == attempts
        with pytest.raises(OSError, match="no server"):
            pool.get(timeout=0)
        assert numbers(pool, "ncreated ndestroys nobjs hk_errors") == [2, 2, 0, 0]


def test_two_fill_at_once(factory: Factory, make_pool: MakePool) -> None:
    """Two threads that fill at once make no more than is missing."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=6, min_size=2, max_use=1, closer=Resource.close)
    first, second = pool.get(), pool.get()
    with gate.holds(pool.ret, first) as task:
        run_all(lambda: pool.ret(second), seconds=2.0)
        assert len(pool._avail) == 1
    task.result()
    assert numbers(pool, "navail ncreated") == [2, 4]
    at_rest(pool, factory)


def test_drain(factory: Factory, make_pool: MakePool) -> None:
    """Draining closes idle objects at once, those lent or in the making as they return, and fills anew."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=4, min_size=2, closer=Resource.close)
    lent, idle = pool.get(), pool.get()
    with gate.holds(pool.get) as maker:
        pool.ret(idle)
        pool.drain()
    assert (idle.closings, lent.closings, maker.result().closings) == (1, 0, 0)
    pool.ret(lent)
    pool.ret(maker.result())
    assert (factory.closings, len(pool._avail)) == ([1, 1, 1, 0, 0], 2)


def test_drain_during_a_filling(factory: Factory, make_pool: MakePool) -> None:
    """What is drained while the pool is filled is closed, and made anew."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=2, min_size=1, max_use=1, closer=Resource.close)
    with gate.holds(pool.ret, pool.get()):
        pool.drain()
    assert factory.closings == [1, 1, 0]
    at_rest(pool, factory)


@pytest.mark.parametrize("sizes", [(2,), (1, 5, 2)], ids=["down", "down and up"])
def test_resize(make_pool: MakePool, factory: Factory, sizes: tuple[int, ...]) -> None:
    """Smaller limits leave lent objects alone, and the surplus goes as they return, or is idle."""
    pool = make_pool(max_size=4, min_size=0)
    lent = [pool.get() for _ in range(3)]
    for size in sizes:
        pool.resize(max_size=size)
    assert factory.closings == [0, 0, 0]
    pool.ret(lent[0])
    none_left(pool)
    assert factory.closings == [1, 0, 0]
    pool.ret(lent[1])
    pool.ret(lent[2])
    pool.resize(max_size=1)
    assert (factory.closings, permits(pool)) == ([1, 1, 0], (1, 1))


@pytest.mark.parametrize(("given", "wanted"), [(0, 4), (None, 4), (4, 0), (4, -1)])
def test_wrong_size(make_pool: MakePool, given: int | None, wanted: int) -> None:
    """A pool without a limit cannot get one, nor the reverse, nor a negative one; nothing changes then."""
    pool = make_pool(max_size=given)
    with pytest.raises(ppp.PoolException, match="max_size"):
        pool.resize(min_size=2, max_size=wanted)
    assert numbers(pool, "max_size min_size navail") == [given, 1, 1]
