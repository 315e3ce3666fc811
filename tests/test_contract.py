"""What programs written for version 11 count on: names, positions, defaults, counters, keys, fragments.

This is the one file that reads the pool's underscore names freely; it reads as the tables of the contract.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Spawn, run_python, wait_for

import ProxyPatternPool as ppp

# 1. module

NAMES = [
    "FunHook",
    "HealthHook",
    "PPPException",
    "Pool",
    "PoolException",
    "PoolHook",
    "Proxy",
    "ProxyException",
    "ProxyUnset",
    "StatsHook",
    "TimeOut",
    "TooManyRequests",
    "TraceHook",
    "__version__",
    "log",
]


@pytest.mark.parametrize("name", NAMES)
def test_module_names(name: str) -> None:
    """The module has each public name."""
    assert hasattr(ppp, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("__version__", "log")])
def test_module_all(name: str) -> None:
    """The public classes and aliases are in `__all__`."""
    assert name in ppp.__all__


ERRORS = [
    ("PPPException", Exception),
    ("PoolException", ppp.PPPException),
    ("TimeOut", ppp.PoolException),
    ("TooManyRequests", ppp.TimeOut),
    ("ProxyException", ppp.PPPException),
    ("ProxyUnset", ppp.ProxyException),
    ("ProxyUnset", AttributeError),
]


@pytest.mark.parametrize(("name", "parent"), ERRORS)
def test_exceptions(name: str, parent: type[BaseException]) -> None:
    """Each exception has the parents that handlers count on."""
    assert issubclass(getattr(ppp, name), parent)


def test_pool_and_proxy_errors_are_apart() -> None:
    """A handler of pool errors doesn't catch proxy errors, nor the reverse."""
    assert not issubclass(ppp.PoolException, ppp.ProxyException)
    assert not issubclass(ppp.ProxyException, ppp.PoolException)


def test_logger() -> None:
    """Messages go to the logger `ppp`."""
    assert ppp.log is logging.getLogger("ppp")


def test_version() -> None:
    """The version is there as a text."""
    assert ppp.__version__ == "12.0.0"


def test_import_is_light() -> None:
    """Importing starts no thread and imports no library of a scope."""
    run = run_python(
        """
        import sys, threading
        import ProxyPatternPool
        print(threading.active_count(), *sorted({"werkzeug", "gevent", "eventlet"} & set(sys.modules)))
        """
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["1"], "")


def test_import_is_fast() -> None:
    """Importing imports nothing that takes long, not even `typing`; annotations can be evaluated even so."""
    run = run_python(
        """
        import logging, threading, enum, sys
        before = set(sys.modules)
        import ProxyPatternPool as ppp
        print(*sorted(set(sys.modules) - before))
        import typing
        for annotated in ppp.Pool.get, ppp.Pool.__init__, ppp.Proxy.__init__, ppp.Pool:
            assert typing.get_type_hints(annotated)
        """,
        options=("-S",),
    )
    assert run.stderr == ""
    assert set(run.stdout.split()) <= {"ProxyPatternPool", "__future__", "atexit", "contextlib", "operator"}


def test_generic_classes() -> None:
    """Both classes can be given a type, made with it, and inherited from with a type or a type variable."""
    thing = TypeVar("thing")

    class Pools(ppp.Pool[thing]): ...

    class Proxies(ppp.Proxy[thing], Generic[thing]): ...

    with ppp.Pool[str](str) as pool, Pools[str](str) as mine, ppp.Pool["str"](str) as late:
        assert pool.get() == mine.get() == late.get() == "0"
        assert (type(pool), type(mine)) == (ppp.Pool, Pools)
    assert ppp.Proxy[int](1) + Proxies[int](1) == 2
    assert get_args(ppp.Pool[str]) == (str,)
    assert get_origin(Proxies[int]) is Proxies


