"""What the tests of faults share: strikes at each point of a piece of work, and the account of what is made.

Where CPython takes signals is known: at the entry of a Python function, after a call of a function written
in C, at a jump back, and while it waits for a lock that is not the thread's own already. A profiler is called
at all but the jumps, with the very effect of a signal: an exception raised there is raised by the entry, or
by the call, whose result is dropped. For the jumps, the functions with loops are traced instruction by
instruction. An exception is raised at a jump only if the same handler covers the jump and what stands before
its target, since Python 3.11 and 3.12 look there. Not visited: the ends of calls of classes and of
`functools.partial`, of which no profiler is told, and (by exceptions) finalizers, from which none gets out,
and generator expressions. For these, and as a check of all this, the same scenarios meet real signals, at
random moments.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import gc
import inspect
import itertools
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, cast
from unittest import mock

import pytest
from helpers import at_rest, imbalances

import ProxyPatternPool as ppp

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""

MODULE = ppp.Pool.get.__code__.co_filename

STRESS = float(os.environ.get("PPP_STRESS_SECONDS", "0"))
"""Seconds that a test at random may take where somebody has asked for more than the short form."""

SHARE = STRESS * 0.015 or 0.1
"""Seconds that signals strike one scenario, or longer, until they have struck it often enough."""

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Without it, 1 forked child in 300 is stuck in a lock of CPython's own, as of a dict (seen on 3.13.5)."""

since_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes signals after any call")

Work = Callable[[], object]


class Fault(Exception):
    """What a failing hook raises."""


@functools.cache
def jumps_back(code: CodeType) -> dict[int, bool]:
    """List the offsets of the jumps back in a function; whether one handler covers both ends of each."""
    if sys.version_info < (3, 11):  # it takes signals after any call, and has no such tables
        return {}
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]

    def handler(offset: int) -> int | None:
        return next((entry.target for entry in table if entry.start <= offset < entry.end), None)

    return {
        jump.offset: handler(jump.offset) == handler(int(jump.argval) - 2)
        for jump in dis.get_instructions(code)
        if jump.opname == "JUMP_BACKWARD"
    }


