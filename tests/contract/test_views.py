"""The views of a pool: its sets of objects, their uses, its permits and its lock."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Set
from typing import Any

import pytest
from conftest import SECONDS, Clock, MakePool, Spawn, wait_for

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
    """`_avail`, `_using` and `_todel` are live sets by identity, which combine with each other."""
    pool: Any = make_pool(lambda number: kind(), max_size=3, min_size=3)
    avail, using, todel = pool._avail, pool._using, pool._todel
    lent, out = pool.get(), pool.get()
    pool._out(out)
    (idle,) = avail
    for each, own in ((avail, idle), (using, lent), (todel, out)):
        assert isinstance(each, Set)
        assert (len(each), next(iter(each)) is own, each <= avail | each) == (1, True, True)
        assert [thing in each for thing in (own, kind(), "other")] == [True, False, False]
    for combined in (avail | using | todel, (avail | todel) | using):
        assert [thing in combined for thing in (idle, lent, out)] == [True] * 3
    assert [len(each) for each in (avail & using, (avail | using) & using, (avail | using) - using)] == [
        0,
        1,
        1,
    ]
    assert (using == avail, using == (avail | using) - avail, avail.isdisjoint(using)) == (False, True, True)
    todel.discard("other")
    assert len(todel) == 1


def test_uses(make_pool: MakePool, clock: Clock) -> None:
    """`_uses` maps objects to their uses and times, and what is written there counts."""
    pool: Any = make_pool(lambda number: Awkward(), max_size=2, min_size=0, max_use=5)
    mine, other = pool.get(), pool.get()
    clock.advance(1.0)
    pool.ret(mine)
    info = pool._uses[mine]
    assert isinstance(pool._uses, Mapping)
    assert isinstance(info, ppp.Pool.UseInfo)
    assert (len(pool._uses), mine in pool._uses, Awkward() in pool._uses) == (2, True, False)
    assert (info.uses, info.last_get, info.last_ret) == (1, pool._now() - 1.0, pool._now())
    assert len(set(map(id, pool._uses))) == 2
    with pytest.raises(KeyError):
        pool._uses["other"]
    pool._uses[other].uses = 5
    pool.ret(other)
    assert (pool._nwornout, pool._nobjs) == (1, 1)


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


def test_use_is_a_small_dataclass(make_pool: MakePool) -> None:
    """The use of an object is told by its three fields, whatever the object and however many there are."""
    pool = make_pool(min_size=3)
    use = next(iter(pool._uses.values()))
    assert set(dataclasses.asdict(use)) == {"uses", "last_get", "last_ret"}
    assert repr(use).count("=") == 3