def test_import_alone(tmp_path: Path) -> None:
    """The module works when copied alone into a folder, without any distribution metadata."""
    shutil.copy(ppp.__file__, tmp_path)
    run = run_python(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import ProxyPatternPool as ppp
        assert ppp.__file__.startswith(sys.argv[1])
        pool = ppp.Pool(lambda number: f"thing {number}")
        with pool.obj() as thing:
            print(ppp.__version__, thing)
        pool.shutdown()
        """,
        str(tmp_path),
        options=("-I", "-S"),
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "12.0.0 thing 0\n", "")


# 2. pool: parameters

PARAMETERS = [
    ("fun", inspect.Parameter.empty),
    ("max_size", 0),
    ("min_size", 1),
    ("timeout", None),
    ("max_use", 0),
    ("max_avail_delay", 0.0),
    ("max_using_delay", 0.0),
    ("max_using_delay_kill", 0.0),
    ("health_freq", 1),
    ("delay", 0.0),
    ("opener", None),
    ("getter", None),
    ("retter", None),
    ("closer", None),
    ("health", None),
    ("stats", None),
    ("tracer", None),
    ("log_level", None),
]

MORE_PARAMETERS = ["name", "max_lifetime", "check_after_idle", "reset", "invalidate_on", "max_waiting"]


def positional(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """List a callable's positional parameters with their defaults, without `self`."""
    return [
        (name, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "self"
    ]


def keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """Give a callable's keyword-only parameters with their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def test_pool_parameters() -> None:
    """The pool's parameters keep their order and defaults."""
    assert positional(ppp.Pool) == PARAMETERS


def test_pool_more_parameters() -> None:
    """What is new is keyword only and off by default."""
    more = keywords(ppp.Pool)
    assert sorted(more) == sorted(MORE_PARAMETERS)
    assert (more["max_lifetime"], more["check_after_idle"], more["max_waiting"]) == (0, None, 0)
    assert (more["reset"], not more["invalidate_on"]) == (None, True)


def test_pool_by_position(factory: Factory, make_pool: MakePool) -> None:
    """Every parameter of version 11 can be given by position."""
    pool = make_pool(
        factory,
        4,
        2,
        0.5,
        7,
        30.0,
        20.0,
        40.0,
        3,
        3600.0,
        Resource.open,
        Resource.lend,
        Resource.take_back,
        Resource.close,
        Resource.check,
        lambda resource: {"serial": resource.serial},
        str,
        logging.WARNING,
    )
    stats = pool.stats()
    shown = {
        "max_size": 4,
        "min_size": 2,
        "timeout": 0.5,
        "max_use": 7,
        "max_avail_delay": 30.0,
        "max_using_delay_warn": 20.0,
        "max_using_delay_kill": 40.0,
        "health_freq": 3,
        "delay": 3600.0,
    }
    assert {key: stats[key] for key in shown} == shown
    assert ppp.log.level == logging.WARNING
    pool.ret(pool.get())
    pool._hkRound()
    pool._hkRound()
    pool._hkRound()
    pool.shutdown()
    assert {name for name, _ in factory.calls} == {"open", "lend", "take_back", "check", "close"}


METHODS = [
    ("get", [("timeout", None)], {}),
    ("ret", [("obj", inspect.Parameter.empty)], {}),
    ("obj", [("timeout", None)], {}),
    ("stats", [], {}),
    ("shutdown", [("delay", 0.0)], {"grace": 0.0}),
    ("__str__", [], {}),
    ("invalidate", [("obj", inspect.Parameter.empty)], {}),
    ("drain", [], {}),
    ("resize", [("min_size", None), ("max_size", None)], {}),
]


@pytest.mark.parametrize(("name", "places", "named"), METHODS)
def test_pool_methods(name: str, places: list[tuple[str, Any]], named: dict[str, Any]) -> None:
    """The pool's methods take these parameters, in this order, with these defaults."""
    method = getattr(ppp.Pool, name)
    assert positional(method) == places
    assert keywords(method) == named


# 2. pool: statistics

KEYS = [
    "id",
    "started",
    "min_size",
    "max_size",
    "max_use",
    "timeout",
    "delay",
    "max_avail_delay",
    "max_using_delay_kill",
    "max_using_delay_warn",
    "health_freq",
    "now",
    "sem",
    "navail",
    "nusing",
    "ntodel",
    "running",
    "rel_hk_last",
    "time_per_hk",
    "shutdown",
    "avail",
    "using",
    "nobjs",
    "ncreated",
    "ncreating",
    "nuses",
    "nkilled",
    "nrecycled",
    "nwornout",
    "nborrows",
    "nreturns",
    "ndestroys",
    "nhealth",
    "bad_health",
    "hk_rounds",
    "hk_errors",
    "hc_rounds",
    "hc_errors",
]

MORE_KEYS = [
    "name",
    "nwaiting",
    "nwaits",
    "ntimeouts",
    "wait_time",
    "use_time",
    "create_time",
    "nexpired",
    "ninvalidated",
    "nreset_errors",
    "nchecks",
]

AT_FIRST: list[tuple[str, object]] = [
    ("min_size", 1),
    ("max_size", 0),
    ("max_use", 0),
    ("timeout", None),
    ("delay", 0),
    ("max_avail_delay", 0),
    ("max_using_delay_kill", 0),
    ("max_using_delay_warn", 0),
    ("health_freq", 1),
    ("sem", None),
    ("navail", 1),
    ("nusing", 0),
    ("ntodel", 0),
    ("using", []),
    ("nobjs", 1),
    ("ncreated", 1),
    ("ncreating", 1),
    ("nuses", 0),
    ("nkilled", 0),
    ("nrecycled", 0),
    ("nwornout", 0),
    ("nborrows", 0),
    ("nreturns", 0),
    ("ndestroys", 0),
    ("nhealth", 0),
    ("bad_health", 0),
    ("hk_rounds", 0),
    ("hk_errors", 0),
    ("hc_rounds", 0),
    ("hc_errors", 0),
    ("nwaiting", 0),
    ("nwaits", 0),
    ("ntimeouts", 0),
    ("wait_time", 0),
    ("use_time", 0),
    ("nexpired", 0),
    ("ninvalidated", 0),
    ("nreset_errors", 0),
    ("nchecks", 0),
]


def test_stats_keys(make_pool: MakePool) -> None:
    """The statistics have exactly these keys."""
    assert sorted(make_pool().stats()) == sorted(KEYS + MORE_KEYS)


@pytest.mark.parametrize(("key", "value"), AT_FIRST)
def test_stats_at_first(make_pool: MakePool, clock: Clock, key: str, value: object) -> None:
    """A new pool with one idle object says so in its statistics."""
    assert make_pool().stats()[key] == value


@pytest.mark.parametrize("kind", ["stats", "trace", "str"])
def test_stats_entries(make_pool: MakePool, kind: str) -> None:
    """An object's entry has its description under one of three keys, its uses and its times."""
    hooks: dict[str, Any] = {"tracer": lambda thing: "a thing", "stats": lambda thing: {"a": "thing"}}
    wanted = {"stats": ["stats", "tracer"], "trace": ["tracer"], "str": []}[kind]
    pool = make_pool(max_size=2, min_size=2, **{hook: hooks[hook] for hook in wanted})
    pool.get()
    stats = pool.stats()
    entry = {kind, "uses", "last_get", "last_ret"}
    assert [set(each) for each in stats["avail"] + stats["using"]] == [entry, entry]


def test_str_is_json(make_pool: MakePool) -> None:
    """The text of a pool is its statistics as JSON."""
    pool = make_pool(max_size=2, tracer=str)
    pool.get()
    assert set(json.loads(str(pool))) == set(KEYS + MORE_KEYS)


# 2. pool: underscore names

COUNTERS = [
    "_nuses",
    "_ncreating",
    "_ncreated",
    "_nhealth",
    "_bad_health",
    "_nborrows",
    "_nreturns",
    "_nkilled",
    "_nrecycled",
    "_nwornout",
    "_ndestroys",
    "_hc_rounds",
    "_hc_errors",
    "_hk_rounds",
    "_hk_errors",
]


@pytest.mark.parametrize("name", COUNTERS)
def test_counters(make_pool: MakePool, name: str) -> None:
    """Each counter is readable under its underscore name, and says what the statistics say."""
    pool = make_pool(max_size=2, min_size=0, max_use=2, health=Resource.check, delay=3600.0)
    pool.ret(pool.get())
    pool._hkRound()
    pool.ret(pool.get())
    assert isinstance(getattr(pool, name), int)
    assert getattr(pool, name) == pool.stats()[name[1:]]


SETTINGS = [
    ("_max_size", 4),
    ("_min_size", 2),
    ("_timeout", 0.5),
    ("_max_use", 7),
    ("_delay", 3600.0),
    ("_nobjs", 2),
    ("_shutdown", False),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_settings(make_pool: MakePool, name: str, value: object) -> None:
    """Each setting is readable under its underscore name."""
    pool = make_pool(max_size=4, min_size=2, timeout=0.5, max_use=7, delay=3600.0)
    assert getattr(pool, name) == value


def test_shutdown_name(make_pool: MakePool) -> None:
    """`_shutdown` and `_min_size` tell that a pool was shut down."""
    pool = make_pool()
    pool.shutdown()
    assert (pool._shutdown, pool._min_size, pool._nobjs) == (True, 0, 0)


def test_internal_parts(factory: Factory, make_pool: MakePool) -> None:
    """The function, the tokens, the lock, the thread and the times can be read."""
    pool = make_pool(max_size=3, delay=3600.0)
    assert pool._fun is factory
    assert isinstance(pool._sem, threading.BoundedSemaphore)
    assert (pool._sem._value, pool._sem._initial_value) == (3, 3)
    with pool._lock, pool._lock:
        assert pool._id == pool.stats()["id"]
    assert isinstance(pool._housekeeper, threading.Thread)
    assert pool._housekeeper.daemon
    assert isinstance(pool._debug, bool)
    assert isinstance(pool._hk_time, float)
    assert isinstance(pool._hk_last, float)
    assert callable(pool._houseKeeping)
    assert abs(pool._now() - time.time()) < 5.0


@pytest.mark.parametrize("max_size", [0, None])
def test_internal_parts_absent(make_pool: MakePool, max_size: int | None) -> None:
    """A pool without a limit has no tokens, and one without a delay no thread."""
    pool = make_pool(max_size=max_size)
    assert pool._max_size == max_size
    assert (pool._sem, pool._housekeeper) == (None, None)


def test_sem_counts_tokens(make_pool: MakePool) -> None:
    """`_sem` tells the free tokens, after a shutdown too."""
    pool = make_pool(max_size=3)
    first, _ = pool.get(), pool.get()
    assert pool._sem is not None
    assert pool._sem._value == 1
    pool.ret(first)
    assert pool._sem._value == 2
    pool.shutdown()
    assert (pool._sem._value, pool._sem._initial_value) == (3, 3)


def test_containers(make_pool: MakePool) -> None:
    """`_avail`, `_using` and `_todel` are sized, iterable and answer `in`."""
    pool = make_pool(max_size=3, min_size=2)
    lent = pool.get()
    (idle,) = pool._avail
    assert (len(pool._avail), len(pool._using), len(pool._todel)) == (1, 1, 0)
    assert list(pool._using) == [lent]
    assert list(pool._todel) == []
    assert (lent in pool._using, lent in pool._avail, lent in pool._todel) == (True, False, False)
    assert (idle in pool._using, idle in pool._avail, idle in pool._todel) == (False, True, False)


def test_uses(make_pool: MakePool) -> None:
    """`_uses` maps an object to its number of uses and its times, comparable with `_now()`."""
    assert dataclasses.is_dataclass(ppp.Pool.UseInfo)
    pool = make_pool(max_size=3)
    before = pool._now()
    lent = pool.get()
    info = pool._uses[lent]
    assert isinstance(info, ppp.Pool.UseInfo)
    assert info.uses == 1
    assert before - 0.1 <= info.last_get <= pool._now() + 0.1
    pool.ret(lent)
    info = pool._uses[lent]
    assert info.last_get <= info.last_ret <= pool._now() + 0.1


def test_fill_and_empty(factory: Factory, make_pool: MakePool) -> None:
    """`_fill` makes up to `min_size`, `_empty` closes every object, available or lent."""
    pool = make_pool(max_size=3, min_size=2)
    pool._fill()
    assert len(factory.made) == 2
    pool.get()
    pool._empty()
    assert [resource.closings for resource in factory.made] == [1, 1]
    assert (len(pool._avail), len(pool._using), len(pool._todel), pool._nobjs) == (0, 0, 0, 0)
    pool._fill()
    assert (len(factory.made), len(pool._avail)) == (4, 2)


def test_delete_name(factory: Factory, make_pool: MakePool) -> None:
    """`__delete__` closes every object now and keeps the pool."""
    pool = make_pool(max_size=3, min_size=2)
    pool.get()
    pool.__delete__()
    assert [resource.closings for resource in factory.made[:2]] == [1, 1]
    assert pool.get().alive


def test_new_and_create(make_pool: MakePool) -> None:
    """`_new` makes an available object, `_create` a lent one."""
    pool = make_pool(max_size=3, min_size=0)
    new = pool._new()
    assert new in pool._avail
    created = pool._create()
    assert created in pool._using
    assert (pool._ncreated, pool._nobjs) == (2, 2)
    pool.ret(created)
    assert created in pool._avail
    assert pool._sem is not None
    assert pool._sem._value == 3


def test_new_keeps_the_limit(factory: Factory, make_pool: MakePool) -> None:
    """Neither `_new` nor `_create` goes beyond the limit, or makes anything after the shutdown."""
    pool = make_pool(max_size=2, min_size=2)
    for make in (pool._new, pool._create):
        with pytest.raises(ppp.PoolException):
            make()
    pool.shutdown()
    for make in (pool._new, pool._create):
        with pytest.raises(ppp.PoolException):
            make()
    assert len(factory.made) == 2
    assert pool._sem is not None
    assert pool._sem._value == 2


def test_new_counts_those_being_made(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """For `_new` too an object that is still being made counts for the limit."""
    begun, go_on = threading.Event(), threading.Event()

    def make(number: int) -> Resource:
        if number == 1:
            begun.set()
            wait_for(go_on)
        return factory(number)

    pool = make_pool(make, max_size=2)
    making = spawn(pool._new)
    wait_for(begun)
    with pytest.raises(ppp.PoolException):
        pool._new()
    go_on.set()
    assert making.result() in pool._avail
    assert len(pool._avail) == 2


def test_out_and_destroy(make_pool: MakePool) -> None:
    """`_out` puts an object aside, `_destroy` closes and forgets it."""
    pool = make_pool(max_size=3)
    (idle,) = pool._avail
    pool._out(idle)
    assert (idle in pool._avail, idle in pool._todel, idle.closings) == (False, True, 0)
    pool._destroy(idle)
    assert (idle in pool._todel, idle.closings, pool._ndestroys, pool._nobjs) == (False, 1, 1, 0)
    assert pool._sem is not None
    assert pool._sem._value == 3


@pytest.mark.parametrize("lent", [False, True])
def test_del(make_pool: MakePool, lent: bool) -> None:
    """`_del` destroys an object, available or lent, and its token comes back."""
    pool = make_pool(max_size=3)
    (idle,) = pool._avail
    if lent:
        assert pool.get() is idle
    pool._del(idle)
    assert (idle.closings, pool._ndestroys, pool._nobjs) == (1, 1, 0)
    assert (len(pool._avail), len(pool._using), len(pool._todel)) == (0, 0, 0)
    assert pool._sem is not None
    assert pool._sem._value == 3


def test_borrow_and_return(make_pool: MakePool) -> None:
    """`_borrow` takes an available object for examination, `_return` puts it back; neither is a use."""
    pool = make_pool(max_size=3)
    (idle,) = pool._avail
    assert pool._borrow(idle) is True
    assert (idle in pool._avail, idle in pool._using) == (False, True)
    pool._return(idle)
    assert (idle in pool._avail, idle in pool._using) == (True, False)
    assert (pool._nborrows, pool._nreturns, pool._nuses, pool._uses[idle].uses) == (1, 1, 0, 0)


def test_borrow_of_lent(make_pool: MakePool) -> None:
    """`_borrow` of an object that somebody holds does nothing and says so."""
    pool = make_pool(max_size=3)
    lent = pool.get()
    assert not pool._borrow(lent)
    assert (lent in pool._using, pool._nborrows) == (True, 0)


def test_rounds(factory: Factory, make_pool: MakePool) -> None:
    """`_hkRound` does one round, `_health_check` one check of the idle objects."""
    pool = make_pool(max_size=3, delay=3600.0, health=Resource.check)
    pool._hkRound()
    assert (pool._hk_rounds, pool._hc_rounds, pool._nhealth) == (1, 1, 1)
    pool._health_check()
    assert [name for name, _ in factory.calls] == ["check", "check"]


# 2. pool: texts


def time_out(make_pool: MakePool) -> None:
    """Ask for more than there is."""
    pool = make_pool(max_size=1)
    pool.get()
    pool.get(timeout=0.001)


def late_get(make_pool: MakePool) -> None:
    """Ask after the end."""
    pool = make_pool()
    pool.shutdown()
    pool.get()


POOL_ERRORS = [
    (time_out, ppp.TimeOut, "timeout after"),
    (late_get, ppp.PoolException, "shutting down"),
]


@pytest.mark.parametrize(("scene", "error", "fragment"), POOL_ERRORS)
def test_pool_errors(
    make_pool: MakePool, scene: Callable[[MakePool], None], error: type[Exception], fragment: str
) -> None:
    """An error of the pool is of this class and has this fragment, which programs look for."""
    with pytest.raises(error, match=fragment):
        scene(make_pool)


def foreign(factory: Factory, make_pool: MakePool) -> None:
    """Return what was never lent."""
    make_pool().ret("something else")


def inconsistent(factory: Factory, make_pool: MakePool) -> None:
    """Warn later than kill."""
    make_pool(max_using_delay=20.0, max_using_delay_kill=10.0, delay=3600.0)


def failing(name: str, hook: str) -> Callable[[Factory, MakePool], None]:
    """Make a scene in which that hook fails."""

    def scene(factory: Factory, make_pool: MakePool) -> None:
        factory.fails[name] = ValueError("no luck")
        pool = make_pool(**{"max_use": 1, "closer": Resource.close, hook: getattr(Resource, name)})
        pool.ret(pool.get())

    return scene


def no_server(factory: Factory, make_pool: MakePool) -> None:
    """Build a pool while nothing can be made."""
    factory.fails["make"] = OSError("no server")
    make_pool()


LOGGED = [
    ("WARNING", foreign, "unexpected object returned: "),
    ("WARNING", inconsistent, "inconsistent"),
    ("ERROR", failing("open", "opener"), "exception in opener: "),
    ("ERROR", failing("lend", "getter"), "exception in getter: "),
    ("ERROR", failing("take_back", "retter"), "exception in retter: "),
    ("ERROR", failing("close", "closer"), "exception in closer: "),
    ("ERROR", no_server, "new object failed: "),
]


@pytest.mark.parametrize(("level", "scene", "fragment"), LOGGED)
def test_pool_messages(
    factory: Factory,
    make_pool: MakePool,
    messages: Messages,
    level: str,
    scene: Callable[[Factory, MakePool], None],
    fragment: str,
) -> None:
    """A message of the pool has this level and this fragment."""
    scene(factory, make_pool)
    assert any(fragment in text for text in messages(level))


# 3. proxy

PROXY_PARAMETERS = [
    ("obj", None),
    ("fun", None),
    ("set_name", "set"),
    ("scope", ppp.Proxy.Scope.AUTO),
    ("log_level", None),
    ("max_size", 0),
]


def test_proxy_parameters() -> None:
    """The proxy's parameters keep their order and defaults, the pool's follow by name."""
    assert positional(ppp.Proxy) == PROXY_PARAMETERS
    kinds = [parameter.kind for parameter in inspect.signature(ppp.Proxy).parameters.values()]
    assert inspect.Parameter.VAR_KEYWORD in kinds


PROXY_METHODS = [
    ("_set", [("obj", None), ("fun", None), ("mandatory", True)]),
    ("_set_obj", [("obj", inspect.Parameter.empty)]),
    ("_set_fun", [("fun", inspect.Parameter.empty)]),
    ("_set_pool", []),
    ("_get_obj", [("timeout", None)]),
    ("_has_obj", []),
    ("_ret_obj", []),
    ("_obj", [("timeout", None)]),
    ("_invalidate_obj", []),
]


@pytest.mark.parametrize(("name", "places"), PROXY_METHODS)
def test_proxy_methods(name: str, places: list[tuple[str, Any]]) -> None:
    """The proxy's own methods take these parameters, in this order, with these defaults."""
    assert positional(getattr(ppp.Proxy, name)) == places


SCOPES = [
    ("AUTO", 0),
    ("SHARED", 1),
    ("THREAD", 2),
    ("VERSATILE", 3),
    ("WERKZEUG", 3),
    ("GEVENT", 4),
    ("EVENTLET", 5),
]


@pytest.mark.parametrize(("name", "value"), SCOPES)
def test_scopes(name: str, value: int) -> None:
    """Each scope keeps its name and value."""
    assert ppp.Proxy.Scope[name].value == value


def test_scope_alias() -> None:
    """`WERKZEUG` is another name of `VERSATILE`."""
    assert ppp.Proxy.Scope["WERKZEUG"] is ppp.Proxy.Scope.VERSATILE
    assert len(ppp.Proxy.Scope) == 6


@pytest.mark.parametrize("prefix", ["set", "change"])
def test_set_names(prefix: str) -> None:
    """`set_name` gives the prefix of the three setters, which return the proxy."""
    for suffix, value in [("", "thing"), ("_obj", "thing"), ("_fun", str)]:
        proxy: Any = ppp.Proxy(set_name=prefix)
        assert getattr(proxy, prefix + suffix)(value) is proxy


def test_proxy_names() -> None:
    """What a proxy knows of itself is readable before any object is drawn."""
    proxy: Any = ppp.Proxy(fun=bytearray, max_size=3, min_size=0)
    assert proxy._fun is bytearray
    assert proxy._scope is ppp.Proxy.Scope.THREAD
    assert proxy._pool is None
    assert proxy._pool_max_size == 3
    assert proxy._pool_kwargs == {"min_size": 0}
    assert proxy._nobjs == 0
    assert isinstance(proxy._local, threading.local)
    shared: Any = ppp.Proxy("thing")
    assert shared._scope is ppp.Proxy.Scope.SHARED
    local: Any = shared._local
    assert isinstance(shared._local, ppp.Proxy.Local)
    assert local.obj == "thing"


def both() -> None:
    """Give two sources at construction."""
    ppp.Proxy("thing", fun=str)


def set_neither() -> None:
    """Set nothing."""
    proxy: Any = ppp.Proxy()
    proxy._set()


def late_pool() -> None:
    """Change the pool after its first object."""
    proxy: Any = ppp.Proxy(fun=bytearray)
    proxy._get_obj()
    try:
        proxy._set_pool(max_size=2)
    finally:
        proxy._ret_obj()
        proxy._pool.shutdown()


PROXY_ERRORS = [
    (both, "Proxy cannot set both obj and fun"),
    (set_neither, "Proxy must set either obj or fun"),
    (late_pool, "cannot override pool parameters once initialized"),
]


@pytest.mark.parametrize(("scene", "fragment"), PROXY_ERRORS)
def test_proxy_errors(scene: Callable[[], None], fragment: str) -> None:
    """A wrong use of a proxy is a `ProxyException` with this text."""
    with pytest.raises(ppp.ProxyException, match=fragment):
        scene()


def test_python() -> None:
    """The module runs on Python 3.10 and later with the standard library alone."""
    assert sys.version_info >= (3, 10)
    run = run_python(
        """
        import sys
        import ProxyPatternPool
        roots = {name.partition(".")[0] for name in sys.modules} - {"__main__", "ProxyPatternPool"}
        print(*sorted(root for root in roots if root not in sys.stdlib_module_names))
        """,
        options=("-S",),
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, [], "")
