"""What a pool says about wrong parameters, before it starts anything, and what it makes of right ones."""

from __future__ import annotations

import functools
import logging
import threading
import types
from typing import Any

import pytest
from conftest import Factory, MakePool, Messages
from helpers import HOUR, SECONDS, numbers

import ProxyPatternPool as ppp


async def coroutine(*_: object) -> bool:
    """Be awaited by nobody."""
    return True


DELAYS = "max_avail_delay max_using_delay max_using_delay_kill delay max_lifetime".split()
NUMBERS = "max_size min_size timeout max_use health_freq check_after_idle max_waiting".split() + DELAYS
HOOKS = "opener getter retter closer health stats tracer reset".split()
WRONG: list[tuple[str, Any]] = [
    *[(name, value) for name in NUMBERS for value in (-3, float("nan"), "1", [1])],
    *[("health_freq", 0), ("max_size", 4.5), ("max_use", float("inf")), ("delay", 10**400), ("fun", 42)],
    *[(name, value) for name in ["fun", *HOOKS] for value in ("hook", coroutine)],
    *[("health", types.MethodType(coroutine, 1)), ("opener", functools.partial(coroutine, 1))],
    *[("invalidate_on", 5), ("invalidate_on", (Exception, None)), ("name", 5)],
    ("check_after_idle", 1.0),  # without health, since it needs a way to examine
]


@pytest.mark.parametrize(("parameter", "value"), WRONG, ids=lambda value: str(value)[:20])
def test_wrong_parameter(factory: Factory, parameter: str, value: Any) -> None:
    """A wrong value is an error naming parameter and value, before a thread starts or an object is made."""
    threads = set(threading.enumerate())
    parameters: dict[str, Any] = {"fun": factory, "delay": HOUR, parameter: value}
    with pytest.raises(ppp.PoolException) as raised:
        ppp.Pool(**parameters)
    text = str(raised.value)
    assert parameter in text
    assert str(value) in text or repr(value) in text
    assert (factory.numbers, set(threading.enumerate()) - threads) == ([], set())


@pytest.mark.parametrize("name", [*DELAYS, "min_size", "max_use", "health_freq", "max_waiting", "log_level"])
def test_none_is_the_default(make_pool: MakePool, name: str) -> None:
    """`None` for a number, a delay or the log level, as configurations have it, means its default."""
    keys = "min_size max_use delay max_avail_delay max_using_delay_kill max_using_delay_warn health_freq"
    ppp.log.setLevel(logging.CRITICAL)
    pool = make_pool(**{name: None})
    assert numbers(pool, keys) == numbers(make_pool(), keys)
    assert (ppp.log.level, pool._housekeeper) == (logging.CRITICAL, None)


def test_hooks_of_all_kinds(make_pool: MakePool) -> None:
    """A hook may be anything that can be called, a class or a partial function too, or `None`."""
    called: list[Any] = []
    given = {"opener": called.append, "getter": functools.partial(called.insert, 0), "retter": id}
    pool = make_pool(lambda number: [number], min_size=0, **{**dict.fromkeys(HOOKS), **given})
    pool.ret(pool.get())
    assert called == [[0]] * 2


def test_min_size_above_max_size(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A `min_size` above `max_size` is cut to it, with a warning; without a limit any is kept."""
    make_pool(max_size=None, min_size=5)
    assert messages() == []
    pool = make_pool(max_size=2, min_size=5)
    assert (len(factory.made), numbers(pool, "min_size max_size")) == (7, [2, 2])
    pool.resize(max_size=1)
    assert numbers(pool, "min_size max_size") == [1, 1]
    assert ["min_size" in text for text in messages()] == [True, True]


DELAY: list[tuple[dict[str, Any], float, float]] = [
    ({}, 0.0, 0.0),
    ({"delay": 7200.0}, 7200.0, 0.0),
    ({"max_avail_delay": 7200.0}, 3600.0, 0.0),
    ({"max_using_delay_kill": 7200.0}, 3600.0, 7200.0),
    ({"max_avail_delay": 7200.0, "max_using_delay": 4800.0}, 2400.0, 4800.0),
    ({"max_avail_delay": 4800.0, "max_using_delay": 7200.0}, 2400.0, 7200.0),
    ({"max_using_delay": 4800.0, "max_using_delay_kill": 7200.0}, 2400.0, 4800.0),
    ({"max_using_delay": 7200.0, "max_using_delay_kill": 4800.0}, 3600.0, 7200.0),
    ({"max_avail_delay": 7200.0, "delay": 100.0}, 100.0, 0.0),
    ({"health": bool, "max_lifetime": 7200.0}, 60.0, 0.0),
    ({"health": bool, "max_avail_delay": 7200.0}, 3600.0, 0.0),
]


@pytest.mark.parametrize(("parameters", "delay", "warn"), DELAY)
def test_delay(make_pool: MakePool, parameters: dict[str, Any], delay: float, warn: float) -> None:
    """A delay of 0 is half the smallest of idle and warn delays, else 60 s with health, else no thread."""
    before = set(threading.enumerate())
    pool = make_pool(name="db", **parameters)
    assert numbers(pool, "delay max_using_delay_warn") == [delay, warn]
    threads = set(threading.enumerate()) - before
    assert [(thread.daemon, "db" in thread.name) for thread in threads] == [(True, True)] * (delay > 0)
    assert threads == {pool._housekeeper} - {None}
    pool.shutdown(delay=SECONDS)
    assert (pool._housekeeper, set(threading.enumerate()) - before) == (None, set())
