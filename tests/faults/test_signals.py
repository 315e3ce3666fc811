"""Interruptions at random points: real signals in the main thread, exceptions injected into other threads.

A timer's signal raises `KeyboardInterrupt` or `SystemExit` in the main thread, and
`PyThreadState_SetAsyncExc` an exception in another one; then locks, permits and objects are counted. The
makers and closers of objects are functions written in C, so that an exception strikes the pool's code and not
the test's accounts. `PPP_STRESS_SECONDS=600` makes the short form proportionally longer.
"""

from __future__ import annotations

import ctypes
import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from conftest import Spawn, Task, eventually
from helpers_faults import (
    HOUR,
    PATIENCE,
    STRESS,
    Account,
    interruptible,
    missing_permits,
    owns_lock,
    running_threads,
)

import ProxyPatternPool as ppp

SHARE = (STRESS or 6.0) * 0.06
"""Seconds that each of the measurements takes, and goes on until something has been struck often enough."""

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.timeout(STRESS + 60),
    *interruptible,
]


class Injected(BaseException):
    """The exception that another thread raises in one."""


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


AGAIN = 0.05
"""Seconds after which a timer rings once more: CPython 3.11 may forget a signal that arrives while the main
thread works out whether anything is pending, and nobody looks until the next one comes."""


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

    def strike(self, work: Callable[[], None], most: float, look: Callable[[], object] = bool) -> None:
        """Interrupt the work again and again, look after each time, and say how often."""
        limit = time.monotonic() + SHARE
        while time.monotonic() < limit or self.struck <= 20:
            try:
                self.arm(most)
                self.until_it_rings(work)
            except (KeyboardInterrupt, SystemExit):
                pass
            self.disarm()
            look()
        print(f"\n{self.struck} interruptions")


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """Give an alarm that interrupts the main thread."""
    alarm = Alarm()
    before = signal.signal(signal.SIGALRM, alarm.ring)
    try:
        yield alarm
    finally:
        alarm.disarm()
        signal.signal(signal.SIGALRM, before)


def check_nothing_lost(pool: ppp.Pool[Any], account: Account) -> None:
    """See that all permits come back, counters balance, and a shutdown leaves each object closed once."""
    gc.collect()
    assert not owns_lock(pool)
    pool._empty()
    eventually(lambda: missing_permits(pool) == 0)
    assert pool._sem is not None
    for thing in [pool.get(timeout=1.0) for _ in range(pool._sem._initial_value)]:
        pool.ret(thing)
    stats = pool.stats()
    assert (stats["nusing"], stats["ntodel"], stats["nwaiting"]) == (0, 0, 0)
    assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
    pool.shutdown(delay=PATIENCE)
    assert account.missing() == []


FEATURES = {"max_use": 2, "reset": float, "health": bool, "check_after_idle": 0.0, "min_size": 2}


@pytest.mark.parametrize("parameters", [{}, FEATURES], ids=["bare", "features"])
def test_signals_in_blocks(alarm: Alarm, parameters: dict[str, Any]) -> None:
    """A signal that raises anywhere in `with pool.obj()` loses no permit and no object."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=2, closer=account.closer, **parameters)

    def work() -> None:
        with pool.obj(timeout=PATIENCE):
            pass

    alarm.strike(work, 60e-6)
    check_nothing_lost(pool, account)


def test_signals_in_get_and_ret(alarm: Alarm) -> None:
    """A signal that raises in a bare `get` or `ret` leaves nothing lent but what the caller has."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=2, min_size=1, max_use=3, closer=account.closer)
    thing: Any = None

    def work() -> None:
        nonlocal thing
        thing = None
        thing = pool.get(timeout=PATIENCE)
        pool.ret(thing)

    def look() -> None:
        for lent in list(pool._using):
            assert lent is thing
            pool.ret(lent)

    alarm.strike(work, 40e-6, look)
    check_nothing_lost(pool, account)


