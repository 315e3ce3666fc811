"""The seams: methods that the pool works through, overridden or patched on the class or on one pool."""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any
from unittest import mock

import pytest
from conftest import Factory, MakePool, Resource
from helpers import HOUR, Gate, ended, eventually, none_left, permits, rounds

import ProxyPatternPool as ppp

CALLERS = {
    "": "get ret __delete__ shutdown _houseKeeping",
    "__init__": "_fill",
    "get": "_new _empty _now",
    "ret": "_out _empty _fill _now",
    "_fill": "_new",
    "_new": "_create",
    "_empty": "_destroy",
    "_del": "_out _destroy",
    "shutdown": "_del _empty",
    "__delete__": "_del",
    "_houseKeeping": "_hkRound _health_check _empty _fill",
    "_hkRound": "_out _now",
    "_health_check": "_borrow _return _out _destroy",
}
"""Which seams run in the course of which."""

ENTRIES = {"__init__", "__delete__", "shutdown"}
SEAMS = sorted({seam for seams in CALLERS.values() for seam in seams.split()} - ENTRIES)


Edges = set[tuple[str, str]]


def noted(seam: str, method: Callable[..., Any], edges: Edges) -> Callable[..., Any]:
    """Give a seam that notes from which functions of the library, among others, it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            caller = frame.f_code
            edges.add((caller.co_name if caller.co_filename == ppp.__file__ else "", seam))
            frame = frame.f_back
        return method(*args, **kwargs)

    return call


@pytest.mark.parametrize("how", ["subclass", "class", "pool"])
def test_who_calls_which(factory: Factory, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Each seam, overridden or patched, is called by what the contract says; `_hkRound` destroys nothing."""
    edges: Edges = set()
    seams = {name: noted(name, getattr(ppp.Pool, name), edges) for name in ENTRIES.union(SEAMS)}
    kind: Any = type("Mine", (ppp.Pool,), seams) if how == "subclass" else ppp.Pool
    for name in seams if how == "class" else []:
        monkeypatch.setattr(ppp.Pool, name, seams[name])

    def make(*args: int, **parameters: Any) -> Any:
        pool = kind(factory, *args, closer=Resource.close, **parameters)
        for name in SEAMS if how == "pool" else []:
            monkeypatch.setattr(pool, name, noted(name, getattr(pool, name), edges))
        return pool

    pool = make(2, 2, max_use=1)
    first = pool.get()
    pool._out(pool.get())
    pool.get(5.0)
    pool.ret(first)
    pool.__delete__()
    pool._out(pool.get())
    pool.get()
    pool.shutdown()
    refused = list[bool]()  # one, but not before all is patched
    kept = make(health=lambda _: not (refused and refused.pop()), max_avail_delay=0.001, delay=0.005)
    refused.append(True)
    for resource in [kept.get() for _ in range(3)]:
        kept.ret(resource)
    eventually(lambda: kept._bad_health and kept._nrecycled)
    rounds(kept)
    kept.get()
    kept.shutdown(1.0)
    begun = ("", "__init__", "_houseKeeping") if how == "pool" else ()  # before anything was patched
    wanted = {(caller, name) for caller in CALLERS.keys() - begun for name in CALLERS[caller].split()}
    assert wanted - edges == set()
    assert {("_hkRound", "_destroy"), ("_out", "_destroy")} & edges == set()
    assert factory.alive == []


def test_create_and_new_by_hand(factory: Factory, make_pool: MakePool) -> None:
    """`_create` makes and counts an object, `_new` also makes it available, if the limit allows."""
    pool = make_pool(max_size=2, min_size=0, opener=Resource.open)
    factory.fails["make"] = OSError("no server")
    for make in (pool._create, pool._new):
        with pytest.raises(OSError, match="no server"):
            make()
    factory.fails.clear()
    created = pool._create()
    assert (created in pool._avail, created in pool._uses, factory.calls) == (False, True, [])
    new = pool._new()
    assert (pool._nobjs, new in pool._avail, factory.calls) == (2, True, [("open", new)])
    with pytest.raises(ppp.PoolException):
        pool._new()
    assert len(factory.made) == 2


def test_new_object_is_its_makers(factory: Factory) -> None:
    """While `_new` runs for a `get`, its object is available but lent to nobody else."""
    gate = Gate()

    class Slow(ppp.Pool[Any]):
        def _new(self) -> Any:
            new = super()._new()
            assert new in self._avail
            gate()
            return new

    with Slow(factory, max_size=1, min_size=0, closer=Resource.close) as pool:
        with gate.holds(pool.get) as maker:
            assert (len(pool._avail), len(pool._using)) == (1, 0)
            none_left(pool)
        assert maker.result() is factory.made[0]


