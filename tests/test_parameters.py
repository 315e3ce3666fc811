"""What a pool says about wrong parameters, before it starts anything."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from conftest import Factory, MakePool, Messages, Resource

import ProxyPatternPool as ppp

NAN = float("nan")

WRONG = [
    ("max_size", -1),
    ("max_size", NAN),
    ("min_size", -2),
    ("min_size", NAN),
    ("timeout", -0.5),
    ("timeout", NAN),
    ("max_use", -3),
    ("max_avail_delay", -1.5),
    ("max_avail_delay", NAN),
    ("max_using_delay", -1.5),
    ("max_using_delay", NAN),
    ("max_using_delay_kill", -2.5),
    ("max_using_delay_kill", NAN),
    ("delay", -60.5),
    ("delay", NAN),
    ("health_freq", 0),
    ("health_freq", -1),
    ("max_lifetime", -7.5),
    ("max_lifetime", NAN),
    ("check_after_idle", -8.5),
    ("check_after_idle", NAN),
    ("max_waiting", -4),
    ("opener", 42),
    ("getter", "hook"),
    ("retter", 43),
    ("closer", "hook"),
    ("health", 44),
    ("stats", {"a": 1}),
    ("tracer", "hook"),
    ("reset", 45),
]


@pytest.mark.parametrize(("parameter", "value"), WRONG)
def test_wrong_parameter(factory: Factory, parameter: str, value: Any) -> None:
    """A wrong value is an error naming parameter and value, before a thread starts or an object is made."""
    threads = set(threading.enumerate())
    parameters: dict[str, Any] = {"health": Resource.check, "delay": 3600.0, parameter: value}
    with pytest.raises(ppp.PoolException) as raised:
        ppp.Pool(factory, **parameters)
    text = str(raised.value)
    assert parameter in text
    assert str(value) in text
    assert factory.numbers == []
    assert set(threading.enumerate()) <= threads


def test_wrong_fun() -> None:
    """What makes the objects must be callable."""
    with pytest.raises(ppp.PoolException, match=r"fun.*42"):
        ppp.Pool(42)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1.5, NAN])
def test_wrong_timeout_of_get(make_pool: MakePool, seconds: float) -> None:
    """A negative or NaN timeout is refused also by `get` and `obj`, which then take nothing."""
    pool = make_pool(max_size=1)
    for call in (pool.get, lambda timeout: pool.obj(timeout=timeout).__enter__()):
        with pytest.raises(ppp.PoolException, match="timeout") as raised:
            call(timeout=seconds)
        assert str(seconds) in str(raised.value)
        assert not isinstance(raised.value, ppp.TimeOut)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}


@pytest.mark.parametrize("seconds", [-1.5, NAN])
@pytest.mark.parametrize("parameter", ["delay", "grace"])
def test_wrong_time_of_shutdown(make_pool: MakePool, parameter: str, seconds: float) -> None:
    """A negative or NaN time is refused by `shutdown`, and the pool goes on."""
    pool = make_pool()
    with pytest.raises(ppp.PoolException, match=parameter) as raised:
        pool.shutdown(**{parameter: seconds})
    assert str(seconds) in str(raised.value)
    assert pool.get().alive


@pytest.mark.parametrize(("parameter", "value"), [("min_size", -1), ("max_size", -1)])
def test_wrong_resize(make_pool: MakePool, parameter: str, value: int) -> None:
    """A negative size is refused by `resize`, and nothing changes."""
    pool = make_pool(max_size=3, min_size=2)
    with pytest.raises(ppp.PoolException, match=parameter) as raised:
        pool.resize(**{parameter: value})
    assert str(value) in str(raised.value)
    assert (pool.stats()["min_size"], pool.stats()["max_size"]) == (2, 3)


def test_check_after_idle_needs_health(factory: Factory) -> None:
    """Examining before lending needs a way to examine."""
    with pytest.raises(ppp.PoolException, match=r"check_after_idle.*health"):
        ppp.Pool(factory, check_after_idle=1.0)


def test_min_size_above_max_size(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A `min_size` above `max_size` is cut to it, with a warning."""
    pool = make_pool(max_size=2, min_size=5)
    assert len(factory.made) == 2
    assert (pool.stats()["min_size"], pool.stats()["max_size"]) == (2, 2)
    (warning,) = messages()
    assert "min_size" in warning


