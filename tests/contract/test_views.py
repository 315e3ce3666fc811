"""The views of a pool: its sets of objects, and their uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from typing import Any

import pytest
from conftest import Clock, MakePool
from helpers import Hostile

import ProxyPatternPool as ppp


def test_sets(make_pool: MakePool) -> None:
    """`_avail`, `_using` and `_todel` are live sets by identity, which combine with each other."""
    pool: Any = make_pool(lambda number: Hostile(), max_size=3, min_size=3)
    avail, using, todel = pool._avail, pool._using, pool._todel
    lent, out = pool.get(), pool.get()
    pool._out(out)
    todel.discard("other")
    (idle,) = avail
    for each, own in ((avail, idle), (using, lent), (todel, out)):
        assert isinstance(each, Set)
        assert (len(each), next(iter(each)) is own, each <= avail | each) == (1, True, True)
        assert [thing in each for thing in (own, Hostile(), "other")] == [True, False, False]
    both = avail | using
    assert [thing in both | todel for thing in (idle, lent, out)] == [True] * 3
    assert [len(each) for each in (avail & using, both & using, both - using)] == [0, 1, 1]
    assert (using == avail, using == both - avail, avail.isdisjoint(using)) == (False, True, True)


def test_uses(make_pool: MakePool, clock: Clock) -> None:
    """`_uses` maps objects to their uses and times, and what is written there counts."""
    pool: Any = make_pool(lambda number: Hostile(), max_size=3, min_size=0, max_use=5)
    lent = [pool.get(), pool.get()]
    clock.advance(1.0)
    pool.ret(lent[0])
    info = pool._uses[lent[0]]
    assert isinstance(pool._uses, Mapping)
    assert isinstance(info, ppp.Pool.UseInfo)
    assert [thing in pool._uses for thing in (*lent, Hostile())] == [True, True, False]
    assert len(set(map(id, pool._uses))) == len(pool._uses) == 2
    times = {"last_get": pool._now() - 1.0, "last_ret": pool._now()}
    assert dataclasses.asdict(info) == {"uses": 1, **times}
    assert repr(info).count("=") == 3
    assert ppp.Pool.UseInfo(1, 2.0, 3.0) == ppp.Pool.UseInfo(1, 2.0, 3.0)
    with pytest.raises(KeyError):
        pool._uses["other"]
    pool._uses[lent[1]].uses = 5
    pool.ret(lent[1])
    assert (pool._nwornout, pool._nobjs) == (1, 1)
