"""The rare ways through the module: interruptions at each point, failures of cleaning up, odd states.

`test_interrupts.py` interrupts at random points and says how often; here each point has its turn, once.
Python takes signals at the entry of functions and after calls of functions written in C: a profiler counts
these places in the module, and raises at one of them.
"""

from __future__ import annotations

import _thread
import contextvars
import gc
import inspect
import itertools
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from conftest import (
    Clock,
    Factory,
    MakePool,
    Messages,
    Resource,
    Spawn,
    Stop,
    eventually,
    run_python,
    wait_for,
)

import ProxyPatternPool as ppp

MODULE = ppp.Pool.get.__code__.co_filename
HOUR = 3600.0
PATIENCE = 10.0


class Strike:
    """Interrupts the thread that calls it at one of the places where Python takes signals, by number.

    Not in finalizers, from which no exception gets out, nor where a generator goes on, which a profiler
    cannot interrupt as a signal does.
    """

    def __init__(self, number: int, keep: bool = False) -> None:
        self.left = number
        self.keep = keep
        self.struck: tuple[str, str] | None = None
        self.error: KeyboardInterrupt | None = None

    def __call__(self, work: Callable[[], object]) -> bool:
        """Do some work; whether it was interrupted."""
        sys.setprofile(self._profile)
        try:
            work()
        except KeyboardInterrupt as error:
            self.error = error if self.keep else None
        finally:
            sys.setprofile(None)
        return self.struck is not None

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if code.co_filename != MODULE or event not in ("call", "c_return") or code.co_name == "__del__":
            return
        if code.co_flags & inspect.CO_GENERATOR:
            return
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            self.struck = (code.co_name, event)
            raise KeyboardInterrupt


def once(method: Callable[..., Any], error: BaseException | None = None) -> Callable[..., Any]:
    """Give a function that raises at its first call, before it does anything, and then is that method."""
    errors = [error or KeyboardInterrupt()]

    def function(*args: Any, **kwargs: Any) -> Any:
        if errors:
            raise errors.pop()
        return method(*args, **kwargs)

    return function


def imbalances(pool: ppp.Pool[Any], factory: Factory) -> dict[str, Any]:
    """List what is not as it has to be at rest, where no token, no object and no count is missing."""
    stats = pool.stats()
    sem = stats["sem"]
    differences = {
        "tokens": sem["init"] - sem["value"] - stats["nusing"],
        "lent": stats["nusing"],
        "doomed": stats["ntodel"],
        "waiting": stats["nwaiting"],
        "nowhere": stats["nobjs"] - stats["navail"] - stats["nusing"],
        "counted": stats["ncreated"] - stats["nobjs"] - stats["ndestroys"],
        "open": len(factory.alive) - stats["nobjs"],
        "closed twice": sum(resource.closings > 1 for resource in factory.made),
    }
    return {key: value for key, value in differences.items() if value}


def check_balance(pool: ppp.Pool[Any], factory: Factory, struck: object = None) -> None:
    """See that nothing is lent nor missing, at a moment when the housekeeper makes nothing."""
    assert not pool._lock._is_owned(), struck
    with suppress(AssertionError):
        eventually(lambda: not imbalances(pool, factory))
        return  # not to be asked again: it may have begun meanwhile
    assert imbalances(pool, factory) == {}, struck


ALL = {
    "opener": Resource.open,
    "getter": Resource.lend,
    "retter": Resource.take_back,
    "reset": Resource.reset,
    "health": Resource.check,
    "check_after_idle": 0.0,
    "max_use": 1,
    "max_lifetime": HOUR,
    "max_using_delay": HOUR,
    "delay": HOUR,
}
EMPTY = {"min_size": 0}


def lend(pool: ppp.Pool[Any]) -> None:
    with pool.obj():
        pass


def lend_two(pool: ppp.Pool[Any]) -> None:
    with pool.obj(), pool.obj():
        pass


def spoil(pool: ppp.Pool[Any]) -> None:
    with pool.obj() as resource:
        resource.healthy = False
        pool.invalidate(resource)


def refuse(pool: ppp.Pool[Any]) -> None:
    for resource in pool._avail:
        resource.healthy = False
    lend(pool)


WORKS = [
    pytest.param(lend, {}, id="obj"),
    pytest.param(lend, EMPTY, id="obj-of-an-empty-pool"),
    pytest.param(lend, {"max_use": 1}, id="obj-worn-out"),
    pytest.param(lend, ALL, id="obj-all-hooks"),
    pytest.param(lend_two, ALL | {"min_size": 2}, id="two-obj-all-hooks"),
    pytest.param(refuse, ALL, id="obj-refused"),
    pytest.param(ppp.Pool.drain, {}, id="drain"),
    pytest.param(ppp.Pool.resize, {}, id="resize"),
    pytest.param(lambda pool: pool.resize(2, 3), EMPTY, id="resize-up"),
    pytest.param(lambda pool: pool.resize(0, 1), {"min_size": 2}, id="resize-down"),
    pytest.param(ppp.Pool._hkRound, ALL | {"min_size": 2}, id="round"),
    pytest.param(ppp.Pool._empty, {"min_size": 2}, id="empty"),
    pytest.param(ppp.Pool.stats, {}, id="stats"),
    pytest.param(ppp.Pool.shutdown, {"min_size": 2}, id="shutdown"),
]


