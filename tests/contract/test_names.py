"""The names, parents, parameters, positions and defaults that programs written for version 11 count on."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource
from helpers import numbers, permits

import ProxyPatternPool as ppp

EMPTY = inspect.Parameter.empty

PARENTS = {
    "PPPException": (Exception,),
    "PoolException": (ppp.PPPException,),
    "TimeOut": (ppp.PoolException,),
    "TooManyRequests": (ppp.TimeOut,),
    "ProxyException": (ppp.PPPException,),
    "ProxyUnset": (ppp.ProxyException, AttributeError),
}
ALIASES = ["FunHook", "PoolHook", "TraceHook", "StatsHook", "HealthHook"]


def test_module_names() -> None:
    """The module exports each public name; exceptions have the parents that handlers name."""
    names = [*ALIASES, *PARENTS, "Pool", "Proxy"]
    assert [name for name in names if name not in ppp.__all__ or not hasattr(ppp, name)] == []
    assert {name: getattr(ppp, name).__bases__ for name in PARENTS} == PARENTS
    aliases = [getattr(ppp, name) for name in ALIASES]
    assert [alias.__args__[0] for alias in aliases] == [int, Any, Any, Any, Any]
    assert [alias.__args__[1] for alias in aliases] == [Any, None, str, dict[str, Any], bool]
    assert ppp.log is logging.getLogger("ppp")
    assert ppp.__version__.startswith("12.")


POOL = (
    "fun max_size=0 min_size=1 timeout=None max_use=0 max_avail_delay=0.0 max_using_delay=0.0 "
    "max_using_delay_kill=0.0 health_freq=1 delay=0.0 opener=None getter=None retter=None closer=None "
    "health=None stats=None tracer=None log_level=None"
)
ADDED = "*name=None *max_lifetime=0.0 *check_after_idle=None *reset=None *invalidate_on=() *max_waiting=0"
PROXY = f"obj=None fun=None set_name='set' scope={ppp.Proxy.Scope.AUTO!r} log_level=None max_size=0"
OF_AN_OBJECT = "ret invalidate _out _destroy _del _borrow _return"
OF_NOTHING = "stats __str__ drain _create _new _fill _empty _hkRound _health_check _houseKeeping _now"
CALLS: list[tuple[Callable[..., Any], str]] = [
    (ppp.Pool, f"{POOL} {ADDED}"),
    (ppp.Pool.get, "timeout=None"),
    (ppp.Pool.obj, "timeout=None"),
    (ppp.Pool.shutdown, "delay=0.0 *grace=0.0"),
    (ppp.Pool.__delete__, "instance=None"),
    (ppp.Pool.resize, "min_size=None max_size=None"),
    *[(getattr(ppp.Pool, name), "obj") for name in OF_AN_OBJECT.split()],
    *[(getattr(ppp.Pool, name), "") for name in OF_NOTHING.split()],
    (ppp.Proxy, f"{PROXY} *reclaim=False"),
    (ppp.Proxy._set, "obj=None fun=None mandatory=True"),
    (ppp.Proxy._set_obj, "obj"),
    (ppp.Proxy._set_fun, "fun"),
    (ppp.Proxy._get_obj, "timeout=None"),
    (ppp.Proxy._obj, "timeout=None"),
    *[(getattr(ppp.Proxy, name), "") for name in "_set_pool _has_obj _ret_obj _invalidate_obj".split()],
]


@pytest.mark.parametrize(("function", "places"), CALLS)
def test_positions_and_defaults(function: Callable[..., Any], places: str) -> None:
    """Each class and method takes these parameters, in order, with these defaults; * is by keyword only."""
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    named = [each.replace(annotation=EMPTY) for each in parameters if each.kind is not each.VAR_KEYWORD]
    assert " ".join("*" * (each.kind is each.KEYWORD_ONLY) + str(each) for each in named) == places


def test_pool_by_position(factory: Factory, make_pool: MakePool) -> None:
    """Every parameter of version 11 can be given by position, and read by its underscore name."""
    hooks = (Resource.open, Resource.lend, Resource.take_back, Resource.close, Resource.check)
    values = (factory, 4, 2, 0.5, 7, 30.0, 20.0, 40.0, 3, 3600.0, *hooks, vars, str)
    pool = make_pool(*values, logging.WARNING)
    for parameter, value in zip(POOL.split(), values, strict=False):
        name = parameter.partition("=")[0]
        assert getattr(pool, f"_{name}" + "_warn" * (name == "max_using_delay")) == value
    assert ppp.log.level == logging.WARNING


COUNTERS = (
    "_nobjs _nuses _ncreating _ncreated _nhealth _bad_health _nborrows _nreturns _nkilled _nrecycled "
    "_nwornout _ndestroys _hc_rounds _hc_errors _hk_rounds _hk_errors"
).split()


def test_counters(make_pool: MakePool) -> None:
    """Each counter can be read, says what `stats()` says, and can be assigned unless it is `_nobjs`."""
    pool = make_pool(max_size=2, min_size=0, max_use=2, health=Resource.check)
    pool.ret(pool.get())
    pool._health_check()
    for name in COUNTERS:
        assert getattr(pool, name) == pool.stats()[name[1:]]
        if name != "_nobjs":
            setattr(pool, name, 50)
            assert getattr(pool, name) == pool.stats()[name[1:]] == 50


def test_inner_parts(make_pool: MakePool) -> None:
    """The thread, the permits and the times can be read, also after a shutdown."""
    pool: Any = make_pool(max_size=3, min_size=2, delay=3600.0)
    assert [pool._id, pool._started] == numbers(pool, "id started")
    assert isinstance(pool._housekeeper, threading.Thread)
    pool.get()
    assert permits(pool) == (pool._sem._value, pool._sem._initial_value) == (2, 3)
    assert not hasattr(pool._sem, "acquire")  # permits cannot be taken by hand
    assert abs(pool._started_ts - time.time()) < 5.0
    assert abs(pool._now() - time.time()) < 5.0
    assert (pool._shutdown, type(pool._debug), ppp.Pool._created) == (False, bool, pool._id)
    assert (type(pool._hk_time), type(pool._hk_last)) == (float, float)
    pool.shutdown()
    after: tuple[Any, ...] = (pool._shutdown, pool._min_size, pool._nobjs, pool._housekeeper)
    assert after == (True, 0, 0, None)
    assert (pool._sem._value, pool._sem._initial_value) == (3, 3)


SEAMS = (
    "_create _new _fill _out _destroy _del _empty _borrow _return _hkRound _health_check _houseKeeping _now"
)
READ = (
    "_avail _using _todel _uses _created _started _started_ts _id _fun _lock _sem _housekeeper _shutdown "
    "_max_size _debug _hk_time _hk_last _timeout _min_size _max_use _max_avail_delay _max_using_delay_warn "
    "_max_using_delay_kill _health_freq _delay _opener _getter _retter _closer _health _stats _tracer"
)


def test_names_of_subclasses(factory: Factory) -> None:
    """A subclass may use any name that the contract does not list: ours have an underscore at each end."""
    names = [name for name in vars(ppp.Pool) if name.startswith("_") and not name.endswith("_")]
    assert sorted(names) == sorted([*COUNTERS, *SEAMS.split(), *READ.split()])
    taken = [name.rstrip("_") for name in vars(ppp.Pool) if name.endswith("_") and name[1] != "_"]
    assert {"_make", "_name", "_size"} <= set(taken)

    class Named(ppp.Pool[Resource]):
        def __init__(self) -> None:
            for name in taken:
                setattr(self, name, "mine")
            super().__init__(factory, max_size=1, timeout=0, health=Resource.check)

    with Named() as pool, pool.obj():
        assert {vars(pool).pop(name) for name in taken} == {"mine"}
        pool._hkRound()

    class Stated(ppp.Proxy[Any]):
        _state = _fast = "mine"

    proxy = Stated([1])
    assert (proxy._state, proxy._fast, len(proxy)) == ("mine", "mine", 1)
    assert type(proxy) is not Stated  # but a class that is made for it


def test_scopes() -> None:
    """Each scope keeps its name and value, and `WERKZEUG` is `VERSATILE`."""
    values = {name: scope.value for name, scope in ppp.Proxy.Scope.__members__.items()}
    names = "AUTO SHARED THREAD VERSATILE WERKZEUG GEVENT EVENTLET".split()
    assert values == dict(zip(names, (0, 1, 2, 3, 3, 4, 5), strict=True))
    assert len(ppp.Proxy.Scope) == 6
