"""Interrupts at any point, signal handlers and finalizers that use the pool: no token and no object is lost.

What is measured: a timer raises `KeyboardInterrupt` or `SystemExit` in the main thread at random points, and
`PyThreadState_SetAsyncExc` raises an exception in another thread at random points; then tokens and objects
are counted.

* `with pool.obj()`: no token may be lost, wherever the exception strikes.
* bare `get` and `ret`: none may be lost by the pool. CPython itself makes two cases that no library can mend,
  and the harness tells them apart: the exception strikes in the caller after `get` has returned and before
  the result is stored (seen up to Python 3.10 only: later versions do not look for interrupts there), or at
  the very entry of `ret`, before its first instruction. Whoever must be safe uses `with pool.obj()`.
* an object that `fun` has made is closed exactly once, construction and `shutdown` included.

This holds from Python 3.11 on. Python 3.10 takes interrupts also between a call and the storing of its
result, and at forward jumps, so that no order of steps is safe there: several of 100 interrupts lose a token.

The short form is part of `make check`; `PPP_STRESS_SECONDS=600` makes it proportionally longer. The makers
and closers of objects are functions written in C here, so that an exception strikes the pool's code and not
the test's accounts.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import pytest
from conftest import MakePool, Resource, Spawn, Task, eventually, run_all, wait_for

import ProxyPatternPool as ppp

SECONDS = float(os.environ.get("PPP_STRESS_SECONDS", "8"))
SHARE = SECONDS * 0.08
"""Seconds that each of the measurements takes."""

PATIENCE = 20.0

OLD = sys.version_info < (3, 11)
"""Python 3.10 takes interrupts between a call and the storing of its result, which no library can undo."""

pytestmark = [
    pytest.mark.timeout(SECONDS + 60),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away what Python itself does to an exception that strikes in a finalizer or in logging.

    In a finalizer it goes no further; in `logging`, it may leave a handler's lock behind, held for ever.
    """
    shown = sys.unraisablehook

    def hook(unraisable: Any, /) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit | Injected):
            shown(unraisable)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    monkeypatch.setattr(ppp.log, "disabled", True)


class Thing(float):
    """An object made and numbered without any Python code that could be interrupted."""


class Account:
    """Makes and closes things by functions written in C, and counts them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.fun: Callable[[int], Any] = functools.partial(next, map(Thing, self._numbers))
        self.closed: list[Thing] = []
        self.closer: Callable[[Any], None] = self.closed.append

    def missing(self) -> list[float]:
        """List the things not closed exactly once; to be called once, at the end."""
        made = next(self._numbers)
        closings = Counter(float(thing) for thing in self.closed)
        return [number for number in range(made) if closings[number] != 1]


AGAIN = 0.05
"""Seconds after which a timer rings once more, for CPython 3.11 may forget a signal.

One that arrives while the main thread works out whether anything is pending (`COMPUTE_EVAL_BREAKER`) stays
tripped, yet nobody looks until the next one, or until another thread asks for the interpreter. A debugger
showed `is_tripped` 1, `signals_pending` 1 and `eval_breaker` 0 in a test that waited for its only signal.
"""


class Alarm:
    """Raises an exception in the main thread a moment after it was armed, at most once each time."""

    def __init__(self) -> None:
        self.armed = False
        self.struck = 0

    def ring(self, number: int, frame: FrameType | None) -> None:
        """Handle the timer's signal."""
        if self.armed:
            self.armed = False
            self.struck += 1
            raise KeyboardInterrupt if self.struck % 2 else SystemExit

    def arm(self, most: float) -> None:
        """Ring within that many seconds."""
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + random.random() * most, AGAIN)

    def until_it_rings(self, work: Callable[[], None]) -> None:
        """Repeat it until the exception comes; a loop in a `try` would not do, since 3.13 may leave it."""
        while self.armed:
            work()

    def disarm(self) -> None:
        """Do not ring any more."""
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """Give an alarm that interrupts the main thread, but no tracer in the midst of its own lock."""
    alarm = Alarm()
    tracer = sys.gettrace()
    sys.settrace(None)
    before = signal.signal(signal.SIGALRM, alarm.ring)
    try:
        yield alarm
    finally:
        alarm.disarm()
        signal.signal(signal.SIGALRM, before)
        sys.settrace(tracer)


def per_100_000(lost: int, interrupts: int) -> str:
    """Say how many were lost per 100,000 interrupts."""
    return f"{interrupts} interrupts, {lost} lost, {lost * 100_000 / max(1, interrupts):.1f} per 100,000"