@pytest.mark.parametrize(("work", "parameters"), WORKS)
def test_interrupted_at_each_point(
    make_pool: MakePool, factory: Factory, work: Callable[[ppp.Pool[Any]], None], parameters: dict[str, Any]
) -> None:
    """Whatever the pool does, an interrupt at whichever point leaves all tokens, objects and counts right."""
    for number in itertools.count(1):
        pool = make_pool(**{"max_size": 2, **parameters})
        strike = Strike(number)
        struck = strike(lambda pool=pool: work(pool))  # type: ignore[misc]
        check_balance(pool, factory, strike.struck)
        pool.shutdown(delay=PATIENCE)
        assert factory.alive == [], strike.struck
        if not struck:
            break
    assert number > 5


@pytest.mark.parametrize("parameters", [{}, ALL, {"max_use": 1}], ids=["bare", "all-hooks", "worn-out"])
def test_interrupted_ret_is_done(make_pool: MakePool, factory: Factory, parameters: dict[str, Any]) -> None:
    """Once `ret` has begun, an interrupt at whichever point does not keep the object from going back."""
    for number in itertools.count(2):  # the first is its entry
        pool = make_pool(**{"max_size": 2, **parameters})
        resource = pool.get()
        strike = Strike(number)
        struck = strike(lambda pool=pool, resource=resource: pool.ret(resource))  # type: ignore[misc]
        assert resource not in pool._using, strike.struck
        check_balance(pool, factory, strike.struck)
        pool.shutdown()
        if not struck:
            break
    assert number > 5


@pytest.mark.parametrize("parameters", [{}, ALL], ids=["bare", "all-hooks"])
def test_interrupted_block_returns_at_once(
    make_pool: MakePool, factory: Factory, parameters: dict[str, Any]
) -> None:
    """The end of a block, once it works, returns the object however interrupted, and does so at once."""
    seen: list[tuple[str, str]] = []
    for number in itertools.count(1):
        pool = make_pool(**{"max_size": 2, **parameters})
        strike = Strike(number, keep=True)
        struck = strike(lambda pool=pool: lend(pool))  # type: ignore[misc]
        if strike.struck and strike.struck[0] in ("_checkin", "_shelve", "_give_back"):
            seen.append(strike.struck)
            assert strike.error is not None
            if len(seen) > 2:  # its entry, and its look at the clock
                check_balance(pool, factory, strike.struck)
        strike.error = None
        pool.shutdown()
        if not struck:
            break
    assert len(seen) > 4


def test_interrupted_invalidate_can_be_repeated(make_pool: MakePool, factory: Factory) -> None:
    """An interrupted `invalidate` either has destroyed the object or leaves it lent, to be asked again."""
    for number in itertools.count(1):
        pool = make_pool(max_size=2, health=Resource.check)
        resource = pool.get()
        struck = Strike(number)(lambda pool=pool, resource=resource: pool.invalidate(resource))  # type: ignore[misc]
        if resource.alive:
            assert resource in pool._using
            pool.invalidate(resource)
        assert resource.closings == 1
        check_balance(pool, factory)
        pool.shutdown()
        if not struck:
            break
    assert number > 5


@pytest.mark.parametrize("method", ["ret", "invalidate", "_destroy", "_out", "_return", "_del"])
@pytest.mark.parametrize("foreign", [False, True], ids=["idle", "foreign"])
def test_interrupted_with_what_is_not_lent(
    make_pool: MakePool, factory: Factory, method: str, foreign: bool
) -> None:
    """To give something wrong back, interrupted at whichever point, takes no token and no object."""
    for number in itertools.count(1):
        pool = make_pool(max_size=2, retter=Resource.take_back)
        thing = object() if foreign else next(iter(pool._avail))
        work = getattr(pool, method)
        struck = Strike(number)(lambda work=work, thing=thing: work(thing))  # type: ignore[misc]
        if method in ("_out", "_del"):
            pool._hkRound()  # what was left out is closed by whoever comes next
        check_balance(pool, factory)
        assert method in ("_out", "_del") or len(factory.alive) == 1
        pool.shutdown()
        if not struck:
            break
    assert number > 2


def test_constructor_interrupted_at_each_point(factory: Factory) -> None:
    """A constructor interrupted at whichever point leaves no open object and no thread."""
    threads = threading.active_count()
    pools: list[ppp.Pool[Any]] = []

    def build() -> None:
        pools.append(ppp.Pool(factory, 3, 2, delay=HOUR, opener=Resource.open, closer=Resource.close))

    for number in itertools.count(1):
        if not Strike(number)(build):
            break
        assert pools == []
        assert factory.alive == []
    pools.pop().shutdown()
    assert number > 20
    assert factory.alive == []
    eventually(lambda: threading.active_count() <= threads)


