"""`drain` and `resize`, on a pool in use."""

from __future__ import annotations

import pytest
from conftest import (
    HOUR,
    Clock,
    Factory,
    Gate,
    MakePool,
    Messages,
    Resource,
    at_rest,
    eventually,
    keep_house,
    none_left,
    numbers,
    permits,
)

import ProxyPatternPool as ppp

# drain


@pytest.mark.parametrize("max_size", [2, 3])
def test_drain(factory: Factory, make_pool: MakePool, max_size: int) -> None:
    """Draining closes idle objects at once, lent ones when they return, and fills anew within the limit."""
    pool = make_pool(max_size=max_size, min_size=2)
    lent = pool.get()
    pool.drain()
    assert [resource.closings for resource in factory.made if resource is not lent][:1] == [1]
    fresh = pool.get(timeout=0)
    assert (lent.closings, fresh.serial) == (0, 2)
    pool.ret(fresh)
    pool.ret(lent)
    assert (lent.closings, fresh.closings, factory.most_alive, len(pool._avail)) == (1, 0, 2, 2)


def test_drain_during_a_creation(factory: Factory, make_pool: MakePool) -> None:
    """An object whose making began before the draining is closed when it returns."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=2, min_size=0, closer=Resource.close)
    with gate.holds(pool.get) as maker:
        pool.drain()
    pool.ret(maker.result())
    assert factory.made[0].closings == 1


def test_drain_during_a_filling(factory: Factory, make_pool: MakePool) -> None:
    """What is drained while the pool is filled is closed, and made anew."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=2, min_size=1, max_use=1, closer=Resource.close)
    with gate.holds(pool.ret, pool.get()):
        pool.drain()
    assert [resource.closings for resource in factory.made] == [1, 1, 0]
    at_rest(pool, factory)


# resize


@pytest.mark.parametrize("sizes", [(2,), (1, 5, 2)], ids=["down", "down and up"])
def test_resize(make_pool: MakePool, factory: Factory, sizes: tuple[int, ...]) -> None:
    """Smaller limits leave lent objects alone, and the surplus goes as they return."""
    pool = make_pool(max_size=4, min_size=0)
    lent = [pool.get() for _ in range(4)]
    for size in sizes:
        pool.resize(max_size=size)
    assert [each.closings for each in lent] == [0, 0, 0, 0]
    for each in lent[:2]:
        pool.ret(each)
        none_left(pool)
    assert [each.closings for each in lent] == [1, 1, 0, 0]
    pool.ret(lent[2])
    assert pool.get(timeout=0) is lent[2]
    none_left(pool)
    for each in lent[2:]:
        pool.ret(each)
    assert permits(pool) == (2, 2)
    pool.resize(max_size=1)
    assert (len(factory.alive), permits(pool)) == (1, (1, 1))
    at_rest(pool, factory)


def test_min_size(make_pool: MakePool, factory: Factory, clock: Clock, messages: Messages) -> None:
    """A larger smallest number is made at once, a smaller one lets idle objects go; the limit cuts it."""
    pool = make_pool(max_size=5, min_size=1, max_avail_delay=10.0, delay=HOUR)
    pool.resize(min_size=3)
    eventually(lambda: len(pool._avail) == 3)
    clock.advance(11.0)
    keep_house(pool)
    assert len(factory.alive) == 3
    pool.resize(min_size=0)
    keep_house(pool)
    assert factory.alive == []
    pool.resize(3, 6)
    pool.resize()
    assert (numbers(pool, "min_size max_size"), messages()) == ([3, 6], [])
    pool.resize(max_size=2)
    assert (numbers(pool, "min_size max_size"), len(messages())) == ([2, 2], 1)


@pytest.mark.parametrize(("given", "wanted"), [(0, 4), (None, 4), (4, 0), (4, -1)])
def test_wrong_size(make_pool: MakePool, given: int | None, wanted: int) -> None:
    """A pool without a limit cannot get one, nor the reverse, nor a negative one; nothing changes then."""
    pool = make_pool(max_size=given)
    with pytest.raises(ppp.PoolException, match="max_size"):
        pool.resize(min_size=2, max_size=wanted)
    assert numbers(pool, "max_size min_size navail") == [given, 1, 1]