def test_out_during_an_examination(factory: Factory, make_pool: MakePool) -> None:
    """What is taken out while it is examined is not lent, whatever the verdict."""

    def take_out(resource: Resource) -> bool:
        pool._out(resource)
        return True

    pool = make_pool(max_size=1, check_after_idle=0.0, health=take_out)
    assert pool.get(timeout=0) is factory.made[1]
    assert factory.made[0].closings == 1


def test_objects_of_overridden_seams(factory: Factory) -> None:
    """An object that `_create` has not registered is refused; both that `_new` makes are the pool's."""

    class Foreign(ppp.Pool[Any]):
        def _create(self) -> Any:
            return "foreign"

    class Twice(ppp.Pool[Resource]):
        def _new(self) -> Resource:
            super()._new()
            return super()._new()

    with Foreign(factory, 1, 0) as foreign, Twice(factory, 2, 0, closer=Resource.close) as twice:
        with pytest.raises(ppp.PoolException, match="available"):
            foreign.get()
        assert permits(foreign) == (1, 1)
        lent = twice.get()
        assert (lent, list(twice._avail)) == (factory.made[1], [factory.made[0]])


def test_out_and_del_by_hand(make_pool: MakePool) -> None:
    """What is taken out is in `_todel`, with its permit, until destroyed or forgotten; `_del` does it all."""
    pool = make_pool(max_size=3, min_size=2)
    resource, other = pool._avail
    with mock.patch.object(pool, "_out", wraps=pool._out) as out:
        pool._todel.add(resource)  # which is the same as _out
        pool._todel.add(resource)  # once more changes nothing
    out.assert_called_once_with(resource)
    assert (set(pool._todel), list(pool._avail), pool._using) == ({resource}, [other], set())
    assert (repr(pool._todel), permits(pool), resource.closings) == (f"{{{resource!r}}}", (2, 3), 0)
    assert [pool.get() is each for each in (other, resource)] == [True, False]
    pool._todel.discard(resource)
    assert (len(pool._todel), permits(pool)) == (0, (1, 3))
    pool._destroy(resource)  # a foreign object now
    assert resource.closings == 1
    with mock.patch.object(pool, "_destroy") as destroy:  # whoever calls it counts
        pool._del(other)
        pool._del(other)  # once more changes nothing
    destroy.assert_called_once_with(other)
    assert (permits(pool), other.closings, pool._ndestroys, pool._nobjs) == ((2, 3), 0, 1, 1)


def test_borrow_and_return_by_hand(make_pool: MakePool) -> None:
    """`_borrow` takes an available object without a use, and no lent one; `_return` puts it back."""
    pool = make_pool(health=bool)
    (idle,) = pool._avail
    with mock.patch.object(pool, "_borrow", return_value=None):  # so that nothing is examined
        pool._health_check()
    assert pool._nhealth == 0
    assert pool._borrow(idle) not in (None, False)
    assert list(pool._using) == [idle]
    pool._return(idle)
    assert (idle in pool._avail, idle in pool._using) == (True, False)
    assert (pool._nborrows, pool._nreturns, pool._nuses, pool._uses[idle].uses) == (1, 1, 0, 0)
    assert pool._borrow(pool.get()) in (None, False)
    pool._return(idle)  # which was not borrowed
    assert (idle in pool._using, pool._nborrows) == (True, 1)


def test_own_round(make_pool: MakePool) -> None:
    """Where `_hkRound` is replaced, rounds are counted all the same, and every other one checks health."""
    with mock.patch.object(ppp.Pool, "_hkRound") as own:
        pool = make_pool(delay=0.001, health=Resource.check, health_freq=2)
        rounds(pool)
        pool.shutdown(HOUR)
    assert pool._hk_rounds == own.call_count
    assert pool._hc_rounds == own.call_count // 2


def test_own_loop(factory: Factory) -> None:
    """The thread calls a `_houseKeeping` that is overridden, and keeps the pool alive until its shutdown."""

    class Mine(ppp.Pool[Any]):
        def _houseKeeping(self) -> None:
            while not self._shutdown:
                self._hkRound()
                time.sleep(0.001)

    reference = weakref.ref(Mine(factory, delay=HOUR, closer=Resource.close))
    gc.collect()
    pool: Any = reference()
    rounds(pool)
    thread = pool._housekeeper
    pool.shutdown()
    ended(thread)
