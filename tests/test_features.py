"""What is new and optional: name, lifetime, check before lending, reset, draining, resizing, accounts."""

from __future__ import annotations

import inspect
import json
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    SECONDS,
    Clock,
    Factory,
    MakePool,
    Messages,
    Resource,
    Spawn,
    Task,
    eventually,
    run_all,
    run_python,
    wait_for,
)

import ProxyPatternPool as ppp

LONG = 3600.0

# name


def test_name(make_pool: MakePool, messages: Messages) -> None:
    """A pool's name is in its messages, its errors, its thread's name and its statistics."""
    before = set(threading.enumerate())
    pool = make_pool(max_size=1, delay=LONG, name="db")
    assert pool.stats()["name"] == "db"
    assert all("db" in thread.name for thread in threading.enumerate() if thread not in before)
    pool.ret("stranger")
    assert messages()[-1].startswith("pool 'db': unexpected object returned: ")
    pool.get()
    with pytest.raises(ppp.TimeOut, match=r"^pool 'db': "):
        pool.get(timeout=0)
    pool.shutdown()
    with pytest.raises(ppp.PoolException, match=r"^pool 'db': "):
        pool.get()


def test_default_name(make_pool: MakePool, messages: Messages) -> None:
    """Without a name the pool's number makes one."""
    pool = make_pool(max_size=1)
    name = f"pool-{pool.stats()['id']}"
    assert pool.stats()["name"] == name
    pool.ret("stranger")
    assert messages()[-1].startswith(f"pool '{name}': ")


# max_lifetime


