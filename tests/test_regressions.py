"""Faults that a review has found, one by one: each test is the promise that was broken."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import itertools
import operator
import threading
from collections.abc import Callable
from pathlib import Path
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
    Task,
    eventually,
    run_python,
    wait_for,
)
from proxies import Keep, keep_fixture

import ProxyPatternPool as ppp

__all__ = ["keep_fixture"]


class Door:
    """A lock that holds a thread, not the one that built it, before it enters or when it has left."""

    def __init__(self, lock: Any, before: Stop | None = None, after: Stop | None = None) -> None:
        self._lock = lock
        self._before = before
        self._after = after
        self._owner = threading.get_ident()

    def __enter__(self) -> None:
        if self._before is not None and threading.get_ident() != self._owner:
            self._before()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._after is not None and threading.get_ident() != self._owner:
            self._after()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def tokens(pool: ppp.Pool[Any]) -> tuple[int, int]:
    """Give the free tokens and all tokens."""
    sem = pool.stats()["sem"]
    return sem["value"], sem["init"]


def waiting(pool: ppp.Pool[Any]) -> int:
    """Count the threads that wait."""
    return int(pool.stats()["nwaiting"])


def line() -> int:
    """Give the caller's line."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


# An object is examined before it is lent.


@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize("handed", [False, True], ids=["idle", "handed over"])
@pytest.mark.parametrize("closer", ["hook", "thread"])
def test_all_closed_during_an_examination(
    make_pool: MakePool, factory: Factory, spawn: Spawn, closer: str, handed: bool, verdict: bool
) -> None:
    """Closing all objects while one is examined lets its getter go on at once, with a new object."""
    examining = Stop()

    def health(resource: Resource) -> bool:
        if closer == "hook":
            pool.__delete__()
        else:
            examining()
        return verdict

    pool = make_pool(max_size=1, min_size=0, health=health, check_after_idle=0.0, delay=1000.0)
    first = pool.get()
    if handed:
        getter = spawn(pool.get)
        eventually(lambda: waiting(pool) == 1)
        pool.ret(first)
    else:
        pool.ret(first)
        getter = spawn(pool.get)
    if closer == "thread":
        wait_for(examining.reached)
        pool.__delete__()
        assert tokens(pool) == (1, 1)
        examining.go.set()
    second = getter.result()
    assert second is not first
    assert (first.closings, second.closings) == (1, 0)
    assert list(pool._using) == [second]
    assert tokens(pool) == (0, 1)
    pool.ret(second)
    assert tokens(pool) == (1, 1)