def innermost(error: BaseException, handler: str) -> TracebackType:
    """Find where an exception struck: the last frame before the handler's."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None and trace.tb_next.tb_frame.f_code.co_name != handler:
        trace = trace.tb_next
    return trace


def missing_tokens(pool: ppp.Pool[Any]) -> int:
    """Count the tokens that have not come back."""
    return int(pool._sem._initial_value - pool._sem._value)  # type: ignore[union-attr]


def lost_tokens(pool: ppp.Pool[Any]) -> int:
    """Count the tokens that don't come back; the housekeeper may have one for a moment."""
    with suppress(AssertionError):
        eventually(lambda: missing_tokens(pool) == 0)
        return 0
    return missing_tokens(pool)


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
@pytest.mark.parametrize("features", [False, True], ids=["bare", "features"])
def test_interrupted_with_obj_loses_nothing(alarm: Alarm, features: bool) -> None:
    """A signal that raises anywhere in `with pool.obj()` loses no token and no object."""
    account = Account()
    hooks: dict[str, Any] = {}
    if features:
        hooks = {"max_use": 2, "reset": float, "health": bool, "check_after_idle": 0.0, "min_size": 2}
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=2, closer=account.closer, **hooks)

    def work() -> None:
        with pool.obj():
            pass

    limit = time.monotonic() + SHARE
    while time.monotonic() < limit or alarm.struck <= 20:
        try:
            alarm.arm(60e-6)
            alarm.until_it_rings(work)
        except (KeyboardInterrupt, SystemExit):
            pass
    alarm.disarm()
    gc.collect()
    lost = lost_tokens(pool)
    print(f"\nwith pool.obj(), signals: {per_100_000(lost, alarm.struck)}")
    assert alarm.struck > 20
    assert lost == 0
    counters = pool.stats()
    assert counters["ncreated"] == counters["nobjs"] + counters["ndestroys"]
    pool.shutdown(delay=PATIENCE)
    assert account.missing() == []


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
def test_interrupted_get_and_ret_lose_nothing_of_the_pool(alarm: Alarm) -> None:
    """A signal that raises in bare `get` or `ret` loses no token, but for the two cases of CPython."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=2, min_size=1, max_use=3, closer=account.closer)
    found: Counter[str] = Counter()
    gone = 0
    thing: Any = None

    def work() -> None:
        nonlocal thing
        thing = pool.get()
        pool.ret(thing)
        thing = None

    limit = time.monotonic() + SHARE
    while (time.monotonic() < limit or alarm.struck <= 20) and gone < 2:
        thing = None
        try:
            alarm.arm(40e-6)
            alarm.until_it_rings(work)
        except (KeyboardInterrupt, SystemExit) as error:
            struck = innermost(error, "ring")
            lent = list(pool._using)
            if not lent:
                found["nothing lent"] += 1
                continue
            name = struck.tb_frame.f_code.co_name
            if thing is not None and any(held is thing for held in lent):
                # the caller has it in hand: between the two calls, or `ret` has not yet begun
                entry = name == "ret" and struck.tb_lineno == struck.tb_frame.f_code.co_firstlineno
                mine = struck.tb_frame.f_code is work.__code__
                found["entry of ret" if entry else "caller's" if mine else "lost"] += 1
            elif struck.tb_frame.f_code is work.__code__:
                found["result not stored"] += 1
            else:
                found["lost"] += 1
            if 0 < found["lost"] < 4:
                print(f"\nlost in {name}, line {struck.tb_lineno}")
            for held in lent:
                pool.ret(held)
        if (missing := missing_tokens(pool)) > gone:
            found["lost"] += missing - gone
            gone = missing
    alarm.disarm()
    print(f"\nget and ret, signals: {per_100_000(found['lost'], alarm.struck)}; {dict(found)}")
    assert alarm.struck > 20
    assert found["lost"] == 0
    assert missing_tokens(pool) == 0
    assert found["result not stored"] == 0
    pool.shutdown()
    assert account.missing() == []


class Victim:
    """A thread that works in a window in which another thread may raise an exception in it, once each time.

    The exception is always raised inside `run`, never in the test's own accounts: a thread that leaves the
    window while an exception is on its way waits there for it.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.window = 0
        self.pending = 0
        self.struck = 0
        self.swallowed = 0
        self.stop = False
        self.ident = 0

    def run(self) -> int:
        """Work and be interrupted until told to stop; no tracer may be interrupted in its own lock."""
        sys.settrace(None)
        self.ident = threading.get_ident()
        turn = 0
        while not self.stop:
            turn += 1
            try:
                self.once(turn)
            except Injected:
                self.struck += 1
                self.window = self.pending = 0
            except ppp.TimeOut:
                self.window = 0
        return self.struck

    def once(self, turn: int) -> None:
        """Work in the window, and wait for an exception that is on its way."""
        self.window = turn
        for _ in range(20):
            self.work()
        self.window = 0
        for _ in range(1000):
            if not self.pending:
                return
            time.sleep(0)
        self.pending = 0  # it would have come by now: some cleaning up was in its way
        self.swallowed += 1

    def strike(self) -> None:
        """Raise an exception in the thread, if it is in its window (called by another thread)."""
        if self.pending or not (turn := self.window):
            return
        self.pending = turn
        if self.window == turn:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(Injected))
        else:
            self.pending = 0