def test_signals_while_waiters_are_served(alarm: Alarm, spawn: Spawn) -> None:
    """A permit handed to a waiter in the moment in which it is interrupted or times out is not lost."""
    account = Account()
    pool: ppp.Pool[Any] = ppp.Pool(account.fun, max_size=1, closer=account.closer)
    stop = threading.Event()

    def other() -> None:
        while not stop.is_set():
            with pool.obj(timeout=PATIENCE):
                time.sleep(random.random() * 50e-6)

    def work() -> None:
        try:
            with pool.obj(timeout=random.random() * 200e-6):
                pass
        except ppp.TimeOut:
            pass

    task = spawn(other)
    try:
        alarm.strike(work, 200e-6, lambda: owns_lock(pool) and pytest.fail("the lock is still held"))
    finally:
        stop.set()
    task.result(PATIENCE)
    check_nothing_lost(pool, account)


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
        self.stop = False
        self.ident = 0

    def run(self) -> int:
        """Work and be interrupted until told to stop."""
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

    def strike(self) -> None:
        """Raise an exception in the thread, if it is in its window (called by another thread)."""
        if self.pending or not (turn := self.window):
            return
        self.pending = turn
        if self.window == turn:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(Injected))
        else:
            self.pending = 0


@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_injected_exceptions_in_blocks(through: str) -> None:
    """Exceptions injected into four threads in `with pool.obj()`, or a proxy's block, lose nothing."""
    account = Account()
    proxy = ppp.Proxy[Any](fun=account.fun, max_size=2, min_size=1, max_use=5, closer=account.closer)
    pool = proxy._pool
    assert pool is not None
    borrow: Callable[[float], Any] = pool.obj if through == "pool" else proxy._obj

    def work() -> None:
        with borrow(0.02):
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
    print(f"\n{struck} interruptions of four threads")
    check_nothing_lost(pool, account)


def test_signals_in_a_constructor(alarm: Alarm) -> None:
    """A constructor that a signal interrupts leaves no thread and no open object."""
    account = Account()
    threads = running_threads()
    built: list[ppp.Pool[Any]] = []

    def work() -> None:
        built.append(ppp.Pool(account.fun, 4, 3, delay=HOUR, closer=account.closer))

    def look() -> None:
        while built:
            built.pop().shutdown()

    alarm.strike(work, 400e-6, look)
    gc.collect()
    eventually(lambda: running_threads() <= threads, PATIENCE)
    gc.collect()
    assert account.missing() == []


def test_signals_in_a_shutdown(alarm: Alarm) -> None:
    """A shutdown that a signal interrupts closes the rest when called again; nothing is closed twice."""
    account = Account()
    threads = running_threads()
    ended: list[tuple[ppp.Pool[Any], Any]] = []

    def work() -> None:
        alarm.armed = False
        pool: ppp.Pool[Any] = ppp.Pool(account.fun, 6, 5, delay=HOUR, closer=account.closer)
        ended.append((pool, pool.get()))
        alarm.arm(150e-6)
        pool.shutdown()

    def look() -> None:
        for pool, held in ended:
            pool.shutdown()
            assert not owns_lock(pool)
            pool.ret(held)
            stats = pool.stats()
            assert (stats["nobjs"], missing_permits(pool)) == (0, 0)
            assert stats["ncreated"] == stats["ndestroys"]
        ended.clear()

    alarm.strike(work, 150e-6, look)
    eventually(lambda: running_threads() <= threads, PATIENCE)
    assert account.missing() == []


def block(proxy: ppp.Proxy[Any]) -> None:
    with proxy._obj(timeout=PATIENCE):
        pass


def nested(proxy: ppp.Proxy[Any]) -> None:
    with proxy._obj(timeout=PATIENCE), proxy._obj():
        pass


def draw_and_return(proxy: ppp.Proxy[Any]) -> None:
    proxy._get_obj(timeout=PATIENCE)
    proxy._ret_obj()


@pytest.mark.parametrize("scope", ["THREAD", "VERSATILE"])
@pytest.mark.parametrize("use", [block, nested, draw_and_return])
def test_signals_in_the_use_of_a_proxy(alarm: Alarm, use: Callable[[Any], None], scope: str) -> None:
    """A signal that raises in a proxy's draw, return or block loses nothing: the next block returns it."""
    account = Account()
    proxy = ppp.Proxy[Any](
        fun=account.fun, scope=ppp.Proxy.Scope[scope], max_size=2, max_use=3, closer=account.closer
    )
    proxy._get_obj()
    proxy._ret_obj()
    pool = proxy._pool
    assert pool is not None

    def look() -> None:
        assert not owns_lock(pool)
        if proxy._has_obj():
            assert list(pool._using) == [proxy._get_obj()]
            block(proxy)
        assert not proxy._has_obj()
        pool._empty()
        assert missing_permits(pool) == 0

    alarm.strike(lambda: use(proxy), 60e-6, look)
    check_nothing_lost(pool, account)
