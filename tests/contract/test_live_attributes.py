"""Attributes set on a live pool count from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource
from helpers import HOUR, eventually, keep_house, none_left, numbers, rounds

import ProxyPatternPool as ppp

Scene = Callable[["ppp.Pool[Any]"], object]


def exhaust(pool: ppp.Pool[Any]) -> None:
    """Ask for more than there is, without a time of one's own."""
    pool.get(), pool.get()
    none_left(pool, None)


def much_later(pool: ppp.Pool[Any]) -> None:
    """Hold one object and have another one idle, for a long time."""
    pool.ret([pool.get(), pool.get()][0])
    pool._now = lambda: 9_000.0  # type: ignore[method-assign]
    keep_house(pool)


def use_once(pool: ppp.Pool[Any]) -> None:
    pool.ret(pool.get())


NUMBERS: list[tuple[str, Any, Scene, tuple[str, int]]] = [
    ("_timeout", 0.0, exhaust, ("ntimeouts", 1)),
    ("_timeout", -1, exhaust, ("ntimeouts", 1)),
    ("_min_size", 2, use_once, ("nobjs", 2)),
    ("_max_use", 1, use_once, ("nwornout", 1)),
    ("_max_use", None, use_once, ("nobjs", 1)),
    ("_max_avail_delay", 10.0, much_later, ("nrecycled", 1)),
    ("_max_using_delay_kill", 10.0, much_later, ("nkilled", 1)),
    ("_max_using_delay_warn", 10.0, much_later, ("nkilled", 0)),
]


@pytest.mark.parametrize(("name", "value", "scene", "counted"), NUMBERS)
def test_number_counts(
    make_pool: MakePool, clock: Clock, messages: Messages, name: str, value: Any, scene: Scene, counted: Any
) -> None:
    """A number set on a live pool decides from then on, and `stats()` shows it."""
    pool = make_pool(max_size=2, delay=HOUR if scene is much_later else 0.0, retter=str)
    setattr(pool, name, value)
    assert pool.stats()[name[1:]] == value
    scene(pool)
    assert numbers(pool, counted[0]) == [counted[1]]
    assert any("long running objects: 1 (" in text for text in messages()) == name.startswith("_max_using")


HOOKS: dict[str, Scene] = {
    "_opener": lambda pool: [pool.get(), pool.get()],
    "_getter": ppp.Pool.get,
    "_retter": use_once,
    "_closer": ppp.Pool.shutdown,
    "_health": ppp.Pool._health_check,
    "_stats": ppp.Pool.stats,
    "_tracer": ppp.Pool.stats,
}


@pytest.mark.parametrize("name", HOOKS)
def test_hook_counts(factory: Factory, make_pool: MakePool, name: str) -> None:
    """A hook set on a live pool is called from then on, and no more once it is `None`."""
    hook = mock.Mock(return_value="well")
    for before, after in ((None, hook), (hook, None)):
        pool = make_pool(factory, **{name[1:]: before})
        setattr(pool, name, after)
        hook.reset_mock()
        HOOKS[name](pool)
        assert hook.call_count == (after is hook)


def test_delay_and_frequency_count(make_pool: MakePool) -> None:
    """A delay or a frequency of checks set on a live pool counts from then on, and starts no housekeeper."""
    pool = make_pool(delay=0.2, health=Resource.check)
    pool._delay = 0.001
    eventually(lambda: pool._hc_rounds >= 20)
    pool._health_freq = 1_000_000
    rounds(pool)
    checks = pool._hc_rounds
    rounds(pool)
    assert pool._hc_rounds == checks
    without = make_pool()
    without._delay = 0.001
    without.ret(without.get())
    assert (without._housekeeper, without.stats()["delay"]) == (None, 0.001)
