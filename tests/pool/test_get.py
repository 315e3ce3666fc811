"""Getting: who is lent what, creation numbers, failures of `fun`, and objects of any kind."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, MakePool, Messages
from helpers import HOUR, Gate, Hostile, at_rest, keep_house, numbers

import ProxyPatternPool as ppp


def test_numbers(factory: Factory, make_pool: MakePool) -> None:
    """Objects are made at once, with 0, 1, 2…; a failed number is used again, while another one is made."""
    gate = Gate()
    pool = make_pool(gate.maker(factory), max_size=5, min_size=0, max_use=1)
    pool.ret(pool.get())
    with gate.holds(pool.get) as slow:
        lent = [pool.get()]
        factory.fails["make"] = OSError("no server")
        with pytest.raises(OSError, match="no server"):
            pool.get()
        factory.fails.clear()
        lent.append(pool.get())
    lent.extend([slow.result(), pool.get()])
    assert factory.numbers[0] == 0
    assert sorted(each.number for each in lent) == [1, 2, 3, 4]
    assert numbers(pool, "ncreating ncreated nuses") == [6, 5, 5]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_fun_fails(factory: Factory, make_pool: MakePool, error: Any) -> None:
    """The error of `fun` itself reaches each caller of `get`, and costs no permit."""
    pool = make_pool(max_size=1, min_size=0)
    raised = factory.fails["make"] = error("no server")
    for number in (1, 2):
        with pytest.raises(error, match="no server" if error is not StopIteration else "by fun") as caught:
            pool.get(timeout=0)
        assert caught.value is raised or error is StopIteration
        assert raised.__context__ is None
        assert len(factory.numbers) == number
    at_rest(pool, factory)


def test_same_object_twice(messages: Messages) -> None:
    """A `fun` that gives what the pool has already is a `PoolException`, and harms nothing."""
    thing = ["only one"]
    closed: list[object] = []
    with ppp.Pool(lambda number: thing, max_size=3, closer=closed.append) as pool:
        lent = pool.get()
        with pytest.raises(ppp.PoolException) as raised:
            pool.get(timeout=0)
        assert not isinstance(raised.value, ppp.TimeOut)
        assert numbers(pool, "nobjs ncreated sem") == [1, 1, {"value": 2, "init": 3}]
        pool.ret(lent)
        pool.resize(min_size=2)
        assert any("new object failed: " in text for text in messages("ERROR"))
        assert (pool.get(), closed) == (thing, [])
    assert closed == [thing]


@pytest.mark.parametrize("max_size", [0, 3])
@pytest.mark.parametrize("kind", [list, Hostile, Fraction])
def test_any_object(clock: Clock, messages: Messages, kind: Any, max_size: int) -> None:
    """Unhashable, falsy, equal and hostile objects are tracked by identity, through a whole life."""
    closed: list[int] = []
    delays: dict[str, Any] = {"max_avail_delay": 10.0, "max_using_delay_kill": 20.0, "delay": HOUR}
    hooks: dict[str, Any] = {"closer": lambda thing: closed.append(id(thing)), "health": lambda thing: True}
    with ppp.Pool(lambda number: kind(), max_size=max_size, **delays, **hooks) as pool:
        first, second, third = (pool.get() for _ in range(3))
        pool.ret(second)
        assert pool.get() is second
        pool.ret(second)
        assert messages() == []
        pool.ret(second)
        assert len(messages()) == 1
        pool.ret(first)
        assert len(pool.stats()["avail"]) == 2
        for gone in ({id(first), id(second)}, {id(first), id(second), id(third)}):
            clock.advance(11.0)
            keep_house(pool)
            assert set(closed) == gone
        assert numbers(pool, "nrecycled nkilled ndestroys nusing") == [2, 1, 3, 0]


@pytest.mark.parametrize("thing", [0, "", (), False, None])
def test_one_falsy_object(clock: Clock, thing: object) -> None:
    """Even nothing can be pooled, killed, closed and lent again; `None` is never examined."""
    closed: list[object] = []
    asked = mock.Mock(return_value=True)
    parameters: dict[str, Any] = {"max_using_delay_kill": 10.0, "delay": HOUR, "closer": closed.append}
    with ppp.Pool(lambda number: thing, 1, health=asked, check_after_idle=0.0, **parameters) as pool:
        for round in (1, 2):
            keep_house(pool)
            assert pool.get(timeout=0) is thing
            clock.advance(11.0)
            keep_house(pool)
            assert (closed, asked.called) == ([thing] * round, thing is not None)


def test_timeout_that_makes_no_sense(make_pool: MakePool) -> None:
    """A timeout that is no number is refused by its name and value, and nothing is lent."""
    pool = make_pool(max_size=1)
    for timeout in ("1", [1], float("nan")):
        with pytest.raises(ppp.PoolException, match=re.escape(f"timeout must be a number, not {timeout!r}")):
            pool.get(timeout)  # type: ignore[arg-type]
    assert pool.stats()["nusing"] == 0