def test_waiter_interrupted_at_each_point(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A waiter that is interrupted, before or after its turn has come, leaves all to the next one."""

    def give_back(pool: ppp.Pool[Any], resource: Resource, over: threading.Event) -> None:
        eventually(lambda: pool.stats()["nwaiting"] == 1 or over.is_set())
        pool.ret(resource)

    for number in itertools.count(1):
        pool = make_pool(max_size=1, health=Resource.check, check_after_idle=0.0)
        over = threading.Event()
        task = spawn(give_back, pool, pool.get(), over)
        strike = Strike(number)
        struck = strike(lambda pool=pool: lend(pool))  # type: ignore[misc]
        over.set()
        task.result()
        check_balance(pool, factory, strike.struck)
        lend(pool)
        pool.shutdown()
        if not struck:
            break
    assert number > 10


def test_ended_lending_runs_no_finalizer(make_pool: MakePool) -> None:
    """A `with` block leaves nothing to do to a finalizer, in which an interrupt would be lost."""
    pool = make_pool(max_size=1)
    entered: list[str] = []

    def profile(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            entered.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        lend(pool)
    finally:
        sys.setprofile(None)
    assert "__exit__" in entered
    assert "__del__" not in entered


def test_waiter_for_a_token_gets_that_of_an_object(
    make_pool: MakePool, factory: Factory, spawn: Spawn
) -> None:
    """Who waits for a token of the gate has it when an object is returned, and the object is available."""
    pool = make_pool(max_size=1)
    gate = pool._sem
    assert gate is not None
    resource = pool.get()
    waiter = spawn(gate.acquire, timeout=5.0)
    pool.ret(resource)
    assert waiter.result()
    gate.release()
    check_balance(pool, factory)
    lend(pool)


def test_interrupted_cleaning_up_is_repeated(make_pool: MakePool, factory: Factory) -> None:
    """A second interrupt, of what clears up after the first one, loses nothing either."""
    pool: Any = make_pool(max_size=1, getter=Resource.lend)
    pool._discard = once(pool._discard)
    factory.fails["lend"] = SystemExit()
    with pytest.raises(SystemExit):
        pool.get()
    factory.fails.clear()
    check_balance(pool, factory)
    pool.ret(pool.get(timeout=0))


def test_cleaning_up_ends(make_pool: MakePool, factory: Factory) -> None:
    """Where clearing up never works, the interrupt comes out after all, and nobody is stuck."""
    pool: Any = make_pool(max_size=1, getter=Resource.lend)
    discard, calls = pool._discard, []

    def broken(*args: Any) -> None:
        calls.append(args)
        raise SystemError("broken")

    pool._discard = broken
    factory.fails["lend"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        pool.get()
    factory.fails.clear()
    assert len(calls) > 1
    discard(*calls[0])
    check_balance(pool, factory)


def test_second_interrupt_of_a_closing(make_pool: MakePool, factory: Factory) -> None:
    """Objects that an interrupted `drain` has left to be closed are closed, each of them once."""
    pool: Any = make_pool(max_size=3, min_size=3)
    pool._close = once(pool._close)
    with pytest.raises(KeyboardInterrupt):
        pool.drain()
    assert [resource.closings for resource in factory.made] == [1, 1, 1]
    check_balance(pool, factory)


def test_doomed_object_left_behind(make_pool: MakePool, factory: Factory) -> None:
    """An object taken out which nobody has destroyed is destroyed by the next round, and by no one else."""
    pool = make_pool(max_size=2)
    resource = pool.get()
    pool._out(resource)
    pool._out(resource)
    assert resource in pool._todel
    pool._hkRound()
    pool._destroy(resource)
    assert resource.closings == 1
    check_balance(pool, factory)


@pytest.mark.parametrize("method", ["_out", "_destroy", "_del", "_return", "_borrow"])
def test_foreign_object(make_pool: MakePool, factory: Factory, method: str) -> None:
    """What the pool has never made does nothing to it."""
    pool = make_pool(max_size=2)
    assert not getattr(pool, method)(object())
    check_balance(pool, factory)
    assert len(factory.alive) == 1


# The gate, which is a semaphore too


def test_gate_is_a_semaphore(make_pool: MakePool, spawn: Spawn) -> None:
    """Tokens can be taken and given back as those of a `BoundedSemaphore`, not more than there are."""
    pool = make_pool(max_size=2, min_size=0)
    gate = pool._sem
    assert gate is not None
    with gate:
        assert gate.acquire(blocking=False)
        assert not gate.acquire(blocking=False)
        assert not gate.acquire(timeout=0)
        assert not gate.acquire(timeout=0.01)
        with pytest.raises(ppp.TimeOut):
            pool.get(timeout=0)
        waiter = spawn(gate.acquire)
        gate.release()
        assert waiter.result()
        gate.release()
    with pytest.raises(ValueError, match="too many"):
        gate.release(2)
    assert pool.stats()["sem"] == {"value": 2, "init": 2}
    pool.ret(pool.get(timeout=0))


def test_waiting_with_the_lock_in_hand(make_pool: MakePool, spawn: Spawn) -> None:
    """Whoever holds the pool's lock while waiting lets go of it meanwhile, and has it back afterwards."""
    pool = make_pool(max_size=1)
    resource = pool.get()

    def give_back() -> None:
        eventually(lambda: pool.stats()["nwaiting"] == 1)
        pool.ret(resource)

    task = spawn(give_back)
    with pool._lock, pool._lock:
        assert pool.get(timeout=5.0) is resource
        other = spawn(pool.stats)
        other.join(0.05)
        assert other.is_alive()
    other.result()
    task.result()
    pool.ret(resource)


def test_token_of_a_pool_that_shrank(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A waiter whose token came just before the pool shrank waits on, and gets what comes back next."""
    pool = make_pool(max_size=2)
    first, second = pool.get(), pool.get()
    waiter = spawn(pool.get, timeout=5.0)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    with pool._lock:  # the waiter cannot look before all of it has happened
        pool.invalidate(first)
        pool.resize(min_size=0, max_size=1)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(second)
    assert waiter.result() is second
    pool.ret(second)
    check_balance(pool, factory)
    assert factory.most_alive == 2
    assert len(factory.made) == 2


class Overtaken:
    """A pool's lock, before the n-th taking of which by `with` somebody else does something."""

    def __init__(self, lock: Any, number: int, deed: Callable[[], object]) -> None:
        self.lock = lock
        self.left = number
        self.deed = deed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lock, name)

    def __enter__(self) -> Any:
        self.left -= 1
        if self.left == 0:
            self.deed()
        return self.lock.__enter__()

    def __exit__(self, *args: object) -> None:
        self.lock.__exit__(*args)


@pytest.mark.parametrize("method", ["drain", "_hkRound"])
def test_overtaken_by_a_get(make_pool: MakePool, factory: Factory, clock: Clock, method: str) -> None:
    """An object that somebody gets in the midst of the closing of idle ones is not closed."""
    for number in itertools.count(1):
        pool = make_pool(max_size=2, min_size=0, max_avail_delay=5.0, delay=HOUR)
        pool.ret(pool.get())
        clock.advance(10.0)
        lent: list[Resource] = []
        lock = Overtaken(pool._lock, number, lambda pool=pool, lent=lent: lent.append(pool.get()))  # type: ignore[misc]
        pool._lock = lock
        getattr(pool, method)()
        pool._lock = lock.lock
        for resource in lent:
            assert resource.alive
            pool.ret(resource)
        check_balance(pool, factory)
        pool.shutdown()
        if not lent:
            break
    assert number > 2


# Odd things done by users


def test_lending_entered_twice(make_pool: MakePool, factory: Factory) -> None:
    """One `obj()` lends one object at a time: entered again inside it is an error, later it is none."""
    pool = make_pool(max_size=2)
    lending = pool.obj()
    lending.__exit__(None, None, None)  # not entered yet: nothing to give back
    with lending as resource:
        with pytest.raises(ppp.PoolException, match="in use already"):
            lending.__enter__()
        assert list(pool._using) == [resource]
    with lending as again:
        assert again is resource
    check_balance(pool, factory)


def test_lending_that_was_not_finished(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lending whose making was interrupted goes away without a word."""
    pool = make_pool(max_size=1)
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    lending = pool.obj()
    unfinished = type(lending).__new__(type(lending))
    del unfinished
    gc.collect()
    assert said == []
    assert pool.stats()["sem"] == {"value": 1, "init": 1}


def test_lending_that_was_forgotten(make_pool: MakePool, factory: Factory) -> None:
    """A lending that nobody has ended ends when it goes away."""
    pool = make_pool(max_size=1)
    lending = pool.obj()
    lending.__enter__()
    assert pool.stats()["nusing"] == 1
    del lending
    gc.collect()
    check_balance(pool, factory)


def test_fun_raises_stop_iteration(make_pool: MakePool) -> None:
    """A `fun` that raises `StopIteration` is an error as any other, and its token comes back."""

    def fun(number: int) -> Any:
        raise StopIteration

    pool = make_pool(fun, max_size=1, min_size=0)
    with pytest.raises((ppp.PoolException, StopIteration)):
        pool.get(timeout=0)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.stats()["ncreated"] == 0


@pytest.mark.parametrize(
    "parameters",
    [{"name": 5}, {"invalidate_on": 5}, {"invalidate_on": "ValueError"}, {"log_level": "LOUD"}],
    ids=lambda parameters: "-".join(map(str, *parameters.items())),
)
def test_odd_parameter_of_a_pool(factory: Factory, parameters: dict[str, Any]) -> None:
    """A name, an exception class or a level that is none is refused, by parameter and value."""
    ((name, value),) = parameters.items()
    with pytest.raises(ppp.PoolException, match=f"{name} must be .*{value}"):
        ppp.Pool(factory, **parameters)
    assert factory.made == []


@pytest.mark.parametrize(
    "parameters",
    [{"set_name": "a b"}, {"set_name": 5}, {"scope": 5}, {"fun": 5}],
    ids=lambda parameters: "-".join(map(str, *parameters.items())),
)
def test_odd_parameter_of_a_proxy(parameters: dict[str, Any]) -> None:
    """A prefix that is no name, a scope that is none and a function that is none are refused."""
    ((name, value),) = parameters.items()
    with pytest.raises(ppp.ProxyException, match=f"{name} must be .*{value}"):
        ppp.Proxy(**parameters)


def test_record_is_a_dataclass_that_can_be_set(make_pool: MakePool, clock: Clock) -> None:
    """The times of an object's record can be made, read and set as those of any dataclass."""
    info = ppp.Pool.UseInfo(3, 10.0, 20.0)
    assert info.uses == 3
    assert info.last_get == pytest.approx(10.0)
    assert info.last_ret == pytest.approx(20.0)
    pool = make_pool(max_size=1, max_avail_delay=5.0, min_size=0, delay=HOUR)
    resource = pool.get()
    pool.ret(resource)
    record = pool._uses[resource]
    assert record.last_ret == pytest.approx(pool._now())
    record.last_get = record.last_ret = pool._now() - 10.0
    pool._hkRound()
    assert not resource.alive


def test_unset_subclass_in_its_init() -> None:
    """A subclass may look at itself before it has called the proxy's `__init__`."""
    seen: list[Any] = []

    class Handle(ppp.Proxy[Any]):
        def __init__(self) -> None:
            seen.extend([repr(self), bool(self), hasattr(self, "set_fun")])
            super().__init__()

    other: ppp.Proxy[Any] = ppp.Proxy(5)  # by which "set_fun" is known
    assert other._get_obj() == 5
    handle = Handle()
    assert seen == ["<Proxy unset>", False, False]
    assert hasattr(handle, "set_fun")
    assert not handle


def test_subclass_with_a_setattr_of_its_own() -> None:
    """A subclass that has its own `__setattr__` sees each assignment, and may pass it on to the object."""
    seen: list[str] = []

    class Thing:
        x = 0

    class Handle(ppp.Proxy[Any]):
        def __init__(self, thing: Thing) -> None:
            super().__init__(thing)

        def __setattr__(self, name: str, value: Any) -> None:
            seen.append(name)
            super().__setattr__(name, value)

    thing = Thing()
    handle = Handle(thing)
    handle.x = 3
    assert thing.x == 3
    assert seen == ["x"]


@pytest.mark.parametrize("end", ["_ret_obj", "_invalidate_obj"])
def test_two_contexts_return_at_once(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """When two contexts give up at once the object that they share, the first one does, and none fails."""
    closed: list[Any] = []
    proxy: Any = ppp.Proxy(
        fun=make_text, scope=ppp.Proxy.Scope.WERKZEUG, max_size=1, closer=closed.append, max_use=2
    )
    proxy._get_obj()
    other = contextvars.copy_context()
    home_of = ppp._home_of
    turns = [lambda: other.run(proxy._ret_obj)]

    def late(local: Any) -> Any:
        home = home_of(local)
        if turns:
            turns.pop()()
        return home

    monkeypatch.setattr(ppp, "_home_of", late)
    getattr(proxy, end)()
    monkeypatch.undo()
    assert not turns
    assert not proxy._has_obj()
    assert not other.run(proxy._has_obj)
    assert closed == []
    assert proxy._get_obj() == b"text"
    proxy._ret_obj()
    assert len(closed) == 1  # it was used twice
    proxy._pool.shutdown()


# The housekeeper


def at_once(function: Callable[..., Any], args: tuple[Any, ...]) -> int:
    """Do in this thread what should be done in a new one."""
    function(*args)
    return 0


def housekeepers(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"{name} housekeeper"]


def test_housekeeper_is_started(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool with a delay has one housekeeper, which ends with it."""
    monkeypatch.setattr(_thread, "start_new_thread", at_once)
    pool = make_pool(max_size=2, min_size=2, delay=0.01, name="edge-started")
    assert len(housekeepers("edge-started")) == 1
    eventually(lambda: pool.stats()["hk_rounds"] > 1)
    pool.shutdown(delay=5.0)
    assert housekeepers("edge-started") == []


@pytest.mark.parametrize("where", ["outer", "inner"])
def test_no_more_threads(
    make_pool: MakePool,
    factory: Factory,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """Where no thread can be started, an error is logged, and the pool works without a housekeeper."""

    def fail(*args: Any) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", fail if where == "outer" else at_once)
    monkeypatch.setattr(threading.Thread, "start", fail)
    pool = make_pool(max_size=1, delay=0.01, max_use=1, name="edge-failed")
    monkeypatch.undo()
    (text,) = messages("ERROR")
    assert "no housekeeper" in text
    assert "can't start new thread" in text
    lend(pool)
    check_balance(pool, factory)
    assert len(factory.alive) == 1  # what was worn out was replaced
    pool.shutdown(delay=5.0)
    assert housekeepers("edge-failed") == []


def make_text(number: int) -> bytearray:
    return bytearray(b"text")


def test_shutdown_while_the_housekeeper_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that is shut down in the moment in which its housekeeper is built has none."""
    import pickle

    original = ppp.Pool(make_text, delay=HOUR, min_size=0, name="edge-shut")
    data = pickle.dumps(original)
    original.shutdown(delay=5.0)
    pool: ppp.Pool[Any] = pickle.loads(data)

    class Thread(threading.Thread):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if kwargs.get("name") == "edge-shut housekeeper":
                pool.shutdown()
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(threading, "Thread", Thread)
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get()
    monkeypatch.undo()
    eventually(lambda: housekeepers("edge-shut") == [])
    stats = pool.stats()
    assert stats["ncreated"] == stats["ndestroys"] == 1


def test_housekeeping_in_a_thread_of_ones_own(
    make_pool: MakePool, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`_houseKeeping` does rounds in the thread that calls it, until shutdown."""
    monkeypatch.setenv("PPP_WERKZEUG_WORKAROUND", "1")
    pool = make_pool(max_size=1, delay=0.01)
    assert pool._housekeeper is None
    task = spawn(pool._houseKeeping)
    eventually(lambda: pool.stats()["hk_rounds"] > 2)
    assert task.is_alive()
    pool.shutdown()
    task.result()


def test_unused_pool_goes_away_quietly(recwarn: pytest.WarningsRecorder) -> None:
    """A pool that is dropped before it has made or started anything is no reason for a warning."""
    pool: ppp.Pool[Any] | None = ppp.Pool(make_text, min_size=0, name="edge-unused")
    assert pool is not None
    pool = None
    gc.collect()
    assert not any("edge-unused" in str(warning.message) for warning in recwarn)


# In processes of their own


def test_system_without_forks() -> None:
    """Where there are no forks the module works all the same."""
    run = run_python(
        """
        import logging, os, random, threading  # they ask for it too, and are here before
        del os.register_at_fork
        import ProxyPatternPool as ppp
        with ppp.Pool(lambda number: [number], max_size=1) as pool, pool.obj() as thing:
            print(thing)
        """
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "[0]\n", "")


def test_fork_of_proxies() -> None:
    """In the child of a fork a proxy keeps an object that was set, and makes anew what its function makes."""
    run = run_python(
        """
        import ProxyPatternPool as ppp
        one, unset = ppp.Proxy([1]), ppp.Proxy()
        many = ppp.Proxy(fun=lambda number: [number], max_size=2)
        first = many._get_obj()
        pool = many._pool
        ppp._registry.after_fork()
        print(one, unset._has_obj(), many._has_obj(), many._get_obj() is first, many, pool.stats()["nusing"])
        many._ret_obj()
        pool.shutdown()
        """
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "[1] False False False [0] 1\n", "")


def test_end_of_the_interpreter() -> None:
    """When the interpreter ends, idle objects are closed, lent ones are left, and nobody gets another."""
    run = run_python(
        """
        import ProxyPatternPool as ppp
        pool = ppp.Pool(lambda number: number, max_size=3, min_size=2, closer=print)
        lent = pool.get()
        ppp._registry.at_exit()
        print("lent:", lent)
        try:
            pool.get()
        except ppp.PoolException as error:
            print(error)
        """
    )
    assert run.stderr == ""
    assert run.returncode == 0
    assert run.stdout.splitlines()[:3] == ["0", "lent: 1", f"{run.stdout.splitlines()[2]}"]
    assert "shutting down" in run.stdout


def test_interrupted_end_of_the_interpreter() -> None:
    """A closer that tries to end the program at its end leaves the other pools to be closed, each once."""
    run = run_python(
        """
        import ProxyPatternPool as ppp

        def closer(number):
            print(number)
            raise SystemExit(3)

        one = ppp.Pool(lambda number: number, closer=closer)
        two = ppp.Pool(lambda number: number + 10, closer=closer)
        """
    )
    assert (run.returncode, sorted(run.stdout.split()), run.stderr) == (0, ["0", "10"], "")


def test_reclaim_where_no_greenlet_ends() -> None:
    """With `reclaim`, the program's own greenlet, which nobody sees end, can return its object by hand."""
    run = run_python(
        """
        import warnings
        warnings.simplefilter("ignore")
        import ProxyPatternPool as ppp
        proxy = ppp.Proxy(
            fun=lambda number: [number], scope=ppp.Proxy.Scope.EVENTLET, max_size=1, reclaim=True
        )
        print(proxy._get_obj(), proxy._pool.stats()["nusing"])
        proxy._ret_obj()
        print(proxy._has_obj(), proxy._pool.stats()["nusing"])
        proxy._pool.shutdown()
        """
    )
    assert (run.returncode, run.stdout) == (0, "[0] 1\nFalse 0\n"), run.stderr


def test_waiter_for_a_creation_interrupted_at_each_point(
    make_pool: MakePool, factory: Factory, spawn: Spawn
) -> None:
    """A waiter that is interrupted when a token without an object has come leaves it to the next one."""

    def destroy(pool: ppp.Pool[Any], resource: Resource, over: threading.Event) -> None:
        eventually(lambda: pool.stats()["nwaiting"] == 1 or over.is_set())
        pool.invalidate(resource)

    for number in itertools.count(1):
        pool = make_pool(max_size=1, min_size=0)
        over = threading.Event()
        task = spawn(destroy, pool, pool.get(), over)
        struck = Strike(number)(lambda pool=pool: lend(pool))  # type: ignore[misc]
        over.set()
        task.result()
        check_balance(pool, factory)
        lend(pool)
        pool.shutdown()
        if not struck:
            break
    assert number > 10


class InterruptedLock:
    """A lock whose next acquisition is interrupted."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.armed = True

    def __enter__(self) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_examination_interrupted_before_it_began(make_pool: MakePool, factory: Factory) -> None:
    """Who is interrupted while waiting for the pool's lock to examine an object has not taken it."""
    pool: Any = make_pool(max_size=1)
    (resource,) = pool._avail
    lock = pool._lock
    pool._lock = InterruptedLock(lock)
    with pytest.raises(KeyboardInterrupt):
        pool._borrow(resource)
    pool._lock = lock
    assert resource in pool._avail
    check_balance(pool, factory)


def test_records_by_object(make_pool: MakePool) -> None:
    """The records of a pool can be listed by their objects."""
    pool = make_pool(max_size=2, min_size=2)
    lent = pool.get()
    assert {id(resource) for resource in pool._uses} == {id(resource) for resource in [lent, *pool._avail]}
    assert [info.uses for info in pool._uses.values()].count(1) == 1
    pool.ret(lent)


def test_shared_object_is_made_by_who_comes_first(spawn: Spawn) -> None:
    """Who comes while a shared object is being made waits for it, and makes none."""
    begun, go_on = threading.Event(), threading.Event()
    made: list[int] = []

    def make(number: int) -> list[int]:
        made.append(number)
        begun.set()
        assert go_on.wait(10.0)
        return made

    proxy: Any = ppp.Proxy(fun=make, scope=ppp.Proxy.Scope.SHARED)
    first = spawn(proxy._get_obj)
    assert begun.wait(10.0)
    second = spawn(proxy._get_obj)
    second.join(0.05)
    assert second.is_alive()
    go_on.set()
    assert first.result() is second.result() is made
    assert made == [0]


def test_grace_of_an_empty_pool(make_pool: MakePool, spawn: Spawn) -> None:
    """A shutdown with grace does not wait where there is nothing to come back."""
    pool = make_pool(min_size=0)
    spawn(pool.shutdown, grace=HOUR).result()


def test_shutdown_closes_what_was_taken_out(make_pool: MakePool, factory: Factory) -> None:
    """An object that somebody has taken out and left behind is closed by a shutdown, too."""
    pool = make_pool()
    pool._out(factory.made[0])
    assert factory.alive
    pool.shutdown()
    assert not factory.alive


@pytest.mark.parametrize("method", ["_new", "_create"])
def test_failed_creation_by_name(make_pool: MakePool, factory: Factory, method: str) -> None:
    """A creation by one of the old names that fails gives its token and its number back."""
    pool = make_pool(min_size=0, max_size=1)
    factory.fails["make"] = ConnectionError()
    with pytest.raises(ConnectionError):
        getattr(pool, method)()
    factory.fails.clear()
    check_balance(pool, factory)
    pool.ret(pool.get(timeout=0))
    assert factory.numbers == [0, 0]


def test_late_lending_that_ends_before_its_warning(
    make_pool: MakePool, clock: Clock, messages: Messages
) -> None:
    """A holder who is replaced while a round speaks is not named, nor is the next one in his stead."""
    pool = make_pool(max_size=1, max_using_delay=10.0, delay=HOUR)
    late = pool.get()
    clock.advance(11.0)

    class Meanwhile(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ppp.log.removeHandler(self)
            pool.ret(late)
            assert pool.get() is late

    handler = Meanwhile(logging.WARNING)
    ppp.log.addHandler(handler)
    try:
        pool._hkRound()
    finally:
        ppp.log.removeHandler(handler)
    assert len(messages()) == 1
    pool.ret(late)
    assert not messages("INFO")


@pytest.mark.parametrize("hook", ["lend", "take_back", "close", "make"])
def test_failure_keeps_an_outer_lock(make_pool: MakePool, factory: Factory, hook: str) -> None:
    """What fails in a signal handler that has interrupted the pool leaves the lock to whom it belongs."""
    hooks: dict[str, Any] = {
        "lend": {"getter": Resource.lend},
        "take_back": {"retter": Resource.take_back},
    }.get(hook, {})
    pool = make_pool(min_size=0, max_size=1, max_use=1, **hooks)
    factory.fails[hook] = KeyboardInterrupt()
    with pool._lock:
        with pytest.raises(KeyboardInterrupt):
            pool.ret(pool.get())
        assert pool._lock._is_owned()
    factory.fails.clear()
    check_balance(pool, factory)


def test_object_returned_twice_by_fun_is_closed_once(make_pool: MakePool, factory: Factory) -> None:
    """What `fun` gives twice is not closed for that, even if its holder gets rid of it meanwhile."""
    only = factory(0)
    pool: Any = make_pool(lambda number: only, min_size=0, max_size=2, closer=Resource.close)
    assert pool.get() is only
    discard = pool._discard

    def late(*args: Any) -> None:
        pool._del(only)
        discard(*args)

    pool._discard = late
    with pytest.raises(ppp.PoolException, match="has already"):
        pool.get()
    assert only.closings == 1
    check_balance(pool, factory)


@pytest.mark.parametrize("parameters", [{}, {"retter": Resource.take_back}], ids=["bare", "retter"])
def test_block_does_not_end_the_next_lending(
    make_pool: MakePool, messages: Messages, parameters: dict[str, Any]
) -> None:
    """The end of a block whose object was returned, and is lent anew, takes it from nobody."""
    pool = make_pool(max_size=1, **parameters)
    with pool.obj() as resource:
        pool.ret(resource)
        assert pool.get() is resource
    assert list(pool._using) == [resource]
    assert resource.rets == len(parameters)
    assert "unexpected object returned" in messages()[0]


def test_broken_block_does_not_end_the_next_lending(make_pool: MakePool, messages: Messages) -> None:
    """An exception of `invalidate_on` destroys nothing that was returned before, and is lent anew."""
    pool = make_pool(max_size=1, invalidate_on=ConnectionError)
    with suppress(ConnectionError), pool.obj() as resource:
        pool.ret(resource)
        assert pool.get() is resource
        raise ConnectionError
    assert list(pool._using) == [resource]
    assert resource.alive
    assert "unexpected object returned" in messages()[0]


def test_examination_needs_a_token(make_pool: MakePool, factory: Factory) -> None:
    """An idle object whose token somebody has taken by hand is not examined."""
    pool = make_pool(max_size=1, health=Resource.check)
    assert pool._sem is not None
    assert pool._sem.acquire(blocking=False)
    assert not pool._borrow(factory.made[0])
    pool._health_check()
    assert (pool._sem._value, pool._nhealth) == (0, 0)
    pool._sem.release()
    assert pool._borrow(factory.made[0])
    pool._return(factory.made[0])
    check_balance(pool, factory)


def test_drained_during_its_examination(make_pool: MakePool, factory: Factory) -> None:
    """An object which is put back after an examination, and is not wanted any more, is closed at once."""
    pool = make_pool(max_size=2)
    (resource,) = factory.made
    assert pool._borrow(resource)
    pool.drain()
    assert resource.alive
    pool._return(resource)
    assert resource.closings == 1
    check_balance(pool, factory)


def test_interrupted_getter_does_not_end_the_next_lending(make_pool: MakePool) -> None:
    """A getter interrupted after its object was given back, and is lent anew, takes it from nobody."""
    lent: list[Resource] = []

    def getter(resource: Resource) -> None:
        if not lent:
            lent.append(resource)
            pool.ret(resource)
            assert pool.get() is resource
            raise KeyboardInterrupt

    pool = make_pool(max_size=1, getter=getter)
    with pytest.raises(KeyboardInterrupt):
        pool.get()
    assert list(pool._using) == lent
    assert lent[0].alive


def test_waiter_examines_what_it_gets(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """With `check_after_idle` 0, an object that goes from hand to hand is examined in between, too."""
    pool = make_pool(min_size=0, max_size=1, health=Resource.check, check_after_idle=0.0)
    lent = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    lent.healthy = False
    pool.ret(lent)
    assert waiter.result() is factory.made[1]
    assert lent.closings == 1


def test_woken_housekeeper_only_fills(make_pool: MakePool, factory: Factory) -> None:
    """A return that leaves less than `min_size` has that made by the housekeeper, and is no round."""
    pool = make_pool(max_use=1, delay=HOUR)
    pool.ret(pool.get())
    eventually(lambda: pool.stats()["navail"] == 1)
    assert len(factory.made) == 2
    assert pool._hk_rounds == 0


def test_arrival_after_a_shutdown() -> None:
    """A pool that comes by pickle once more, after it was shut down here, comes anew."""
    with ppp.Pool(str, min_size=0) as pool:
        travelling = pickle.dumps(pool)
    first = pickle.loads(travelling)
    assert pickle.loads(travelling) is first
    first.shutdown()
    with pickle.loads(travelling) as second:
        assert second is not first
        assert second.get() == "0"


def test_views_know_objects_by_identity(make_pool: MakePool) -> None:
    """Of objects which are equal and have no hash, each view holds its own."""
    pool = make_pool(lambda number: [], max_size=2, min_size=2)
    lent = pool.get()
    (idle,) = pool._avail
    assert (lent in pool._using, lent in pool._avail) == (True, False)
    assert (idle in pool._using, idle in pool._avail) == (False, True)
    assert not any([] in view for view in (pool._using, pool._avail, pool._todel, pool._uses))


def test_pool_of_a_proxy_is_filled(factory: Factory) -> None:
    """The first object drawn through a proxy makes its pool with all that `min_size` asks for."""
    proxy = ppp.Proxy[Any](fun=factory, max_size=4, min_size=3)
    proxy._get_obj()
    assert len(factory.made) == 3
    proxy._set(mandatory=False)


def test_object_is_not_current_when_it_may_be_lent(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retter that goes through the proxy finds what is being returned; once it may be lent, nobody does."""
    seen: list[Any] = []

    def retter(resource: Resource) -> None:
        seen.append(proxy._get_obj() is resource)

    shelve = ppp.Pool._shelve

    def shelved(*args: Any) -> bool:
        seen.append(proxy._has_obj())
        return shelve(*args)

    proxy = ppp.Proxy[Any](fun=factory, max_size=1, retter=retter)
    proxy._get_obj()
    monkeypatch.setattr(ppp.Pool, "_shelve", shelved)
    proxy._ret_obj()
    assert seen == [True, False]
    proxy._set(mandatory=False)


def test_block_in_a_copied_context_returns_what_it_drew(factory: Factory) -> None:
    """A context within a block of its parent, which returns their object and draws another, returns that."""
    proxy = ppp.Proxy[Any](fun=factory, max_size=2, scope=ppp.Proxy.Scope.WERKZEUG)

    def work() -> None:
        with proxy._obj():
            proxy._ret_obj()
            proxy._get_obj()
            assert proxy._pool is not None
            assert len(proxy._pool._using) == 1

    with proxy._obj():
        contextvars.copy_context().run(work)
        assert proxy._pool is not None
        assert len(proxy._pool._using) == 0
    proxy._set(mandatory=False)


def test_turn_of_no_use_is_given_up(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """Who finds a refused object, in a pool which shrinks while that is closed, gives the token back."""
    pool = make_pool(max_size=2, min_size=2, health=Resource.check, check_after_idle=0.0, closer=None)
    lent = pool.get()
    (refused,) = pool._avail
    refused.healthy = False

    def closer(resource: Resource) -> None:
        resource.close()
        pool.resize(min_size=0, max_size=1)

    pool._closer = closer
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(lent)
    assert waiter.result() is lent
    pool.ret(lent)
    check_balance(pool, factory)


def test_last_return_ends_the_grace(make_pool: MakePool, spawn: Spawn) -> None:
    """A shutdown with grace ends when the last object has come back."""
    pool = make_pool(max_size=2, min_size=2)
    lent = [pool.get(), pool.get()]
    task = spawn(pool.shutdown, grace=HOUR)
    eventually(lambda: pool._shutdown)
    pool.ret(lent[0])
    task.join(0.05)
    assert task.is_alive()
    pool.ret(lent[1])
    task.result()


def test_all_closed_while_one_is_opened(make_pool: MakePool, factory: Factory) -> None:
    """An opener that closes everything closes its own object, too: `get` gives another one."""

    def opener(resource: Resource) -> None:
        if resource.serial == 0:
            pool.__delete__()

    pool = make_pool(min_size=0, max_size=1, opener=opener)
    resource = pool.get()
    assert (resource.serial, resource.alive) == (1, True)
    pool.ret(resource)
    check_balance(pool, factory)


def test_from_an_examination_to_a_waiter(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """What a waiter gets after its examination is not among the idle ones any more."""
    stop = Stop()

    def health(resource: Resource) -> bool:
        stop()
        return True

    pool = make_pool(max_size=2, min_size=2, health=health)
    lent = pool.get()
    round_ = spawn(pool._health_check)
    wait_for(stop.reached)
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    stop.go.set()
    examined = waiter.result()
    round_.result()
    pool.invalidate(lent)
    assert pool.get(timeout=0) is not examined
    assert len(pool._using) == 2


def test_interrupted_return_by_a_proxy_at_each_point(factory: Factory) -> None:
    """A proxy's return, interrupted at whichever point, is either done or can be done again."""
    for number in itertools.count(1):
        proxy = ppp.Proxy[Any](fun=factory, max_size=1, closer=Resource.close)
        proxy._get_obj()
        pool = proxy._pool
        assert pool is not None
        strike = Strike(number)
        struck = strike(proxy._ret_obj)
        if not proxy._has_obj():
            check_balance(pool, factory, strike.struck)
        proxy._ret_obj()
        check_balance(pool, factory, strike.struck)
        proxy._set(mandatory=False)
        if not struck:
            break
    assert number > 5


def test_contexts_that_share_nothing_any_more(factory: Factory) -> None:
    """Contexts copied from one whose object was given back have each their own."""
    proxy = ppp.Proxy[Any](fun=factory, max_size=2, scope=ppp.Proxy.Scope.WERKZEUG)
    proxy._get_obj()
    proxy._ret_obj()
    contexts = [contextvars.copy_context() for _ in range(2)]
    first, second = (context.run(proxy._get_obj) for context in contexts)
    assert first is not second
    proxy._set(mandatory=False)