class Visit:
    """Does something at one of the points, by number, at which CPython may take a signal in the module.

    Where coverage is measured by a tracer, which has to see each call and its end, the points are those
    before and after calls of functions written in C alone.
    """

    at: tuple[str, str, int] | None = None
    """The function, the event and the line, once it has."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.deed: Work | None = None
        self.measured = sys.gettrace() is not None

    def __call__(self, work: Work) -> None:
        """Do some work and visit it, with the deed, or by a `KeyboardInterrupt` where there is none."""
        gc.disable()  # finalizers of other things would be visited
        sys.setprofile(self._profile)
        if not self.measured:
            sys.settrace(self._trace)
        try:
            work()
        except KeyboardInterrupt:
            assert self.at, "interrupted by somebody else"
        finally:
            self._leave()
            gc.enable()

    def _leave(self) -> None:
        sys.setprofile(None)
        if not self.measured:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != MODULE or not (jumps := jumps_back(frame.f_code)):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode" and frame.f_lasti in jumps and (self.deed or jumps[frame.f_lasti]):
            self._point(frame, "jump")
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        expression = not self.deed and code.co_name == "<genexpr>"
        entry = event == "call" and not self.measured and not expression
        waits = event == "c_call" and arg.__name__ == "acquire"
        if waits and hasattr(arg.__self__, "_is_owned"):
            waits = not arg.__self__._is_owned()
        if code.co_filename == MODULE and (event == "c_return" or entry or waits):
            self._point(frame, event)

    def _point(self, frame: FrameType, event: str) -> None:
        self.left -= 1
        if self.left > 0:
            return
        names = (each.f_code.co_name for each, _ in traceback.walk_stack(frame))
        if not self.deed and "__del__" in names:
            return  # to strike at the next point
        self._leave()
        self.at = frame.f_code.co_name, event, frame.f_lineno
        if not self.deed:
            raise KeyboardInterrupt
        self.deed()


class Ring:
    """Raises an exception in the main thread, at a moment of some work, by a timer's signal."""

    at: tuple[str, str, int] | None = None
    again = 0.05
    """Seconds after which it rings once more: CPython 3.11 may forget a signal that arrives while the main
    thread works out whether anything is pending, and nobody looks until the next one comes."""
    most = 0.0
    """Seconds after which it rings at the latest."""
    struck = 0
    armed = False

    def __call__(self, work: Work) -> None:
        """Repeat some work until it is interrupted; the first time of all, see how long it takes."""
        if not self.most:
            start = time.perf_counter()
            work()
            self.most = max(1e-4, 1.2 * (time.perf_counter() - start))
            return
        before = signal.signal(signal.SIGALRM, self._ring)
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, 1e-6 + random.random() * self.most, self.again)
            self._repeat(work)  # a loop in a `try` would not do, since 3.13 may leave it
        except (KeyboardInterrupt, SystemExit):
            assert self.at, "interrupted by somebody else"
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _repeat(self, work: Work) -> None:
        while self.armed:
            work()

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self.armed and frame is not None:
            self.armed = False
            self.at = frame.f_code.co_name, "signal", frame.f_lineno
            self.struck += 1
            raise random.choice((KeyboardInterrupt, SystemExit))


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Measure no coverage: a tracer costs time, and holds locks when an interruption strikes."""
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(of_threads)
        sys.settrace(tracer)


@contextlib.contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Have the interpreter switch between threads that often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def quiet(*errors: type[BaseException]) -> Iterator[None]:
    """Keep away what Python itself does to an exception that strikes in a finalizer or in logging.

    In a finalizer it goes no further; in `logging`, it may leave a handler's lock behind, held for ever.
    """
    shown = sys.unraisablehook

    def hook(unraisable: Any, /) -> None:
        if not isinstance(unraisable.exc_value, errors):
            shown(unraisable)

    with mock.patch.object(sys, "unraisablehook", hook), mock.patch.object(ppp.log, "disabled", True):
        yield


Scenario = Callable[[Any], bool]
"""Has a strike do some work, and looks at what it has left; says whether it has struck."""


def each_point(scenario: Scenario) -> None:
    """Run a scenario again and again, with a visit to each of its points in turn."""

    def visit_all() -> int:
        return next(number for number in itertools.count(1) if not scenario(Visit(number)))

    with untraced():
        assert visit_all() > 5
    if sys.gettrace() is not None:
        visit_all()


def at_random(scenario: Scenario) -> None:
    """Run a scenario again and again, with signals at random moments."""
    ring, limit = Ring(), time.monotonic() + SHARE
    with untraced(), quiet(KeyboardInterrupt, SystemExit):
        while time.monotonic() < limit or ring.struck <= 20:
            ring.at = None
            scenario(ring)
    print(f"\n{ring.struck} interruptions")


Strike = Visit | Ring
Strikes = Callable[[Scenario], None]

by_both = pytest.mark.parametrize(
    "strikes", [pytest.param(strikes, marks=since_311) for strikes in (each_point, at_random)]
)
"""Has a test struck at each point, and by signals at random."""


def struck(test: Callable[..., None]) -> Any:
    """Make of a scenario, whose first parameter is the strike, a test: at each point, or `by_both`."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        def scenario(strike: Any) -> bool:
            try:
                test(strike, **given)
            except BaseException:
                print(f"struck at {strike.at}")
                raise
            return strike.at is not None

        given.get("strikes", each_point)(scenario)

    _, *fixtures = inspect.signature(test).parameters.values()
    vars(run)["__signature__"] = inspect.Signature(fixtures)
    return run


def check_balance(pool: ppp.Pool[Any], makers: Any) -> None:
    """See that the lock is free, and nothing lent nor missing, once what was taken out is destroyed."""
    assert not cast(Any, pool._lock)._is_owned(), "the lock is still held"
    pool._empty()  # as the next return, round or shutdown does
    if imbalances(pool, makers):
        gc.collect()
    at_rest(pool, makers)


def check_usable(pool: ppp.Pool[Any], makers: Any) -> None:
    """See that a pool in balance lends all that it may, and that its shutdown closes each object once."""
    check_balance(pool, makers)
    if not pool._shutdown:
        for thing in [pool.get(timeout=1.0) for _ in range(pool._max_size or 1)]:
            pool.ret(thing)
    pool.shutdown(delay=PATIENCE)
    assert list(makers.alive) == []
    check_balance(pool, makers)


def running_threads() -> int:
    """Count the threads that run; an interrupted `Thread.start` may leave entries of others."""
    return sum(thread.is_alive() for thread in threading.enumerate())


class Thing(float):
    """An object made and numbered without any Python code that could be interrupted."""


class Account:
    """Makes and closes things by functions written in C, and counts them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.fun: Callable[[int], Any] = functools.partial(next, map(Thing, self._numbers))
        self.closed: list[Thing] = []
        self.closer: Callable[[Any], None] = self.closed.append

    @property
    def alive(self) -> list[float]:
        """List the things not closed exactly once."""
        made = int(repr(self._numbers)[len("count(") : -1])
        closings = Counter(map(float, self.closed))
        return [number for number in range(made) if closings[number] != 1]


def in_child(work: Callable[[], object], seconds: int = 10) -> int:
    """Fork, let the child do something, and give its status: 0 for true, negative if it was killed."""

    def run() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)  # whoever is stuck for so long dies of it
        sys.exit(0 if work() else 1)

    with untraced():  # a tracer's own lock may be held in another thread, and would be for ever in the child
        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        process.join()
    assert process.exitcode is not None
    return process.exitcode