class Injected(BaseException):
    """The exception that another thread raises in one."""


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
def test_injected_exceptions_lose_nothing() -> None:
    """Exceptions injected into 4 threads in `with pool.obj()` lose no token and no object."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=2, min_size=1, max_use=5, closer=account.closer)

    def work() -> None:
        with pool.obj(timeout=0.02):
            pass

    victims = [Victim(work) for _ in range(4)]
    tasks = [Task(victim.run) for victim in victims]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for task in tasks:
            task.start()
        limit = time.monotonic() + SHARE
        while time.monotonic() < limit or sum(victim.struck for victim in victims) <= 20:
            random.choice(victims).strike()
            time.sleep(0)
        for victim in victims:
            victim.stop = True
        struck = sum(task.result(PATIENCE) for task in tasks)
    finally:
        sys.setswitchinterval(interval)
    gc.collect()
    lost = lost_tokens(pool)
    swallowed = sum(victim.swallowed for victim in victims)
    print(f"\nwith pool.obj(), injected into 4 threads: {per_100_000(lost, struck)}, {swallowed} swallowed")
    assert struck > 20
    assert lost == 0
    start = time.monotonic()
    with pool.obj(timeout=1), pool.obj(timeout=1):
        assert time.monotonic() - start < 1
    pool.shutdown()
    assert account.missing() == []


def housekeepers() -> list[threading.Thread]:
    """List the threads of the pools of this file, which are named for it."""
    return [thread for thread in threading.enumerate() if "interrupted-pool" in thread.name]


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
def test_interrupted_constructor_leaves_nothing(alarm: Alarm) -> None:
    """A constructor that a signal interrupts leaves no thread and no open object."""
    account = Account()
    limit = time.monotonic() + SHARE
    built = 0
    while time.monotonic() < limit or alarm.struck <= 20:
        pool: ppp.Pool[Any] | None = None
        try:
            alarm.arm(400e-6)
            pool = ppp.Pool(account.fun, 4, 3, delay=60.0, closer=account.closer, name="interrupted-pool")
            alarm.armed = False
        except (KeyboardInterrupt, SystemExit):
            pass
        if pool is not None:
            built += 1
            pool.shutdown()
    alarm.disarm()
    pool = None
    gc.collect()
    eventually(lambda: housekeepers() == [], PATIENCE)
    gc.collect()
    missing = account.missing()
    print(f"\nconstructor, signals: {per_100_000(len(missing), alarm.struck)}; {built} built")
    assert alarm.struck > 20
    assert missing == []


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
def test_interrupted_shutdown_is_finished_by_another(alarm: Alarm) -> None:
    """A shutdown that a signal interrupts closes the rest when called again; nothing is closed twice."""
    account = Account()
    limit = time.monotonic() + SHARE
    while time.monotonic() < limit or alarm.struck <= 20:
        pool: ppp.Pool[Any] = ppp.Pool(
            account.fun, 6, 5, delay=60.0, closer=account.closer, name="interrupted-pool"
        )
        held = pool.get()
        try:
            alarm.arm(150e-6)
            pool.shutdown()
            alarm.armed = False
        except (KeyboardInterrupt, SystemExit):
            pool.shutdown()
        alarm.disarm()
        pool.ret(held)
        stats = pool.stats()
        assert stats["shutdown"]
        assert stats["nobjs"] == 0
        assert stats["ncreated"] == stats["ndestroys"]
        assert missing_tokens(pool) == 0
    eventually(lambda: housekeepers() == [], PATIENCE)
    missing = account.missing()
    print(f"\nshutdown, signals: {per_100_000(len(missing), alarm.struck)}")
    assert alarm.struck > 20
    assert missing == []


def test_signal_handler_uses_the_pool() -> None:
    """A signal handler that gets, returns and asks for stats in the midst of the pool's code works."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=3, min_size=1, max_use=5, closer=account.closer)
    calls: Counter[str] = Counter()
    inside = over = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal inside
        if inside:
            return
        inside = True
        try:
            calls["handled"] += 1
            try:
                thing = pool.get(timeout=0)
            except ppp.TimeOut:
                calls["timeout"] += 1
            else:
                pool.ret(thing)
            with pool.obj(timeout=1.0):
                pass
            pool.stats()
        finally:
            inside = False
            if not over:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + random.random() * 60e-6, AGAIN)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5, AGAIN)
        begin = time.monotonic()
        turns = 0
        while time.monotonic() < begin + (SHARE if calls["handled"] > 50 else PATIENCE):
            turns += 1
            with pool.obj(timeout=1.0):
                pass
            pool.ret(pool.get(timeout=1.0))
            pool.stats()
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    print(f"\nsignal handler in the pool: {turns} turns, {dict(calls)}")
    assert calls["handled"] > 50
    assert missing_tokens(pool) == 0
    pool.shutdown()
    assert account.missing() == []