def test_old_objects_are_not_lent(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """An object past its lifetime is destroyed instead of lent, and another one is made."""
    pool = make_pool(max_size=2, max_lifetime=100.0)
    pool.ret(pool.get())
    clock.advance(94.0)
    with pool.obj() as lent:
        assert lent is factory.made[0]
    clock.advance(7.0)
    with pool.obj() as lent:
        assert lent is factory.made[1]
    stats = pool.stats()
    assert (factory.made[0].closings, stats["nexpired"], stats["ndestroys"]) == (1, 1, 1)
    assert stats["sem"] == {"value": 2, "init": 2}


def test_old_objects_are_not_kept(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """An object past its lifetime is destroyed when returned, never while in use."""
    pool = make_pool(max_size=2, max_lifetime=100.0, delay=LONG)
    lent = pool.get()
    clock.advance(200.0)
    pool._hkRound()
    assert lent.closings == 0
    pool.ret(lent)
    assert (lent.closings, pool.stats()["nexpired"]) == (1, 1)
    eventually(lambda: pool.stats()["navail"] == 1)
    assert pool.get() is factory.made[1]


def test_old_objects_go_in_a_round(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """A round destroys idle objects past their lifetime, also the last ones, and fills anew."""
    pool = make_pool(max_size=4, min_size=2, max_lifetime=100.0, delay=LONG)
    clock.advance(94.0)
    pool._hkRound()
    assert factory.closed == []
    clock.advance(7.0)
    pool._hkRound()
    assert [resource.closings for resource in factory.made] == [1, 1, 0, 0]
    stats = pool.stats()
    assert (stats["nexpired"], stats["nrecycled"], stats["navail"]) == (2, 0, 2)


def test_lifetimes_are_spread(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """Objects made together do not all end together: limits are shortened by up to 5 %."""
    pool = make_pool(min_size=100, max_lifetime=1000.0, delay=LONG)
    pool.resize(min_size=0)
    clock.advance(949.0)
    pool._hkRound()
    assert factory.closed == []
    left = []
    for _ in range(5):
        clock.advance(10.0)
        pool._hkRound()
        left.append(len(factory.alive))
    assert left == sorted(left, reverse=True)
    assert len(set(left)) >= 4
    clock.advance(2.0)
    pool._hkRound()
    assert (factory.alive, pool.stats()["nexpired"]) == ([], 100)


def test_no_lifetime(make_pool: MakePool, clock: Clock) -> None:
    """Without a lifetime objects live for ever."""
    pool = make_pool(max_size=1, delay=LONG)
    clock.advance(1e9)
    pool._hkRound()
    lent = pool.get()
    pool.ret(lent)
    assert (lent.closings, pool.stats()["nexpired"]) == (0, 0)


# check_after_idle


def test_check_after_idle(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """An object idle for that long is examined before it is lent, a fresher one is not."""
    pool = make_pool(max_size=1, health=Resource.check, check_after_idle=10.0, delay=LONG)
    pool.ret(pool.get())
    clock.advance(9.0)
    pool.ret(pool.get())
    assert (factory.calls, pool.stats()["nchecks"]) == ([], 0)
    clock.advance(11.0)
    lent = pool.get()
    assert (factory.calls, pool.stats()["nchecks"]) == ([("check", lent)], 1)
    assert pool.stats()["nuses"] == 3


def test_check_always(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """With 0.0 every idle object is examined before it is lent."""
    pool = make_pool(max_size=1, health=Resource.check, check_after_idle=0.0, delay=LONG)
    pool.ret(pool.get())
    known = len(factory.calls)
    for _ in range(3):
        pool.ret(pool.get())
    assert len(factory.calls) == known + 3


def test_check_never(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """By default nothing is examined before it is lent."""
    pool = make_pool(max_size=1, health=Resource.check, delay=LONG)
    clock.advance(1e6)
    pool.ret(pool.get())
    assert factory.calls == []


def test_refused_before_lending(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """A refused object is destroyed and the next one is tried, without another token."""
    pool = make_pool(max_size=3, min_size=3, health=Resource.check, check_after_idle=10.0, delay=LONG)
    clock.advance(11.0)
    factory.made[0].healthy = factory.made[2].healthy = False
    lent = pool.get(timeout=0)
    assert lent.alive
    assert lent.healthy
    lent = [lent, pool.get(timeout=0), pool.get(timeout=0)]
    assert all(each.healthy for each in lent)
    assert [resource.closings for resource in factory.made[:3]] == [1, 0, 1]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    assert factory.most_alive <= 3


def test_all_refused(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """Where all are refused a new one is made, and the caller sees no error."""
    pool = make_pool(max_size=3, min_size=3, health=Resource.check, check_after_idle=10.0, delay=LONG)
    clock.advance(11.0)
    for resource in factory.made:
        resource.healthy = False
    lent = pool.get(timeout=0)
    assert lent.serial >= 3
    stats = pool.stats()
    assert [resource.closings for resource in factory.made[:3]] == [1, 1, 1]
    assert (stats["nchecks"], stats["bad_health"], stats["sem"]["value"]) == (3, 3, 2)
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]


def test_raising_before_lending(
    factory: Factory, make_pool: MakePool, clock: Clock, messages: Messages
) -> None:
    """An examination that raises before lending is a refusal: counted, logged, destroyed."""
    pool = make_pool(max_size=1, health=Resource.check, check_after_idle=0.0, delay=LONG)
    clock.advance(1.0)
    factory.fails["check"] = ValueError("no answer")
    lent = pool.get(timeout=0)
    assert (lent.serial, factory.made[0].closings) == (1, 1)
    assert pool.stats()["hc_errors"] == 1
    assert any("no answer" in text for text in messages("ERROR"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_before_lending(
    factory: Factory, make_pool: MakePool, clock: Clock, error: type[BaseException]
) -> None:
    """An interrupted examination before lending reaches the caller and loses nothing."""
    pool = make_pool(max_size=1, health=Resource.check, check_after_idle=0.0, delay=LONG)
    clock.advance(1.0)
    factory.fails["check"] = error()
    with pytest.raises(error):
        pool.get(timeout=0)
    del factory.fails["check"]
    stats = pool.stats()
    assert (stats["nusing"], stats["sem"]["value"]) == (0, 1)
    assert stats["nobjs"] == len(factory.alive)
    assert pool.get(timeout=0).alive


def test_checks_at_once(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """Examinations before lending run side by side in the threads that ask."""
    together = threading.Barrier(3)

    def check(resource: Resource) -> bool:
        together.wait(SECONDS)
        return True

    pool = make_pool(max_size=3, min_size=3, health=check, check_after_idle=10.0, delay=LONG)
    clock.advance(11.0)
    got = run_all(*[pool.get] * 3)
    assert {id(each) for each in got} == {id(each) for each in factory.made}


# reset


def test_reset(factory: Factory, make_pool: MakePool) -> None:
    """The reset hook is called on each return, after the retter."""
    pool = make_pool(max_size=1, retter=Resource.take_back, reset=Resource.reset)
    for _ in range(2):
        with pool.obj():
            assert factory.calls == factory.calls[: 2 * pool.stats()["nuses"] - 2]
    assert [name for name, _ in factory.calls] == ["take_back", "reset"] * 2


def test_failed_reset(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """An object that cannot be reset is destroyed, counted and logged, and the caller sees nothing."""
    pool = make_pool(max_size=1, reset=Resource.reset, name="db")
    factory.fails["reset"] = ValueError("server gone")
    with pool.obj() as first:
        pass
    del factory.fails["reset"]
    stats = pool.stats()
    assert (first.closings, stats["nreset_errors"], stats["ndestroys"]) == (1, 1, 1)
    assert stats["sem"] == {"value": 1, "init": 1}
    assert any(text.startswith("pool 'db': ") and "server gone" in text for text in messages("ERROR"))
    assert pool.get(timeout=0) is not first


def test_reset_after_failed_retter(factory: Factory, make_pool: MakePool) -> None:
    """A retter that fails doesn't spare the object its reset."""
    pool = make_pool(max_size=1, retter=Resource.take_back, reset=Resource.reset)
    factory.fails["take_back"] = ValueError("no luck")
    lent = pool.get()
    pool.ret(lent)
    assert (lent.resets, lent.closings) == (1, 0)


# invalidate


def test_invalidate(factory: Factory, make_pool: MakePool) -> None:
    """An invalidated object is destroyed instead of returned, and another one is made."""
    pool = make_pool(max_size=1, retter=Resource.take_back)
    lent = pool.get()
    pool.invalidate(lent)
    assert (lent.closings, lent.rets) == (1, 0)
    stats = pool.stats()
    assert (stats["ninvalidated"], stats["ndestroys"], stats["nusing"]) == (1, 1, 0)
    assert stats["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0) is factory.made[1]


def test_invalidate_foreign(make_pool: MakePool, messages: Messages) -> None:
    """Invalidating what is not lent is the same warning as returning it."""
    pool = make_pool(max_size=2, tracer=str)
    lent = pool.get()
    pool.ret(lent)
    pool.invalidate(lent)
    pool.invalidate("stranger")
    first, second = messages()
    assert f"unexpected object returned: {lent}" in first
    assert "unexpected object returned: stranger" in second
    assert (lent.closings, pool.stats()["ninvalidated"]) == (0, 0)


def test_invalidate_then_return(make_pool: MakePool, messages: Messages) -> None:
    """An object invalidated within `with pool.obj()` is closed once."""
    pool = make_pool(max_size=2)
    with pool.obj() as lent:
        pool.invalidate(lent)
    assert lent.closings == 1
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


def test_invalidate_after_shutdown(make_pool: MakePool) -> None:
    """Invalidating an object after the shutdown is harmless."""
    pool = make_pool(max_size=2)
    lent = pool.get()
    pool.shutdown()
    pool.invalidate(lent)
    assert (lent.closings, pool.stats()["sem"]["value"]) == (1, 2)


def test_invalidate_serves_a_waiter(make_pool: MakePool, spawn: Spawn) -> None:
    """Whoever waits gets a new object in the place of an invalidated one."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get, SECONDS)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.invalidate(lent)
    assert waiter.result().alive


class Broken(ConnectionError):
    """A class of error of the tests' own."""


@pytest.mark.parametrize("error", [ConnectionError, ConnectionResetError, Broken, KeyError])
def test_invalidate_on(make_pool: MakePool, error: type[Exception]) -> None:
    """An exception of one of those classes, leaving the body, destroys the object and goes on."""
    pool = make_pool(max_size=1, invalidate_on=(ConnectionError, KeyError))
    raised = error("broken")
    with pytest.raises(error) as caught, pool.obj() as lent:
        raise raised
    assert caught.value is raised
    assert (lent.closings, pool.stats()["ninvalidated"]) == (1, 1)
    assert pool.get(timeout=0).alive


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_invalidate_on_nothing_else(make_pool: MakePool, error: type[BaseException]) -> None:
    """Another exception returns the object, though one of those classes be its cause."""
    pool = make_pool(max_size=1, invalidate_on=(ConnectionError, KeyError))
    cause = KeyError("caught")
    with pytest.raises(error), pool.obj() as lent:
        raise error("not broken") from cause
    assert (lent.closings, pool.stats()["ninvalidated"]) == (0, 0)
    assert pool.get(timeout=0) is lent


def test_invalidate_on_interrupts(make_pool: MakePool) -> None:
    """Classes outside of `Exception` count too."""
    pool = make_pool(max_size=1, invalidate_on=(KeyboardInterrupt,))
    with pytest.raises(KeyboardInterrupt), pool.obj() as lent:
        raise KeyboardInterrupt
    assert lent.closings == 1


# max_waiting


def test_max_waiting(make_pool: MakePool, spawn: Spawn) -> None:
    """With that many waiting already, `get` raises at once instead of waiting too."""
    pool = make_pool(max_size=1, max_waiting=2, name="db")
    lent = pool.get()
    tasks = []
    for rank in range(2):
        tasks.append(spawn(pool.get, SECONDS))
        eventually(lambda: pool.stats()["nwaiting"] == rank + 1)  # noqa: B023
    start = time.monotonic()
    with pytest.raises(ppp.TooManyRequests, match=r"^pool 'db': "):
        pool.get(timeout=30.0)
    with pytest.raises(ppp.TimeOut), pool.obj():
        raise AssertionError("the body must not run")
    assert time.monotonic() - start < 5.0
    pool.ret(lent)
    assert tasks[0].result() is lent
    pool.ret(lent)
    assert tasks[1].result() is lent
    pool.ret(lent)
    assert pool.get() is lent


def test_max_waiting_with_something_idle(make_pool: MakePool) -> None:
    """The limit is for those who have to wait, not for those who find an object."""
    pool = make_pool(max_size=2, max_waiting=1)
    with pool.obj(), pool.obj():
        assert pool.stats()["nusing"] == 2


def test_no_max_waiting(make_pool: MakePool, spawn: Spawn) -> None:
    """By default any number may wait."""
    pool = make_pool(max_size=1)
    lent = pool.get()

    def use() -> None:
        with pool.obj(timeout=SECONDS):
            pass

    tasks = [spawn(use) for _ in range(30)]
    eventually(lambda: pool.stats()["nwaiting"] == 30)
    pool.ret(lent)
    for task in tasks:
        task.result()


# with Pool, grace


def test_with_pool(factory: Factory) -> None:
    """`with Pool(…)` gives the pool and shuts it down at the end, whatever happens."""
    built = ppp.Pool(factory, min_size=2, closer=Resource.close)
    lent = built.get()
    with pytest.raises(KeyError), built as pool:
        raise KeyError(lent)
    assert pool is built
    assert [resource.closings for resource in factory.made] == [1, 1]
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get()


def shutting(pool: ppp.Pool[Any]) -> None:
    """Wait until the pool has begun to shut down."""
    eventually(lambda: pool.stats()["shutdown"])


def test_grace(factory: Factory, make_pool: MakePool, spawn: Spawn, messages: Messages) -> None:
    """A shutdown with grace lends no more, and waits for what is lent to come back before it closes it."""
    pool = make_pool(max_size=2, min_size=2, retter=Resource.take_back)
    lent = pool.get()
    ending = spawn(pool.shutdown, grace=60.0)
    shutting(pool)
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get()
    assert ending.is_alive()
    assert lent.closings == 0
    pool.ret(lent)
    ending.result()
    assert [resource.closings for resource in factory.made] == [1, 1]
    assert messages() == []
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


def test_grace_runs_out(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """What has not come back within the grace is closed with the warning."""
    pool = make_pool(max_size=2, min_size=2)
    lent = pool.get()
    start = time.monotonic()
    pool.shutdown(grace=0.05)
    assert 0.04 < time.monotonic() - start < 5.0
    assert [resource.closings for resource in factory.made] == [1, 1]
    (warning,) = messages()
    assert "1" in warning
    pool.ret(lent)
    assert lent.closings == 1


def test_grace_with_nothing_lent(make_pool: MakePool) -> None:
    """With nothing lent a grace costs no time."""
    pool = make_pool(max_size=2, min_size=2)
    start = time.monotonic()
    pool.shutdown(grace=60.0)
    assert time.monotonic() - start < 5.0


def test_grace_wakes_those_who_wait(make_pool: MakePool, spawn: Spawn) -> None:
    """Those who wait are told at the beginning of the grace, not at its end."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    ending = spawn(pool.shutdown, grace=60.0)
    with pytest.raises(ppp.PoolException, match="shutting down"):
        waiter.result()
    pool.invalidate(lent)
    ending.result()


# drain


def test_drain(factory: Factory, make_pool: MakePool) -> None:
    """Draining closes idle objects at once, lent ones when they return, and makes new ones."""
    pool = make_pool(max_size=4, min_size=2)
    lent = pool.get()
    pool.drain()
    assert [factory.made[0].closings, factory.made[1].closings].count(1) == 1
    assert lent.closings == 0
    fresh = pool.get(timeout=0)
    assert fresh.serial >= 2
    pool.ret(fresh)
    pool.ret(lent)
    assert (lent.closings, fresh.closings) == (1, 0)
    stats = pool.stats()
    assert stats["nobjs"] >= 2
    assert (stats["sem"]["value"], stats["ncreated"]) == (4, stats["nobjs"] + stats["ndestroys"])
    assert pool.get() is not lent


def test_drain_fills(factory: Factory, make_pool: MakePool) -> None:
    """After draining, the smallest number is there anew."""
    pool = make_pool(max_size=4, min_size=3)
    pool.drain()
    assert [resource.closings for resource in factory.made] == [1, 1, 1, 0, 0, 0]
    assert pool.stats()["navail"] == 3
    assert factory.most_alive <= 4


def test_drain_at_the_limit(factory: Factory, make_pool: MakePool) -> None:
    """Draining a pool whose objects are all lent fails nobody and keeps the limit."""
    pool = make_pool(max_size=2, min_size=2)
    lent = [pool.get(), pool.get()]
    pool.drain()
    for each in lent:
        assert each.closings == 0
        pool.ret(each)
        assert each.closings == 1
    assert factory.most_alive == 2
    assert (pool.stats()["navail"], pool.stats()["sem"]["value"]) == (2, 2)


def test_drain_during_creation(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """An object whose making began before the draining is closed when it returns."""
    begun, go_on = threading.Event(), threading.Event()

    def make(number: int) -> Resource:
        resource = factory(number)
        begun.set()
        wait_for(go_on)
        return resource

    pool = make_pool(make, max_size=2, min_size=0, closer=Resource.close)
    maker = spawn(pool.get)
    wait_for(begun)
    run_all(pool.drain, seconds=2.0)
    go_on.set()
    lent = maker.result()
    pool.ret(lent)
    assert factory.made[0].closings == 1


def test_drain_during_examination(factory: Factory, make_pool: MakePool, spawn: Spawn) -> None:
    """An object that is examined during the draining is not lent afterwards."""
    begun, go_on = threading.Event(), threading.Event()

    def check(resource: Resource) -> bool:
        begun.set()
        wait_for(go_on)
        return True

    pool = make_pool(max_size=1, health=check, delay=LONG)
    rounds = spawn(pool._hkRound)
    wait_for(begun)
    run_all(pool.drain, seconds=2.0)
    go_on.set()
    rounds.result()
    assert factory.made[0].closings == 1
    assert pool.get(timeout=SECONDS) is not factory.made[0]


def test_drain_after_shutdown(factory: Factory, make_pool: MakePool) -> None:
    """Draining after the shutdown makes nothing."""
    pool = make_pool(min_size=2)
    pool.shutdown()
    pool.drain()
    assert len(factory.made) == 2


# resize


def test_resize_up(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A larger limit serves those who wait at once."""
    pool = make_pool(max_size=1)
    pool.get()
    tasks = [spawn(pool.get, SECONDS), spawn(pool.get, SECONDS)]
    eventually(lambda: pool.stats()["nwaiting"] == 2)
    pool.resize(max_size=3)
    for task in tasks:
        assert task.result().alive
    stats = pool.stats()
    assert (stats["max_size"], stats["sem"], len(factory.alive)) == (3, {"value": 0, "init": 3}, 3)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)


def test_resize_down(make_pool: MakePool, factory: Factory) -> None:
    """A smaller limit leaves lent objects alone, and the surplus goes as they return."""
    pool = make_pool(max_size=4, min_size=0)
    lent = [pool.get() for _ in range(4)]
    pool.resize(max_size=2)
    assert [each.closings for each in lent] == [0, 0, 0, 0]
    assert pool.stats()["max_size"] == 2
    for each in lent[:2]:
        pool.ret(each)
        with pytest.raises(ppp.TimeOut):
            pool.get(timeout=0)
    assert [each.closings for each in lent] == [1, 1, 0, 0]
    pool.ret(lent[2])
    assert lent[2].closings == 0
    assert pool.get(timeout=0) is lent[2]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    for each in lent[2:]:
        pool.ret(each)
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


def test_resize_down_closes_idle(make_pool: MakePool, factory: Factory) -> None:
    """A smaller limit takes effect at once on idle objects."""
    pool = make_pool(max_size=4, min_size=0)
    lent = [pool.get() for _ in range(4)]
    for each in lent:
        pool.ret(each)
    pool.resize(max_size=1)
    assert len(factory.alive) == 1
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    pool.get(timeout=0)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)


def test_resize_down_and_up(make_pool: MakePool, factory: Factory) -> None:
    """Limits can change while everything is lent, and in the end the last one holds."""
    pool = make_pool(max_size=4, min_size=0)
    lent = [pool.get() for _ in range(4)]
    pool.resize(max_size=1)
    pool.resize(max_size=5)
    lent.append(pool.get(timeout=0))
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    pool.resize(max_size=2)
    for each in lent:
        pool.ret(each)
    assert pool.stats()["sem"] == {"value": 2, "init": 2}
    assert len(factory.alive) <= 2
    assert pool.get(timeout=0) is not pool.get(timeout=0)


def test_resize_min(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """A larger smallest number is made at once, a smaller one lets idle objects go in time."""
    pool = make_pool(max_size=5, min_size=1, max_avail_delay=10.0, delay=LONG)
    pool.resize(min_size=3)
    eventually(lambda: pool.stats()["navail"] == 3)
    assert pool.stats()["min_size"] == 3
    clock.advance(11.0)
    pool._hkRound()
    assert len(factory.alive) == 3
    pool.resize(min_size=0)
    pool._hkRound()
    assert factory.alive == []


def test_resize_both(make_pool: MakePool, messages: Messages) -> None:
    """Both sizes can change together; what is not given stays; the smallest is cut to the limit."""
    pool = make_pool(max_size=4, min_size=2)
    pool.resize(3, 6)
    assert (pool.stats()["min_size"], pool.stats()["max_size"]) == (3, 6)
    pool.resize()
    assert (pool.stats()["min_size"], pool.stats()["max_size"]) == (3, 6)
    assert messages() == []
    pool.resize(max_size=2)
    assert (pool.stats()["min_size"], pool.stats()["max_size"]) == (2, 2)
    assert len(messages()) == 1


@pytest.mark.parametrize(("given", "wanted"), [(0, 4), (None, 4), (4, 0)])
def test_resize_without_limit(make_pool: MakePool, given: int | None, wanted: int) -> None:
    """A pool without a limit cannot get one, nor the reverse."""
    pool = make_pool(max_size=given)
    with pytest.raises(ppp.PoolException):
        pool.resize(max_size=wanted)
    assert pool.stats()["max_size"] == given
    assert pool.get().alive


def test_resize_without_limit_min(make_pool: MakePool, factory: Factory) -> None:
    """The smallest number of a pool without a limit can change."""
    pool = make_pool()
    pool.resize(min_size=3)
    assert (pool.stats()["navail"], pool.stats()["min_size"]) == (3, 3)


def test_resize_after_shutdown(make_pool: MakePool, factory: Factory) -> None:
    """Resizing after the shutdown makes nothing."""
    pool = make_pool(max_size=4)
    pool.shutdown()
    try:
        pool.resize(min_size=3, max_size=6)
    except ppp.PoolException as error:
        assert "shutting down" in str(error)  # noqa: PT017
    assert len(factory.made) == 1
    assert pool.stats()["min_size"] == 0


# held too long


def line() -> int:
    """Give the line from which this is called."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_account_of_get(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """The warning is followed once by the object's text, its thread and the line that asked for it."""
    pool = make_pool(max_size=2, max_using_delay=10.0, delay=LONG, name="db", tracer=lambda thing: "<it>")
    place: list[int] = []

    def hold() -> None:
        place.append(line() + 1)
        pool.get()

    task = Task(hold)
    task.name = "holder-of-it"
    task.start()
    task.result()
    clock.advance(11.0)
    pool._hkRound()
    accounts = [text for text in messages() if "<it>" in text]
    (account,) = accounts
    assert account.startswith("pool 'db': ")
    assert "holder-of-it" in account
    assert Path(__file__).name in account
    assert str(place[0]) in account
    pool._hkRound()
    assert [text for text in messages() if "<it>" in text] == accounts


def test_account_of_obj(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """The line of a `with pool.obj()` is that of the user's program too."""
    pool = make_pool(max_size=2, max_using_delay=10.0, delay=LONG, tracer=str)
    place = line() + 1
    with pool.obj() as lent:
        clock.advance(11.0)
        pool._hkRound()
    (account,) = [text for text in messages() if str(lent) in text]
    assert f"{Path(__file__).name}" in account
    assert str(place) in account
    assert Path(ppp.__file__).name not in account


def test_account_closes(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """When an object held too long comes back, an info says after how long; others come back silently."""
    pool = make_pool(max_size=2, max_using_delay=10.0, delay=LONG, tracer=str)
    lent = pool.get()
    clock.advance(11.0)
    pool._hkRound()
    clock.advance(6.5)
    known = len(messages("INFO"))
    pool.ret(lent)
    (info,) = messages("INFO")[known:]
    assert str(lent) in info
    assert "17.5" in info
    known += 1
    pool.ret(pool.get())
    assert messages("INFO")[known:] == []


def test_account_of_each_lending(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """An object held too long again is accounted for again."""
    pool = make_pool(max_size=1, max_using_delay=10.0, delay=LONG, tracer=str)
    for times in range(1, 3):
        with pool.obj() as lent:
            clock.advance(11.0)
            pool._hkRound()
            pool._hkRound()
        assert len([text for text in messages() if str(lent) in text]) == times


def test_account_of_killed(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """An object killed at its first warning is accounted for as well."""
    pool = make_pool(max_size=1, max_using_delay_kill=10.0, delay=LONG, tracer=str)
    lent = pool.get()
    clock.advance(11.0)
    pool._hkRound()
    assert any(str(lent) in text and Path(__file__).name in text for text in messages())


# statistics


def test_waiting_statistics(make_pool: MakePool, spawn: Spawn) -> None:
    """Waits, those waiting now, their time and timeouts are counted."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get, SECONDS)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(lent)
    waiter.result()
    stats = pool.stats()
    assert (stats["nwaiting"], stats["nwaits"], stats["ntimeouts"]) == (0, 1, 0)
    assert 0.0 < stats["wait_time"] < SECONDS
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0.03)
    again = pool.stats()
    assert (again["nwaiting"], again["nwaits"], again["ntimeouts"]) == (0, 2, 1)
    assert again["wait_time"] - stats["wait_time"] > 0.02


def test_no_waiting_statistics(make_pool: MakePool) -> None:
    """A `get` that finds an object is no wait."""
    pool = make_pool(max_size=1)
    for _ in range(3):
        pool.ret(pool.get(timeout=1.0))
    stats = pool.stats()
    assert (stats["nwaits"], stats["wait_time"], stats["ntimeouts"]) == (0, 0.0, 0)


@pytest.mark.parametrize("hooks", [{}, {"retter": Resource.take_back}])
def test_use_time(make_pool: MakePool, clock: Clock, hooks: dict[str, Any]) -> None:
    """The time for which objects were lent is summed up, however they come back."""
    pool = make_pool(max_size=3, **hooks)
    first, second = pool.get(), pool.get()
    clock.advance(3.0)
    pool.ret(first)
    clock.advance(2.0)
    pool.invalidate(second)
    clock.advance(50.0)
    with pool.obj():
        clock.advance(1.0)
    assert pool.stats()["use_time"] == pytest.approx(9.0)


def test_create_time(factory: Factory, make_pool: MakePool) -> None:
    """The time that making objects took is summed up."""

    def make(number: int) -> Resource:
        threading.Event().wait(0.02)
        return factory(number)

    pool = make_pool(make, max_size=5, min_size=2)
    first = pool.stats()["create_time"]
    assert 0.03 < first < SECONDS
    for _ in range(3):
        pool.get()
    assert pool.stats()["create_time"] - first > 0.015


# pickling


PICKLED: dict[str, Any] = {
    "max_size": 3,
    "min_size": 2,
    "timeout": 0.5,
    "max_use": 7,
    "max_avail_delay": 30.0,
    "max_using_delay_kill": 40.0,
    "health_freq": 5,
    "delay": LONG,
    "name": "traveller",
}

UNPICKLE = """
import json, pickle, sys
pools = [pickle.loads(bytes.fromhex(sys.argv[1])) for _ in range(2)]
pool = pools[0]
before = pool.stats()
with pools[0].obj() as one, pools[1].obj() as two:
    json.dump([before, pool.stats(), len(one), len(two)], sys.stdout)
for pool in pools:
    pool.shutdown(delay=5.0)
"""


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle(make_pool: MakePool, protocol: int) -> None:
    """A pool pickles to its configuration, and makes its own objects where it is unpickled, on demand."""
    pool = make_pool(bytearray, tracer=repr, max_lifetime=50.0, max_waiting=6, **PICKLED)
    with pool.obj():
        pickled = pickle.dumps(pool, protocol)
    run = run_python(UNPICKLE, pickled.hex())
    assert (run.returncode, run.stderr) == (0, "")
    before, during, one, two = json.loads(run.stdout)
    assert {key: before[key] for key in PICKLED} == PICKLED
    assert (before["nobjs"], before["nusing"], before["sem"]) == (0, 0, {"value": 3, "init": 3})
    assert (one, two) == (0, 1)
    # unpickled again in the same process it is the same pool, so that the limit holds for the process
    assert during["sem"] == {"value": 1, "init": 3}
    assert sorted(entry["trace"] for entry in during["using"]) == [repr(bytearray(0)), repr(bytearray(1))]


def test_pickle_leaves_the_original(make_pool: MakePool) -> None:
    """Pickling a pool changes nothing in it."""
    pool = make_pool(bytearray, max_size=2)
    lent = pool.get()
    before = {key: pool.stats()[key] for key in ("nobjs", "nusing", "sem", "nuses")}
    pickle.dumps(pool)
    assert {key: pool.stats()[key] for key in before} == before
    pool.ret(lent)
    assert pool.get() is lent


def test_pickle_of_what_cannot(make_pool: MakePool) -> None:
    """A pool whose function cannot be pickled says so, and goes on."""
    pool = make_pool(lambda number: [number])
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(pool)
    assert pool.get() == [0]


# types


def test_generic() -> None:
    """A pool's type can name that of its objects."""
    with ppp.Pool[bytearray](bytearray) as pool:
        assert isinstance(pool, ppp.Pool)
        assert pool.get() == b""
