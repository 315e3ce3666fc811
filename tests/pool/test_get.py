"""Getting: who is lent what, creation numbers, and failures of the function that makes objects."""

from __future__ import annotations

import threading

import pytest
from conftest import (
    SECONDS,
    Factory,
    Gate,
    MakePool,
    Messages,
    Resource,
    at_rest,
    numbers,
    run_all,
)

import ProxyPatternPool as ppp


@pytest.mark.parametrize("max_size", [0, None])
def test_no_limit(make_pool: MakePool, max_size: int | None) -> None:
    """A pool without a limit makes as many as are asked for, and never waits."""
    pool = make_pool(max_size=max_size)
    assert len({id(pool.get(timeout=0)) for _ in range(50)}) == 50
    assert numbers(pool, "max_size sem nobjs") == [max_size, None, 50]


def test_most_recent_first(make_pool: MakePool) -> None:
    """The most recently returned is lent first, so that the surplus idles."""
    pool = make_pool()
    first, second, third = pool.get(), pool.get(), pool.get()
    for each in (second, third, first):
        pool.ret(each)
    assert [pool.get() for _ in range(3)] == [first, third, second]


def test_numbers(factory: Factory, make_pool: MakePool) -> None:
    """Objects are made with 0, 1, 2…; a failed number is used again, also while another one is being made."""
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
def test_fun_fails(
    factory: Factory, make_pool: MakePool, messages: Messages, error: type[BaseException]
) -> None:
    """The error of `fun` itself reaches each caller of `get`, and costs no permit."""
    pool = make_pool(max_size=2, min_size=0)
    raised = factory.fails["make"] = error("no server")
    for _ in range(5):
        with pytest.raises((error, ppp.PoolException)) as caught:
            pool.get(timeout=0)
        assert caught.value is raised or error is StopIteration
        assert raised.__context__ is None
    logged = [text for text in messages("ERROR") if "object creation failed: " in text]
    assert len(logged) == 5 or not issubclass(error, Exception)
    assert len(factory.numbers) == 5
    factory.fails.clear()
    at_rest(pool, factory)
    assert pool.get(timeout=0) is not pool.get(timeout=0)


def test_creations_at_once(factory: Factory, make_pool: MakePool) -> None:
    """As many objects are made at the same time as are asked for, with different numbers."""
    together = threading.Barrier(5)

    def make(number: int) -> Resource:
        together.wait(SECONDS)
        return factory(number)

    pool = make_pool(make, max_size=5, min_size=0)
    assert sorted(resource.number for resource in run_all(*[pool.get] * 5)) == [0, 1, 2, 3, 4]


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