def test_signal_handler_uses_the_pool_while_its_thread_waits(make_pool: MakePool) -> None:
    """A handler that returns an object wakes the `get` in which its own thread waits."""
    pool = make_pool(max_size=1)
    held = [pool.get()]
    before = signal.signal(signal.SIGALRM, lambda number, frame: pool.ret(held.pop()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        thing = pool.get(timeout=5.0)
    finally:
        signal.signal(signal.SIGALRM, before)
    pool.ret(thing)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}


def test_signal_handler_interrupts_a_waiter(make_pool: MakePool, alarm: Alarm) -> None:
    """A waiter interrupted by a signal leaves the queue at once, and no token goes to it afterwards."""
    pool = make_pool(max_size=1)
    held = pool.get()
    alarm.arm(0.05)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        pool.get(timeout=PATIENCE)
    assert pool.stats()["nwaiting"] == 0
    pool.ret(held)
    pool.ret(pool.get(timeout=0))


@pytest.mark.skipif(OLD, reason="a promise for Python 3.11 and later")
def test_waiters_interrupted_at_the_handover(alarm: Alarm, spawn: Spawn) -> None:
    """A token handed to a waiter in the moment in which it is interrupted or times out is not lost."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=1, closer=account.closer)
    stop = threading.Event()

    def other() -> None:
        while not stop.is_set():
            with pool.obj(timeout=PATIENCE):
                time.sleep(random.random() * 50e-6)

    task = spawn(other)
    timeouts = 0

    def work() -> None:
        nonlocal timeouts
        try:
            with pool.obj(timeout=random.random() * 100e-6):
                pass
        except ppp.TimeOut:
            timeouts += 1

    limit = time.monotonic() + SHARE
    while time.monotonic() < limit or alarm.struck <= 20:
        try:
            alarm.arm(200e-6)
            alarm.until_it_rings(work)
        except (KeyboardInterrupt, SystemExit):
            pass
    alarm.disarm()
    stop.set()
    task.result(PATIENCE)
    print(f"\nwaiters: {per_100_000(missing_tokens(pool), alarm.struck)}, {timeouts} timeouts")
    assert alarm.struck > 20
    assert missing_tokens(pool) == 0
    assert pool.stats()["nwaiting"] == 0
    pool.shutdown()
    assert account.missing() == []


class Cycle:
    """A piece of garbage whose finalizer uses a pool."""

    def __init__(self, pool: ppp.Pool[Any], seen: list[object]) -> None:
        self.me = self
        self.pool = pool
        self.seen = seen

    def __del__(self) -> None:
        """Use the pool, wherever the collector was called from."""
        try:
            with self.pool.obj(timeout=0):
                self.seen.append("obj")
        except ppp.TimeOut:
            self.seen.append("timeout")
        self.seen.append(self.pool.stats()["nobjs"])


def test_finalizer_uses_the_pool() -> None:
    """A finalizer run by the garbage collector in the midst of the pool's code may use the pool."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=3, min_size=2, max_use=3, closer=account.closer)
    seen: list[object] = []
    before = gc.get_threshold()

    def use() -> None:
        for _ in range(300):
            Cycle(pool, seen)
            with pool.obj(timeout=PATIENCE):
                pool.stats()
            pool.ret(pool.get())

    gc.set_threshold(1, 1, 1)
    try:
        run_all(use, use, seconds=PATIENCE)
    finally:
        gc.set_threshold(*before)
        gc.collect()
    assert "obj" in seen
    assert missing_tokens(pool) == 0
    pool.shutdown()
    gc.collect()
    assert account.missing() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("where", ["make", "open", "lend", "take_back", "reset", "close", "check"])
def test_hook_interrupted(make_pool: MakePool, factory: Any, where: str, error: type[BaseException]) -> None:
    """An interrupt raised in any hook reaches the caller or not, but loses no token and no object."""
    pool = make_pool(
        max_size=1,
        min_size=0,
        max_use=1 if where == "close" else 0,
        opener=Resource.open,
        getter=Resource.lend,
        retter=Resource.take_back,
        reset=Resource.reset,
        health=Resource.check,
        check_after_idle=0.0 if where == "check" else None,
        delay=3600.0,
    )
    for _ in range(3):
        factory.fails[where] = error()
        try:
            with pool.obj(timeout=1.0):
                pass
            pool.get(timeout=1.0)
        except error:
            pass
        factory.fails.clear()
        for lent in list(pool._using):
            pool.ret(lent)
        eventually(lambda: pool.stats()["sem"]["value"] == 1)
        pool.ret(pool.get(timeout=0))
        stats = pool.stats()
        assert stats["nusing"] == 0
        assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
        assert len(factory.alive) == stats["nobjs"]
        assert factory.most_alive == 1
    pool.shutdown()
    assert factory.alive == []


def test_retter_interrupted(make_pool: MakePool, factory: Any) -> None:
    """An interrupted `retter` loses nothing: the object has left its holder, and its token is back."""
    pool = make_pool(max_size=1, retter=Resource.take_back)
    thing = pool.get()
    factory.fails["take_back"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        pool.ret(thing)
    factory.fails.clear()
    assert thing not in pool._using
    pool.ret(pool.get(timeout=0))
    assert len(factory.alive) == 1


def test_reset_interrupted(make_pool: MakePool, factory: Any) -> None:
    """An object whose `reset` was interrupted is not lent again, since nobody knows its state."""
    pool = make_pool(max_size=1, reset=Resource.reset)
    thing = pool.get()
    factory.fails["reset"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        pool.ret(thing)
    factory.fails.clear()
    assert not thing.alive
    again = pool.get(timeout=1.0)
    assert again is not thing
    pool.ret(again)


def test_constructor_interrupted_by_fun(factory: Any) -> None:
    """A constructor in which `fun` is interrupted leaves no open object and no thread."""

    def fun(number: int) -> Resource:
        if number == 2:
            raise KeyboardInterrupt
        return factory(number)  # type: ignore[no-any-return]

    with pytest.raises(KeyboardInterrupt):
        ppp.Pool(fun, 4, 3, delay=60.0, closer=Resource.close, name="interrupted-pool")
    gc.collect()
    eventually(lambda: housekeepers() == [])
    assert len(factory.made) == 2
    assert factory.alive == []


def test_exit_in_the_body_returns(make_pool: MakePool) -> None:
    """`with pool.obj()` returns the object whatever leaves its body."""
    pool = make_pool(max_size=1)
    for error in (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration):
        with pytest.raises(error), pool.obj(timeout=0):
            raise error
    assert pool.stats()["sem"] == {"value": 1, "init": 1}


def test_interrupted_get_wakes_the_next(make_pool: MakePool, factory: Any, spawn: Spawn) -> None:
    """When the creation by one thread is interrupted, its token goes to the one that waits."""
    entered, go = threading.Event(), threading.Event()

    def fun(number: int) -> Resource:
        if not entered.is_set():
            entered.set()
            wait_for(go)
            raise KeyboardInterrupt
        return factory(number)  # type: ignore[no-any-return]

    pool = make_pool(fun, max_size=1, min_size=0, closer=Resource.close)
    first = spawn(pool.get)
    wait_for(entered)
    second = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    go.set()
    with pytest.raises(KeyboardInterrupt):
        first.result()
    pool.ret(second.result())
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
