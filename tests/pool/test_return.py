"""Returning: wrong returns, worn-out objects, `reset`, and `invalidate` of what is broken."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource
from helpers import HOUR, Gate, Thing, keep_house, none_left, numbers, permits, run_all

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
    wrong = pool.get()
    clock.advance(11.0)
    WRONG[what](pool, wrong)
    if what == "foreign":
        wrong = make_pool().get()
    keys = "sem navail nusing nobjs ncreating ndestroys"
    before, calls, known = numbers(pool, keys), list(factory.calls), len(messages())
    pool.ret(wrong)
    pool.invalidate(wrong)
    assert (numbers(pool, keys), factory.calls) == (before, calls)
    texts = messages()[known:]
    assert len(texts) == 2
    assert all(f"unexpected object returned: <<{wrong}>>" in text for text in texts)


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


def test_max_use(factory: Factory, make_pool: MakePool) -> None:
    """An object is destroyed when returned after its last use, and another one is made."""
    pool = make_pool(max_size=1, max_use=3)
    lent = []
    for _ in range(6):
        lent.append(pool.get())
        keep_house(pool)
        assert lent[-1].alive
        pool.ret(lent[-1])
    assert [each.serial for each in lent] == [0, 0, 0, 1, 1, 1]
    assert numbers(pool, "nwornout ndestroys nuses nobjs") == [2, 2, 6, 1]


def test_reset(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """The reset hook follows the retter; if it raises, the object is destroyed, counted and logged."""
    pool = make_pool(max_size=1, name="db", **HOOKED)
    first = pool.get()
    for fails in ((), ("take_back",), ("take_back", "reset")):
        factory.fails = {name: ValueError("server gone") for name in fails}
        factory.calls.clear()
        pool.ret(first)
        destroyed = "reset" in fails
        assert [name for name, _ in factory.calls] == ["take_back", "reset", "close"][: 2 + destroyed]
        assert numbers(pool, "nreset_errors ndestroys") == [destroyed, destroyed]
        assert (pool.get(timeout=0) is first) == (not destroyed)
    assert any("db" in text and "reset" in text and "server gone" in text for text in messages("ERROR"))


# broken objects


def test_invalidate(factory: Factory, make_pool: MakePool) -> None:
    """An invalidated object is destroyed with neither `retter` nor `reset`, and another one is made."""
    pool = make_pool(max_size=1, **HOOKED)
    lent = pool.get()
    pool.invalidate(lent)
    assert factory.calls == [("close", lent)]
    assert numbers(pool, "ninvalidated ndestroys nusing") == [1, 1, 0]
    assert permits(pool) == (1, 1)
    assert pool.get(timeout=0) is factory.made[1]


class Broken(ConnectionError):
    """A class of error of the tests' own."""


ERRORS: list[tuple[BaseException, bool]] = [
    *[(error, True) for error in (ConnectionError(), Broken(), KeyboardInterrupt())],
    *[(error, False) for error in (OSError(), SystemExit())],
]
if sys.version_info >= (3, 11):
    ERRORS += [
        (ExceptionGroup("", [ValueError(), Broken()]), True),
        (BaseExceptionGroup("", [ExceptionGroup("", [ConnectionError()]), SystemExit()]), True),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [OSError()])]), False),
    ]


@pytest.mark.parametrize(("error", "broken"), ERRORS, ids=repr)
def test_invalidate_on(make_pool: MakePool, error: BaseException, broken: bool) -> None:
    """Only an exception of one of those classes, alone or in a group, destroys the object; each goes on."""
    pool = make_pool(max_size=1, invalidate_on=(ConnectionError, KeyError, KeyboardInterrupt))
    with pytest.raises(type(error)) as caught, pool.obj() as lent:
        raise error from KeyError("a cause does not count")
    assert caught.value is error
    assert (lent.closings, pool.stats()["ninvalidated"]) == (broken, broken)
    assert (pool.get(timeout=0) is lent) == (not broken)


@pytest.mark.parametrize("kind", ["worn out at its first use", "beside one that is lent"])
def test_closed_objects_are_let_go(make_pool: MakePool, kind: str) -> None:
    """What the pool has closed it refers to no more, without a collection of cycles."""
    max_use = 1 if kind == "worn out at its first use" else 0
    pool = make_pool(Thing, max_size=2, min_size=0, max_use=max_use)
    gc.disable()
    try:
        one, other = pool.get(), pool.get()
        closed = weakref.ref(other)
        pool.ret(other)
        if kind == "beside one that is lent":
            pool.ret(one)
            one = pool.get()
            pool._del(other)
        del other
        assert (closed(), pool._ndestroys) == (None, 1)
        pool.ret(one)
    finally:
        gc.enable()