def test_min_size_without_limit(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """Without a limit, any `min_size` is kept."""
    make_pool(max_size=None, min_size=5)
    make_pool(max_size=0, min_size=5)
    assert len(factory.made) == 10
    assert messages() == []


def test_inconsistent_delays(make_pool: MakePool, messages: Messages) -> None:
    """A warn delay above the kill delay is only warned about."""
    pool = make_pool(max_using_delay=20.0, max_using_delay_kill=10.0, delay=3600.0)
    (warning,) = messages()
    assert "inconsistent" in warning
    stats = pool.stats()
    assert (stats["max_using_delay_warn"], stats["max_using_delay_kill"]) == (20.0, 10.0)


def test_consistent_delays(make_pool: MakePool, messages: Messages) -> None:
    """Delays in order are not worth a word."""
    make_pool(max_using_delay=10.0, max_using_delay_kill=20.0, delay=3600.0)
    make_pool(max_using_delay=10.0, delay=3600.0)
    make_pool(max_using_delay_kill=20.0, delay=3600.0)
    assert messages() == []


def healthy(_: object) -> bool:
    """Refuse nothing."""
    return True


DELAYS: list[tuple[dict[str, Any], float]] = [
    ({}, 0.0),
    ({"delay": 7200.0}, 7200.0),
    ({"max_avail_delay": 7200.0}, 3600.0),
    ({"max_using_delay": 7200.0}, 3600.0),
    ({"max_using_delay_kill": 7200.0}, 3600.0),
    ({"max_avail_delay": 7200.0, "max_using_delay": 4800.0}, 2400.0),
    ({"max_avail_delay": 4800.0, "max_using_delay": 7200.0}, 2400.0),
    ({"max_using_delay": 4800.0, "max_using_delay_kill": 7200.0}, 2400.0),
    ({"max_avail_delay": 7200.0, "delay": 100.0}, 100.0),
    ({"health": healthy}, 60.0),
    ({"health": healthy, "max_avail_delay": 7200.0}, 3600.0),
    ({"health": healthy, "delay": 100.0}, 100.0),
]


@pytest.mark.parametrize(("parameters", "delay"), DELAYS)
def test_delay(make_pool: MakePool, parameters: dict[str, Any], delay: float) -> None:
    """Without a delay it is half the smallest of idle and warn delays, else 60 s with a health hook."""
    threads = set(threading.enumerate())
    pool = make_pool(**parameters)
    assert pool.stats()["delay"] == delay
    assert len(set(threading.enumerate()) - threads) == (1 if delay else 0)


@pytest.mark.parametrize(("given", "warn"), [((0.0, 40.0), 40.0), ((30.0, 40.0), 30.0), ((30.0, 0.0), 30.0)])
def test_warn_delay(make_pool: MakePool, given: tuple[float, float], warn: float) -> None:
    """A warn delay of 0 takes the kill delay."""
    pool = make_pool(max_using_delay=given[0], max_using_delay_kill=given[1], delay=3600.0)
    stats = pool.stats()
    assert (stats["max_using_delay_warn"], stats["max_using_delay_kill"]) == (warn, given[1])


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
def test_log_level(make_pool: MakePool, level: int) -> None:
    """`log_level` sets the level of the library's logger."""
    make_pool(log_level=level)
    assert ppp.log.level == level


def test_no_log_level(make_pool: MakePool) -> None:
    """Without `log_level` the logger is left alone."""
    ppp.log.setLevel(logging.CRITICAL)
    make_pool()
    assert ppp.log.level == logging.CRITICAL
