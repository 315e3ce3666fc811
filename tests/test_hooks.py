"""Hooks: when they are called, what happens when they fail or are interrupted, that they may use the pool."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Task

import ProxyPatternPool as ppp

HOOKS: dict[str, Any] = {
    "opener": Resource.open,
    "getter": Resource.lend,
    "retter": Resource.take_back,
    "closer": Resource.close,
    "health": Resource.check,
    "reset": Resource.reset,
}

NAMES = {
    "opener": "open",
    "getter": "lend",
    "retter": "take_back",
    "closer": "close",
    "health": "check",
    "reset": "reset",
}


def test_order(factory: Factory, make_pool: MakePool) -> None:
    """Over the life of an object its hooks are called in this order, each with that object."""
    pool = make_pool(max_size=1, max_use=2, min_size=0, **HOOKS)
    lent = pool.get()
    pool.ret(lent)
    pool._hkRound()
    pool.ret(pool.get())
    names = ["open", "lend", "take_back", "reset", "check", "lend", "take_back", "reset", "close"]
    calls = [name for name, _ in factory.calls]
    # an object that is destroyed on its return need not be reset before
    assert calls in (names, [*names[:7], "close"])
    assert {resource for _, resource in factory.calls} == {lent}


def test_opener_once(factory: Factory, make_pool: MakePool) -> None:
    """An object is opened when made, not again when lent."""
    pool = make_pool(max_size=1, opener=Resource.open)
    assert [resource.openings for resource in factory.made] == [1]
    for _ in range(3):
        pool.ret(pool.get())
    assert [resource.openings for resource in factory.made] == [1]


def test_getter_and_retter_each_time(make_pool: MakePool) -> None:
    """The getter and the retter are called at each lending and return, and at no other time."""
    pool = make_pool(max_size=1, getter=Resource.lend, retter=Resource.take_back, health=Resource.check)
    for _ in range(3):
        with pool.obj() as lent:
            pass
    pool._hkRound()
    pool.shutdown()
    assert (lent.gets, lent.rets) == (3, 3)


def test_no_retter_at_shutdown(make_pool: MakePool) -> None:
    """A lent object is closed by `shutdown`, not returned."""
    pool = make_pool(max_size=1, retter=Resource.take_back)
    lent = pool.get()
    pool.shutdown()
    pool.ret(lent)
    assert (lent.rets, lent.closings) == (0, 1)


@pytest.mark.parametrize("hook", ["opener", "getter", "retter", "closer"])
def test_failing_hook(
    factory: Factory, make_pool: MakePool, caplog: pytest.LogCaptureFixture, messages: Messages, hook: str
) -> None:
    """A hook that raises is logged as an error with its traceback, and changes nothing else."""
    factory.fails[NAMES[hook]] = ValueError("no luck")
    pool = make_pool(max_size=1, max_use=2, name="db", **{**HOOKS, "health": None, "reset": None})
    for _ in range(4):
        with pool.obj(timeout=0) as lent:
            assert lent.alive
    stats = pool.stats()
    counts = ("nuses", "nwornout", "ndestroys", "nobjs", "navail", "nusing", "ntodel")
    assert [stats[key] for key in counts] == [4, 2, 2, 1, 1, 0, 0]
    assert stats["sem"] == {"value": 1, "init": 1}
    assert [resource.closings for resource in factory.made] == [1, 1, 0]
    errors = messages("ERROR")
    assert errors
    assert all(text.startswith("pool 'db': ") for text in errors)
    assert all(f"exception in {hook}: " in text and "no luck" in text for text in errors)
    records = [record for record in caplog.records if record.levelname == "ERROR"]
    assert all(record.exc_info is not None for record in records)


def test_all_hooks_fail(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """A pool all of whose hooks raise still lends, wears out, recycles, kills and shuts down."""
    for name in NAMES.values():
        factory.fails[name] = ValueError("no luck")
    hooks = {**HOOKS, "reset": None}
    pool = make_pool(
        max_size=4,
        min_size=1,
        max_use=3,
        max_avail_delay=10.0,
        max_using_delay_kill=20.0,
        delay=3600.0,
        tracer=Resource.open,
        stats=Resource.open,
        **hooks,
    )
    for _ in range(7):
        pool.ret(pool.get(timeout=0))
    lent = [pool.get(timeout=0) for _ in range(4)]
    clock.advance(30.0)
    pool._hkRound()
    assert [each.closings for each in lent] == [1, 1, 1, 1]
    again = [pool.get(timeout=0) for _ in range(4)]
    assert all(each.alive for each in again)
    assert all("error" in entry for entry in pool.stats()["using"])
    pool.shutdown()
    assert factory.alive == []
    stats = pool.stats()
    assert (stats["nobjs"], stats["ncreated"]) == (0, stats["ndestroys"])


def test_every_closer_is_called(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """One closer that fails doesn't spare the others."""
    pool = make_pool(min_size=3)
    pool.get()
    factory.fails["close"] = ValueError("no luck")
    pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1, 1, 1]
    assert sum("exception in closer: " in text for text in messages("ERROR")) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("hook", ["opener", "getter"])
