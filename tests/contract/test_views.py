"""The views of a pool: its sets of objects, their uses, its permits and its lock."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Set
from typing import Any

import pytest
from conftest import Clock, MakePool, Spawn
from helpers import HOUR, SECONDS, wait_for

import ProxyPatternPool as ppp


class Awkward:
    """A thing equal to all of its kind, which cannot be hashed, and whose truth and text fail."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Awkward)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("no truth")

    __str__ = __bool__  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [object, Awkward])
def test_sets(make_pool: MakePool, kind: type[object]) -> None:
    """`_avail`, `_using` and `_todel` are live sets by identity, which combine with each other and others."""
    pool: Any = make_pool(lambda number: kind(), max_size=3, min_size=3)
    avail, using, todel = pool._avail, pool._using, pool._todel
    lent, out = pool.get(), pool.get()
    pool._out(out)
    (idle,) = avail
    for each, own in ((avail, idle), (using, lent), (todel, out)):
        assert isinstance(each, Set)
        assert (len(each), next(iter(each)) is own, each <= avail | each) == (1, True, True)
        assert [thing in each for thing in (own, kind(), "other")] == [True, False, False]
        if kind is object:
            two = {own, "other"}
            assert (each == {own}, each <= two, two - each, each & two) == (True, True, {"other"}, {own})
    for combined in (avail | using | todel, (avail | todel) | using):
        assert [thing in combined for thing in (idle, lent, out)] == [True] * 3
    both = avail | using
    assert [len(each) for each in (avail & using, both & using, both - using)] == [0, 1, 1]
    assert (using == avail, using == both - avail, avail.isdisjoint(using)) == (False, True, True)
    todel.discard("other")
    assert len(todel) == 1


def test_uses(make_pool: MakePool, clock: Clock) -> None:
    """`_uses` maps objects to their uses and times, and what is written there counts."""
    delays: dict[str, Any] = {"max_avail_delay": 100, "max_using_delay_kill": 100, "delay": HOUR}
    pool: Any = make_pool(lambda number: Awkward(), max_size=3, min_size=0, max_use=5, **delays)
    idle, worn, held = pool.get(), pool.get(), pool.get()
    clock.advance(1.0)
    pool.ret(idle)
    info = pool._uses[idle]
    assert isinstance(pool._uses, Mapping)
    assert isinstance(info, ppp.Pool.UseInfo)
    assert (len(pool._uses), idle in pool._uses, Awkward() in pool._uses) == (3, True, False)
    assert (info.uses, info.last_get, info.last_ret) == (1, pool._now() - 1.0, pool._now())
    assert len(set(map(id, pool._uses))) == 3
    assert set(dataclasses.asdict(info)) == {"uses", "last_get", "last_ret"}
    assert repr(info).count("=") == 3
    with pytest.raises(KeyError):
        pool._uses["other"]
    pool._uses[worn].uses = 5
    pool.ret(worn)
    assert (pool._nwornout, pool._nobjs) == (1, 2)
    info.last_ret -= 200
    pool._hkRound()
    assert [pool._nrecycled, pool._nkilled] == [1, 0]
    pool._uses[held].last_get = pool._now() - 150
    pool._hkRound()
    assert [pool._nrecycled, pool._nkilled] == [1, 1]


def test_lock(make_pool: MakePool, spawn: Spawn) -> None:
    """`_lock` is re-entrant, lets its holder use the pool, and keeps others out."""
    pool: Any = make_pool(max_size=3)
    asked = threading.Event()

    def use() -> None:
        asked.set()
        pool.ret(pool.get())

    with pool._lock, pool._lock:
        pool.ret(pool.get())
        other = spawn(use)
        wait_for(asked)
        other.join(0.05)
        assert other.is_alive()
    other.result(SECONDS)
    assert pool._nuses == 2