def test_refused_object_with_a_hanging_closer(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """A getter that closes a refused object leaves what comes back to the waiters, and has its own turn."""
    closing = Stop()
    pool = make_pool(
        max_size=2,
        min_size=2,
        health=lambda resource: resource.number != 1,
        check_after_idle=0.0,
        delay=1000.0,
        closer=lambda resource: closing(resource) if resource.number == 1 else None,
    )
    refuser = spawn(pool.get)
    wait_for(closing.reached)
    good = pool.get(timeout=0)
    assert waiting(pool) == 0
    waiter = spawn(pool.get)
    eventually(lambda: waiting(pool) == 1)
    pool.ret(good)
    assert waiter.result() is good
    assert refuser.is_alive()
    last = spawn(pool.get)
    eventually(lambda: waiting(pool) == 1)
    closing.go.set()
    fresh = refuser.result()
    assert fresh is factory.made[2]
    assert waiting(pool) == 1
    pool.ret(good)
    assert last.result() is good
    assert sorted(map(id, pool._using)) == sorted(map(id, (good, fresh)))
    assert tokens(pool) == (0, 2)


# A proxy is set anew, interrupted, or shared.


def test_set_fun_as_a_draw_begins(factory: Factory, keep: Keep, spawn: Spawn) -> None:
    """A thread that comes to draw as the function is changed gets, and keeps, an object of the new one."""
    looking = Stop()
    proxy = keep(ppp.Proxy(fun=lambda number: "old", max_size=1))
    core: Any = ppp._core_of(proxy)
    core.lock = Door(core.lock, before=looking)

    def work() -> tuple[Any, bool]:
        obj = proxy._get_obj(timeout=0)
        kept = proxy._has_obj()
        proxy._ret_obj()
        return obj, kept

    worker = spawn(work)
    wait_for(looking.reached)
    proxy._set_fun(factory)
    looking.go.set()
    assert worker.result() == (factory.made[0], True)
    assert proxy._get_obj(timeout=0) is factory.made[0]
    proxy._ret_obj()
    assert tokens(proxy._pool) == (1, 1)


def test_set_fun_between_choosing_a_pool_and_using_it(factory: Factory, keep: Keep, spawn: Spawn) -> None:
    """A thread whose pool is replaced before it has used it is told so by that, or uses the new one."""
    chosen = Stop()
    proxy = keep(ppp.Proxy(fun=lambda number: "old", max_size=1))
    core: Any = ppp._core_of(proxy)
    core.lock = Door(core.lock, after=chosen)
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(proxy._get_obj(timeout=0))
        except ppp.PoolException as exc:
            outcome.append(str(exc))
        proxy._ret_obj()

    worker = spawn(work)
    wait_for(chosen.reached)
    proxy._set_fun(factory)
    chosen.go.set()
    worker.result()
    assert len(outcome) == 1
    assert "shutting down" in str(outcome[0]) or outcome == factory.made
    assert isinstance(proxy._get_obj(timeout=0), Resource)
    proxy._ret_obj()
    assert tokens(proxy._pool) == (1, 1)


def test_set_fun_as_a_shared_object_is_drawn(spawn: Spawn) -> None:
    """The function of a shared object is called once, also by a thread that came before it was set."""
    looking = Stop()
    made: list[str] = []

    def maker(name: str) -> Callable[[int], list[str]]:
        def fun(number: int) -> list[str]:
            made.append(name)
            return [name]

        return fun

    proxy: Any = ppp.Proxy(fun=maker("old"), scope=ppp.Proxy.Scope.SHARED)
    core: Any = ppp._core_of(proxy)
    core.lock = Door(core.lock, before=looking)
    worker = spawn(proxy._get_obj)
    wait_for(looking.reached)
    proxy._set_fun(maker("new"))
    looking.go.set()
    shared = worker.result()
    assert shared == ["new"]
    assert proxy._get_obj() is shared
    assert made == ["new"]


@pytest.mark.parametrize("name", ["_put", "_ContextLocal._publish"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_interrupted_while_the_object_is_stored(
    keep: Keep, factory: Factory, monkeypatch: pytest.MonkeyPatch, when: str, name: str
) -> None:
    """An interruption while a context's object is stored leaves no token behind."""
    store = operator.attrgetter(name)(ppp)
    strikes = iter([KeyboardInterrupt()])

    def interrupted(*args: Any) -> None:
        if when == "after":
            store(*args)
        for strike in strikes:
            raise strike
        if when == "before":
            store(*args)

    monkeypatch.setattr(f"ProxyPatternPool.{name}", interrupted)
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, scope=ppp.Proxy.Scope.WERKZEUG, closer=Resource.close))
    with pytest.raises(KeyboardInterrupt):
        proxy._get_obj()
    assert not proxy._has_obj()
    assert tokens(proxy._pool) == (1, 1)
    again = proxy._get_obj(timeout=0)
    assert proxy._has_obj()
    assert again.alive
    proxy._ret_obj()
    assert tokens(proxy._pool) == (1, 1)


def test_two_contexts_end_at_once(
    keep: Keep, factory: Factory, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    """Two contexts that share an object and return it at once both succeed, and it is returned once."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, scope=ppp.Proxy.Scope.WERKZEUG))
    proxy._get_obj()
    twin = contextvars.copy_context()
    erase = ppp._take_away
    others: list[Task] = []

    def slow(*args: Any) -> None:
        if not others:
            others.append(Task(twin.run, proxy._ret_obj))
            others[0].start()
            others[0].result()
        erase(*args)

    monkeypatch.setattr(ppp, "_take_away", slow)
    proxy._ret_obj()
    assert len(others) == 1
    assert not proxy._has_obj()
    assert tokens(proxy._pool) == (1, 1)
    assert messages() == []


def test_two_contexts_end_at_once_with_a_slow_retter(
    keep: Keep, factory: Factory, monkeypatch: pytest.MonkeyPatch, messages: Messages, spawn: Spawn
) -> None:
    """A context that returns what another is just returning raises nothing and warns of nothing."""
    returning = Stop()
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, scope=ppp.Proxy.Scope.WERKZEUG, retter=returning))
    proxy._get_obj()
    twin = contextvars.copy_context()
    other = spawn(twin.run, proxy._ret_obj)
    wait_for(returning.reached)
    proxy._ret_obj()
    assert list(proxy._pool._using), "it is not returned twice"
    returning.go.set()
    other.result()
    eventually(lambda: tokens(proxy._pool) == (1, 1))
    assert messages() == []


# Objects go one at a time.


@pytest.mark.parametrize("door", ["drain", "lifetime", "idleness"])
def test_closing_many_with_a_slow_closer(
    make_pool: MakePool, clock: Clock, factory: Factory, spawn: Spawn, door: str
) -> None:
    """While the closer of one drained, expired or recycled object hangs, others get at once."""
    closing = Stop()

    def closer(resource: Resource) -> None:
        resource.close()
        closing()

    delays = {"drain": {}, "lifetime": {"max_lifetime": 50.0}, "idleness": {"max_avail_delay": 50.0}}[door]
    pool = make_pool(factory, max_size=4, min_size=0, closer=closer, delay=1000.0, **delays)
    for old in [pool.get() for _ in range(4)]:
        pool.ret(old)
    clock.advance(100.0)
    cleaner = spawn(pool.drain if door == "drain" else pool._hkRound)
    wait_for(closing.reached)
    assert pool.stats()["ntodel"] == 1
    lent = [pool.get(timeout=0) for _ in range(3)]
    assert all(resource.alive for resource in lent)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    closing.go.set()
    cleaner.result()
    assert tokens(pool) == (1, 4)
    for resource in lent:
        pool.ret(resource)
    if door == "drain":
        assert [old.closings for old in factory.made[:4]] == [1] * 4
    assert tokens(pool) == (4, 4)


# The account of who holds what.


def test_account_names_the_line_of_a_with_block(
    make_pool: MakePool, keep: Keep, clock: Clock, messages: Messages
) -> None:
    """The account of a late object names the program's line, also where `contextlib` stands between."""
    proxy = keep(ppp.Proxy(fun=lambda number: "a", max_size=1, max_using_delay=5.0, delay=1000.0))
    pool = make_pool(lambda number: "b", max_size=1, max_using_delay=5.0, delay=1000.0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(pool.obj())
        entered = line() - 1
        with proxy._obj():
            began = line() - 1
            clock.advance(10.0)
            pool._hkRound()
            proxy._pool._hkRound()
    accounts = [text.rpartition("from ")[2] for text in messages() if " by thread " in text]
    assert accounts == [f"{__file__}:{entered}", f"{__file__}:{began}"]


def named_and_back(messages: Messages) -> tuple[list[str], list[str]]:
    """Give the holders named by warnings, and the times told when objects came back."""
    named = [text for text in messages() if " by thread " in text]
    back = [text.rpartition("is back after ")[2] for text in messages("INFO") if "is back after" in text]
    return named, back


def test_back_after_with_a_waiter(
    make_pool: MakePool, clock: Clock, messages: Messages, spawn: Spawn
) -> None:
    """A late object that goes straight to a waiter is back after its holder's time, and may be late again."""
    pool = make_pool(max_size=1, max_using_delay=5.0, delay=1000.0, tracer=str)
    resource = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: waiting(pool) == 1)
    clock.advance(10.0)
    pool._hkRound()
    clock.advance(2.0)
    pool.ret(resource)
    assert waiter.result() is resource
    assert named_and_back(messages)[1] == ["12.000 seconds"]
    clock.advance(7.0)
    pool._hkRound()
    named, _ = named_and_back(messages)
    assert len(named) == 2
    assert f"held for 7.000 seconds by thread {waiter.name}, from " in named[1]
    clock.advance(1.0)
    pool.ret(resource)
    assert named_and_back(messages)[1] == ["12.000 seconds", "8.000 seconds"]


def test_back_after_with_reclaim(keep: Keep, clock: Clock, messages: Messages, spawn: Spawn) -> None:
    """A late object of a thread that has ended is told to be back, and named again when late again."""
    drawn, done = threading.Event(), threading.Event()
    proxy = keep(ppp.Proxy(fun=lambda n: "a", max_size=1, max_using_delay=5.0, delay=1000.0, reclaim=True))

    def work() -> None:
        proxy._get_obj()
        drawn.set()
        wait_for(done)

    spawn(work)
    wait_for(drawn)
    clock.advance(10.0)
    proxy._pool._hkRound()
    clock.advance(2.0)
    done.set()
    eventually(lambda: named_and_back(messages)[1])
    assert named_and_back(messages)[1] == ["12.000 seconds"]
    assert proxy._get_obj(timeout=0) == "a"
    clock.advance(7.0)
    proxy._pool._hkRound()
    assert ["held for 7.000 seconds" in text for text in named_and_back(messages)[0]] == [False, True]
    proxy._ret_obj()
    assert named_and_back(messages)[1] == ["12.000 seconds", "7.000 seconds"]


def test_reclaim_refills(keep: Keep, factory: Factory, spawn: Spawn) -> None:
    """A worn-out object that comes back because its thread has ended is replaced, up to `min_size`."""
    proxy = keep(
        ppp.Proxy(fun=factory, max_size=2, min_size=1, max_use=1, reclaim=True, closer=Resource.close)
    )
    spawn(proxy._get_obj).result()
    eventually(lambda: factory.made[0].closings == 1)
    eventually(lambda: proxy._pool.stats()["navail"] == 1)
    assert factory.alive == factory.made[1:]
    assert tokens(proxy._pool) == (2, 2)


# A hook ends the lending that it is called for.


@pytest.mark.parametrize("what", ["ret", "invalidate", "__delete__"])
def test_getter_that_ends_the_lending(
    make_pool: MakePool, factory: Factory, messages: Messages, what: str
) -> None:
    """Where a getter returns, invalidates or closes its object, `get` gives one that is only the caller's."""
    first = itertools.count()

    def getter(resource: Resource) -> None:
        if next(first) == 0:
            getattr(pool, what)(*([] if what == "__delete__" else [resource]))

    pool = make_pool(max_size=2, min_size=1, getter=getter)
    one, two = pool.get(timeout=0), pool.get(timeout=0)
    assert one is not two
    assert one.alive
    assert two.alive
    assert sorted(map(id, pool._using)) == sorted(map(id, (one, two)))
    assert tokens(pool) == (0, 2)
    pool.ret(one)
    pool.ret(two)
    assert tokens(pool) == (2, 2)
    assert messages() == []


@pytest.mark.parametrize("what", ["ret", "invalidate"])
def test_getter_that_ends_many_lendings(make_pool: MakePool, what: str) -> None:
    """However often a getter ends the lending that it is called for, `get` goes on, and loses no token."""
    calls = itertools.count()

    def getter(obj: object) -> None:
        if next(calls) < 1500:
            getattr(pool, what)(obj)

    pool = make_pool(lambda number: object(), max_size=2, min_size=1, getter=getter)
    obj = pool.get(timeout=5.0)
    assert list(pool._using) == [obj]
    assert tokens(pool) == (1, 2)


def test_getter_that_shuts_the_pool_down(make_pool: MakePool, factory: Factory) -> None:
    """A getter that shuts the pool down makes `get` say so, instead of giving a closed object."""
    pool: ppp.Pool[Any] = make_pool(max_size=2, min_size=1, getter=lambda resource: pool.shutdown())
    with pytest.raises(ppp.PoolException, match="shutting down"):
        pool.get(timeout=0)
    assert [resource.closings for resource in factory.made] == [1]
    assert tokens(pool) == (2, 2)


def test_invalidate_within_a_block(make_pool: MakePool, factory: Factory, messages: Messages) -> None:
    """An object invalidated inside its `with` block is not missed at the end; returned by hand it is."""
    pool = make_pool(max_size=1, tracer=str)
    with pool.obj() as resource:
        pool.invalidate(resource)
    assert resource.closings == 1
    assert messages() == []
    other = pool.get(timeout=0)
    pool.invalidate(other)
    pool.ret(other)
    assert len(messages()) == 1
    assert messages()[0].endswith("unexpected object returned: resource 1")


# The other processes, and the end of this one.

FORK = """
import os, sys
import ProxyPatternPool as ppp

def fun(number):
    file = open(os.path.join(sys.argv[1], str(number)), "w")
    file.write("unflushed")
    return file

def closer(file):
    file.write(" closed")
    file.close()

pool = ppp.Pool(fun, max_size=3, min_size=3, closer=closer)
held = pool.get()
proxy = ppp.Proxy(fun=lambda number: fun(10 + number), max_size=2, closer=closer)
proxy.name
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print({name: os.path.getsize(os.path.join(sys.argv[1], name)) for name in sorted(os.listdir(sys.argv[1]))})
pool.ret(held)
pool.shutdown()
proxy._ret_obj()
proxy._pool.shutdown()
"""


def test_child_that_exits_normally(tmp_path: Path) -> None:
    """A forked child that ends normally writes nothing to the parent's objects, not even what they buffer."""
    done = run_python(FORK, str(tmp_path))
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "{'0': 0, '1': 0, '10': 0, '2': 0}\n"
    assert {path.read_text() for path in tmp_path.iterdir()} == {"unflushed closed"}


FORK_OF_THREADS = """
import os, sys, threading, warnings
import ProxyPatternPool as ppp

warnings.simplefilter("ignore", DeprecationWarning)
drawn, done = threading.Event(), threading.Event()
proxy = ppp.Proxy(
    fun=lambda number: object(), max_size=2, reclaim=True,
    retter=lambda obj: os.write(1, b"returned in process %d\\n" % (os.getpid() != parent)),
)
parent = os.getpid()

def hold():
    proxy._get_obj()
    drawn.set()
    done.wait(10)

thread = threading.Thread(target=hold)
thread.start()
assert drawn.wait(10)
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
os.write(1, b"child has ended\\n")
done.set()
thread.join()
"""


def test_child_reclaims_nothing() -> None:
    """What a thread of the parent holds is not reclaimed in a forked child, where that thread is no more."""
    done = run_python(FORK_OF_THREADS)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["child has ended", "returned in process 0"]


EXIT = """
import os
import ProxyPatternPool as ppp

def closer(number):
    os.write(1, b"closing %d\\n" % number)
    if number in (0, 10):
        raise SystemExit(3)

one = ppp.Pool(lambda number: number, max_size=3, min_size=3, closer=closer)
two = ppp.Pool(lambda number: 10 + number, max_size=2, min_size=2, closer=closer)
"""


def test_closer_that_exits_at_exit() -> None:
    """A closer that raises `SystemExit` as the interpreter ends changes neither stderr nor the status."""
    done = run_python(EXIT)
    assert (done.stderr, done.returncode) == ("", 0)
    assert sorted(done.stdout.splitlines()) == [f"closing {number}" for number in (0, 1, 10, 11, 2)]


class CountingBell(ppp._Bell):
    """A bell that knows how many came to wait for it."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[None] = []

    def wait(self, seconds: float) -> bool:
        """Count, then wait."""
        self.waiters.append(None)
        return super().wait(seconds)


def test_two_shutdowns_with_grace(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """Two threads that shut down with grace both return as soon as the last object is back."""
    pool = make_pool(max_size=2)
    pool._all_back = bell = CountingBell()
    resource = pool.get()
    tasks = [spawn(pool.shutdown, grace=30.0) for _ in range(2)]
    eventually(lambda: len(bell.waiters) == 2)
    assert resource.alive
    pool.ret(resource)
    for task in tasks:
        task.result()
    assert resource.closings == 1


# Sizes and tokens.


@pytest.mark.parametrize("late", ["min_size", "max_size"])
def test_concurrent_resizes(make_pool: MakePool, factory: Factory, spawn: Spawn, late: str) -> None:
    """Of two concurrent changes, one of the least and one of the greatest size, neither is lost."""
    sizes = {"min_size": 2, "max_size": 3}
    entering = Stop()
    pool = make_pool(max_size=8)
    pool._lock = Door(pool._lock, before=entering)
    task = spawn(pool.resize, **{late: sizes.pop(late)})
    wait_for(entering.reached)
    pool.resize(**sizes)
    entering.go.set()
    task.result()
    stats = pool.stats()
    assert (stats["min_size"], stats["max_size"], stats["nobjs"]) == (2, 3, 2)
    assert tokens(pool) == (3, 3)


def test_wrong_return_makes_nothing(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """A return of what is not lent calls no `fun`, though objects are missing."""
    asked: list[int] = []

    def fun(number: int) -> object:
        asked.append(number)
        if len(asked) > 1:
            raise OSError("down")
        return object()

    pool = make_pool(fun, max_size=4, min_size=2)
    obj = pool.get()
    pool.ret(obj)
    clock.advance(100.0)
    calls = len(asked)
    assert pool.stats()["nobjs"] == 1
    for wrong in (obj, object()):
        pool.ret(wrong)
        pool.invalidate(wrong)
    assert len(asked) == calls
    assert len(messages()) == 4
    assert tokens(pool) == (4, 4)


def test_return_of_what_is_not_examined(make_pool: MakePool, factory: Factory) -> None:
    """Putting back an object which is lent, not under examination, changes nothing."""
    pool = make_pool(max_size=1, min_size=1)
    resource = pool.get()
    before = pool.stats()
    pool._return(resource)
    after = pool.stats()
    assert after == before | {key: after[key] for key in ("now", "running", "rel_hk_last", "using")}
    assert list(pool._using) == [resource]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)


def test_tokens_taken_by_hand_count(make_pool: MakePool, factory: Factory) -> None:
    """Where all tokens were taken by hand, `get` times out though objects are idle."""
    pool = make_pool(max_size=2, min_size=2)
    gate = pool._sem
    assert gate is not None
    assert gate.acquire(blocking=False)
    assert gate.acquire(blocking=False)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    assert tokens(pool) == (0, 2)
    assert pool.stats()["navail"] == 2
    gate.release()
    resource = pool.get(timeout=0)
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    pool.ret(resource)
    gate.release()
    assert tokens(pool) == (2, 2)
