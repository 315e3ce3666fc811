"""Returning: wrong returns, `reset`, and `invalidate` of what is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource
from helpers import HOUR, Gate, keep_house, none_left, numbers, permits, run_all

import ProxyPatternPool as ppp

if sys.version_info >= (3, 11):
    from builtins import BaseExceptionGroup, ExceptionGroup

HOOKED: dict[str, Any] = {"retter": Resource.take_back, "reset": Resource.reset}
WRONG: dict[str, Callable[[ppp.Pool[Any], Any], object]] = {
    "returned twice": lambda pool, lent: pool.ret(lent),
    "foreign": lambda pool, lent: setattr(pool, "_min_size", 2),
    "killed": lambda pool, lent: keep_house(pool),
    "invalidated": lambda pool, lent: pool.invalidate(lent),
    "after shutdown": lambda pool, lent: pool.shutdown(),
}


@pytest.mark.parametrize("hooks", [{}, HOOKED], ids=len)
@pytest.mark.parametrize("what", WRONG)
def test_wrong_return(
    factory: Factory, make_pool: MakePool, clock: Clock, messages: Messages, what: str, hooks: dict[str, Any]
) -> None:
    """Returning what is not lent is a warning, calls no hook and no `fun`, and changes nothing else."""
    delays = {"max_using_delay_kill": 10.0, "delay": 0.0 if what == "foreign" else HOUR}
    pool = make_pool(max_size=4, min_size=0, tracer=lambda thing: f"<<{thing}>>", **delays, **hooks)
    lent = pool.get()
    clock.advance(11.0)
    WRONG[what](pool, lent)
    wrong = make_pool().get() if what == "foreign" else lent
    keys = "sem navail nusing nobjs ncreating ndestroys"
    before, calls, known = numbers(pool, keys), list(factory.calls), len(messages())
    pool.ret(wrong)
    pool.invalidate(wrong)
    assert (numbers(pool, keys), factory.calls) == (before, calls)
    text = f"unexpected object returned: <<{wrong}>>"
    assert [text in message for message in messages()[known:]] == [True, True]


def test_two_returns_at_once(make_pool: MakePool, messages: Messages) -> None:
    """Of two returns of one object at once one counts, and it is not lent while its retter still runs."""
    gate = Gate()
    pool = make_pool(max_size=1, retter=gate)
    lent = pool.get()
    with gate.holds(pool.ret, lent):
        run_all(lambda: pool.ret(lent), lambda: pool.invalidate(lent), seconds=2.0)
        none_left(pool)
    assert sum("unexpected object returned: " in text for text in messages()) == 2
    assert (list(pool._avail), permits(pool)) == ([lent], (1, 1))


def test_reset(factory: Factory, make_pool: MakePool) -> None:
    """An object whose reset hook raises is destroyed, and counted."""
    pool = make_pool(max_size=1, **HOOKED)
    factory.fails["reset"] = ValueError("server gone")
    with pool.obj() as lent:
        pass
    assert factory.calls == [("take_back", lent), ("reset", lent), ("close", lent)]
    assert numbers(pool, "nreset_errors ndestroys") == [1, 1]


ERRORS: list[tuple[BaseException, bool]] = [
    *[(error, True) for error in (ConnectionError(), BrokenPipeError(), KeyboardInterrupt())],
    *[(error, False) for error in (OSError(), SystemExit())],
]
if sys.version_info >= (3, 11):
    ERRORS += [
        (ExceptionGroup("", [ValueError(), BrokenPipeError()]), True),
        (BaseExceptionGroup("", [ExceptionGroup("", [ConnectionError()]), SystemExit()]), True),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [OSError()])]), False),
    ]


@pytest.mark.parametrize(("error", "broken"), ERRORS, ids=repr)
def test_invalidate_on(factory: Factory, make_pool: MakePool, error: BaseException, broken: bool) -> None:
    """Only an error of those classes, alone or in a group, invalidates the object; each goes on."""
    pool = make_pool(max_size=1, invalidate_on=(ConnectionError, KeyError, KeyboardInterrupt), **HOOKED)
    with pytest.raises(type(error)) as caught, pool.obj() as lent:
        raise error from KeyError("a cause does not count")
    assert caught.value is error
    assert [name for name, _ in factory.calls] == (["close"] if broken else ["take_back", "reset"])
    assert numbers(pool, "ninvalidated nusing") == [broken, 0]
    assert (permits(pool), pool.get(timeout=0) is lent) == ((1, 1), not broken)