def test_interrupted_in_get(
    factory: Factory, make_pool: MakePool, hook: str, error: type[BaseException]
) -> None:
    """An interrupt in a hook of `get` reaches the caller, who has nothing, and nothing is lost."""
    pool = make_pool(max_size=2, min_size=0, **{hook: HOOKS[hook]})
    factory.fails[NAMES[hook]] = error()
    for _ in range(5):
        with pytest.raises(error):
            pool.get(timeout=0)
    del factory.fails[NAMES[hook]]
    stats = pool.stats()
    assert (stats["nusing"], stats["sem"]) == (0, {"value": 2, "init": 2})
    assert len(factory.alive) == stats["nobjs"] == stats["navail"]
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
    lent = [pool.get(timeout=0), pool.get(timeout=0)]
    assert all(each.alive for each in lent)
    assert len(factory.alive) == 2
    pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1] * len(factory.made)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(("hook", "max_use"), [("retter", 0), ("retter", 1), ("closer", 1), ("reset", 0)])
def test_interrupted_in_ret(
    factory: Factory, make_pool: MakePool, hook: str, max_use: int, error: type[BaseException]
) -> None:
    """An interrupt in a hook of `ret` reaches the caller, and the object and its token come back or go."""
    pool = make_pool(max_size=2, min_size=0, max_use=max_use, **{hook: HOOKS[hook]})
    for _ in range(5):
        lent = pool.get(timeout=0)
        factory.fails[NAMES[hook]] = error()
        with pytest.raises(error):
            pool.ret(lent)
        del factory.fails[NAMES[hook]]
    stats = pool.stats()
    assert (stats["nusing"], stats["ntodel"], stats["sem"]) == (0, 0, {"value": 2, "init": 2})
    assert len(factory.alive) == stats["nobjs"] == stats["navail"]
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
    assert pool.get(timeout=0) is not pool.get(timeout=0)
    pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1] * len(factory.made)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_in_obj(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """An interrupt in the getter under `with pool.obj()` leaves nothing lent."""
    pool = make_pool(max_size=1, getter=Resource.lend)
    factory.fails["lend"] = error()
    with pytest.raises(error), pool.obj():
        raise AssertionError("the body must not run")
    del factory.fails["lend"]
    assert pool.stats()["nusing"] == 0
    assert pool.get(timeout=0).alive


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_health(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """An interrupted examination keeps no token, and no object in limbo."""
    pool = make_pool(max_size=2, min_size=2, health=Resource.check, delay=3600.0)
    factory.fails["check"] = error()
    with contextlib.suppress(error):
        pool._hkRound()
    del factory.fails["check"]
    stats = pool.stats()
    assert (stats["nusing"], stats["sem"]) == (0, {"value": 2, "init": 2})
    assert len(factory.alive) == stats["nobjs"] == stats["navail"]
    assert pool.get(timeout=0) is not pool.get(timeout=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_shutdown_interrupted_once(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """A shutdown that is interrupted in a closer has closed the other idle objects all the same."""
    pool = make_pool(max_size=4, min_size=4)
    lent = pool.get()
    factory.fails["close"] = error()
    with pytest.raises(error):
        pool.shutdown()
    del factory.fails["close"]
    assert [resource.closings for resource in factory.made if resource is not lent] == [1, 1, 1]
    pool.ret(lent)
    assert lent.closings == 1
    assert (pool.stats()["nobjs"], pool.stats()["sem"]["value"]) == (0, 4)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_shutdown(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """An interrupted `shutdown` can be done again, and then everything is closed once."""
    pool = make_pool(max_size=3, min_size=3)
    pool.get()
    factory.fails["close"] = error()
    with pytest.raises(error):
        pool.shutdown()
    del factory.fails["close"]
    pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1, 1, 1]
    assert pool.stats()["nobjs"] == 0
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get()


def outcome(call: Callable[[], Any]) -> Any:
    """Do something in another thread, which would block if this one held the pool's lock."""
    task = Task(call)
    task.start()
    return task.result(2.0)


@pytest.mark.parametrize("hook", ["fun", "tracer", "stats", *HOOKS])
def test_hooks_run_outside_the_lock(factory: Factory, make_pool: MakePool, clock: Clock, hook: str) -> None:
    """While a hook runs, other threads can get, return and read the statistics."""
    inside: list[dict[str, Any]] = []
    calling = False

    def others() -> None:
        nonlocal calling
        if calling:
            return
        calling = True

        def use() -> None:
            with pool.obj(timeout=2.0):
                inside.append(pool.stats())

        try:
            outcome(use)
        finally:
            calling = False

    def make(number: int) -> Resource:
        if number:
            others()
        return factory(number)

    def called(resource: Resource) -> Any:
        if built:
            others()
        return {"stats": {}, "health": True}.get(hook, "text")

    built: list[ppp.Pool[Any]] = []
    hooks: dict[str, Any] = {} if hook == "fun" else {hook: called}
    pool = make_pool(make, max_size=8, min_size=1, max_use=2, delay=3600.0, max_using_delay=5.0, **hooks)
    built.append(pool)
    one, two = pool.get(), pool.get()
    pool.ret(one)
    pool.ret(one)
    clock.advance(10.0)
    pool._hkRound()
    pool.ret(two)
    pool.ret(pool.get())
    pool.stats()
    pool.shutdown()
    assert inside


def test_text_is_made_outside_the_lock(make_pool: MakePool) -> None:
    """While an object tells its text, other threads can use the pool."""
    texts: list[str] = []

    class Chatty:
        """A thing whose text takes another thread's use of the pool."""

        def __str__(self) -> str:
            if not texts:
                texts.append("begun")
                with_other = outcome(lambda: pool.stats()["nobjs"])
                outcome(lambda: pool.ret(pool.get(timeout=2.0)))
                texts.append(f"{with_other} object")
            return "chatty"

        __repr__ = __str__

    pool = make_pool(lambda number: Chatty(), max_size=3)
    pool.stats()
    assert texts == ["begun", "1 object"]


def test_hooks_may_use_the_pool(factory: Factory, make_pool: MakePool) -> None:
    """Hooks may get, return and ask the same pool that calls them."""
    depth = 0
    done: list[str] = []

    def reenter(name: str) -> Callable[[Resource], Any]:
        def hook(resource: Resource) -> Any:
            nonlocal depth
            if depth == 0 and ready:
                depth += 1
                try:
                    with pool.obj(timeout=0) as other:
                        assert other is not resource
                        pool.stats()
                    done.append(name)
                finally:
                    depth -= 1
            return True

        return hook

    ready = False
    names = ("opener", "getter", "retter", "health", "reset")
    hooks: dict[str, Any] = {name: reenter(name) for name in names}
    pool = make_pool(max_size=3, min_size=2, max_use=50, delay=3600.0, **hooks)
    ready = True
    first, second = pool.get(timeout=0), pool.get(timeout=0)
    pool.ret(first)
    pool.ret(second)
    pool._hkRound()
    lent = [pool.get(timeout=0)]
    pool.ret(lent.pop())
    assert set(done) >= {"getter", "retter", "health", "reset"}
    assert pool.stats()["sem"] == {"value": 3, "init": 3}


def test_closer_may_use_the_pool(factory: Factory, make_pool: MakePool) -> None:
    """A closer may get, return and shut down the pool that calls it."""
    closed: list[Resource] = []

    def close(resource: Resource) -> None:
        closed.append(resource)
        if len(closed) == 1:
            with pool.obj(timeout=0) as other:
                assert other is not resource
        pool.shutdown()

    pool = make_pool(factory, max_size=2, min_size=2, max_use=1, closer=close)
    pool.ret(pool.get())
    assert sorted(each.serial for each in closed) == sorted(each.serial for each in factory.made)
    assert pool.stats()["nobjs"] == 0


def test_opener_failure_keeps_object(factory: Factory, make_pool: MakePool) -> None:
    """An object whose opener failed is lent all the same."""
    factory.fails["open"] = ValueError("no luck")
    pool = make_pool(opener=Resource.open)
    assert pool.get() is factory.made[0]


def test_hooks_of_two_pools(factory: Factory, make_pool: MakePool) -> None:
    """A hook may use another pool, whose hook uses the first."""
    crossing = False

    def cross(to: list[ppp.Pool[Any]]) -> Callable[[Resource], None]:
        def hook(resource: Resource) -> None:
            nonlocal crossing
            if not crossing:
                crossing = True
                try:
                    with to[0].obj(timeout=0):
                        to[0].stats()
                finally:
                    crossing = False

        return hook

    to_second: list[ppp.Pool[Any]] = []
    to_first: list[ppp.Pool[Any]] = []
    first = make_pool(max_size=2, getter=cross(to_second), retter=cross(to_second))
    second = make_pool(max_size=2, getter=cross(to_first), retter=cross(to_first))
    to_second.append(second)
    to_first.append(first)
    with first.obj(), second.obj():
        assert first.stats()["nusing"] == second.stats()["nusing"] == 1
    assert (first.stats()["nuses"], second.stats()["nuses"]) == (3, 3)
