"""Hooks: when they are called, what happens when they fail or are interrupted, that they may use the pool."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import HOOKS, Clock, Factory, MakePool, Resource
from helpers import HOUR, at_rest, keep_house, run_all

import ProxyPatternPool as ppp


def test_order(factory: Factory, make_pool: MakePool) -> None:
    """Over the life of an object its hooks are called in this order, each with that object."""
    pool = make_pool(max_size=1, max_use=2, min_size=0, **HOOKS)
    lent = pool.get()
    pool.ret(lent)
    keep_house(pool)
    pool.ret(pool.get())
    names = ["open", "lend", "take_back", "reset", "check", "lend", "take_back", "reset", "close"]
    # an object that is destroyed on its return need not be reset before
    assert [name for name, _ in factory.calls] in (names, [*names[:7], "close"])
    assert {resource for _, resource in factory.calls} == {lent}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_shutdown(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """A shutdown interrupted in a closer has closed the other idle ones; done again, everything once."""
    pool = make_pool(max_size=4, min_size=4)
    lent = pool.get()
    factory.fails["close"] = error()
    with pytest.raises(error):
        pool.shutdown()
    del factory.fails["close"]
    assert [resource.closings for resource in factory.made if resource is not lent] == [1, 1, 1]
    pool.shutdown()
    assert lent.closings == 1


@pytest.mark.parametrize("hook", ["fun", "tracer", "stats", "__str__", *HOOKS])
def test_hooks_run_unlocked(
    factory: Factory, make_pool: MakePool, clock: Clock, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    """While `fun`, a hook or an object's `str` runs, it and other threads can use the pool."""
    used: list[dict[str, Any]] = []
    calling = threading.Lock()

    def use() -> None:
        with pool.obj(timeout=2.0):
            used.append(pool.stats())

    def called(*_: object) -> Any:
        if calling.acquire(blocking=False):
            use()
            run_all(use)
            calling.release()
        return {"fun": Resource(factory, 0, 0), "stats": {}, "health": True}.get(hook, "text")

    monkeypatch.setattr(Resource, "__str__", called if hook == "__str__" else Resource.__str__)
    hooks: dict[str, Any] = {} if hook == "__str__" else {hook: called}
    pool = make_pool(max_size=8, min_size=0, max_use=2, delay=HOUR, max_using_delay=5.0, **hooks)
    one, two = pool.get(), pool.get()
    pool.ret(one)
    pool.ret(one)
    clock.advance(10.0)
    keep_house(pool)
    pool.ret(two)
    pool.ret(pool.get())
    pool.stats()
    assert (bool(used), calling.locked()) == (True, False)


@pytest.mark.parametrize("hook", ["opener", "getter", "retter", "reset", "health"])
@pytest.mark.parametrize("what", ["__delete__", "shutdown", "drain", "_out"])
def test_closed_during_a_hook(factory: Factory, make_pool: MakePool, hook: str, what: str) -> None:
    """What is closed, drained or taken out while a hook runs on it is closed once and not lent again."""
    closing: list[Callable[[], Any]] = []

    def close_all(resource: Resource) -> bool:
        if not closing:
            closing.append(functools.partial(getattr(pool, what), *[resource] * (what == "_out")))
            run_all(*closing)
        return True

    pool = make_pool(max_size=2, min_size=0, **{hook: close_all})
    with contextlib.suppress(ppp.PoolException), pool.obj() as lent:
        assert lent.alive
    if hook == "health":
        keep_house(pool)
    assert closing
    assert factory.made[0].closings == 1 or what == "drain"
    at_rest(pool, factory)
    if what != "shutdown":
        assert pool.get(timeout=0).alive
