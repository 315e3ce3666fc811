"""What the tests of faults share: visits to each point of a piece of work, and the balance of a pool at rest.

Where CPython takes signals is known: at the entry of a Python function, after a call of a function written
in C, and at a jump back. A profiler is called at the first two, with the very effect of a signal: an
exception raised there is raised by the entry, or by the call, whose result is dropped. For the jumps, the
functions with loops are traced instruction by instruction. An exception is raised at a jump only if the same
handler covers the jump and what stands before its target, since Python 3.11 and 3.12 look there. Not
visited: the ends of calls of classes and of `functools.partial`, of which no profiler is told, and (by
exceptions) finalizers, from which none gets out, and generators that go on. For these, and as a check of all
this, `test_signals.py` has real signals.
"""

from __future__ import annotations

import dis
import functools
import gc
import inspect
import itertools
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

import pytest
from conftest import Factory, eventually

import ProxyPatternPool as ppp

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""

HOUR = 3600.0

MODULE = ppp.Pool.get.__code__.co_filename

STRESS = float(os.environ.get("PPP_STRESS_SECONDS", "0"))
"""Seconds that a test at random may take where somebody has asked for more than the short form."""

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Without it, 1 forked child in 300 is stuck in a lock of CPython's own, as of a dict (seen on 3.13.5)."""

left_pools = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""Marks a module whose failing tests leave pools behind, of which others should not hear."""

interruptible = [
    left_pools,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes signals after any call"),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="where signals are taken is CPython's"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers with signals"),
]
"""Marks of a module about interruptions."""


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
    """Does something at one of the points, by number, at which CPython may take a signal in the module."""

    def __init__(self, number: int, deed: Callable[[], object] | None = None) -> None:
        self.left = number
        self.deed = deed
        self.at: tuple[str, str, int] | None = None

    def __call__(self, work: Callable[[], object]) -> None:
        """Do some work and visit it, with the deed, or by a `KeyboardInterrupt` where there is none."""
        gc.disable()  # finalizers of other things would be visited
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        try:
            work()
        except KeyboardInterrupt:
            assert self.at, "interrupted by somebody else"
        finally:
            sys.settrace(None)
            sys.setprofile(None)
            gc.enable()

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != MODULE or not (jumps := jumps_back(frame.f_code)):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode" and frame.f_lasti in jumps and (self.deed or jumps[frame.f_lasti]):
            self._point(frame, "jump")
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if code.co_filename != MODULE or event not in ("call", "c_return"):
            return
        if not self.deed and event == "call" and code.co_flags & inspect.CO_GENERATOR:
            return
        self._point(frame, event)

    def _point(self, frame: FrameType, event: str) -> None:
        if not self.deed:
            above: FrameType | None = frame
            while above is not None and above.f_code.co_filename == MODULE:
                if above.f_code.co_name == "__del__":
                    return
                above = above.f_back
        self.left -= 1
        if self.left == 0:
            sys.settrace(None)
            sys.setprofile(None)
            self.at = frame.f_code.co_name, event, frame.f_lineno
            if self.deed:
                self.deed()
            else:
                raise KeyboardInterrupt


def each_point(
    run: Callable[[Visit], object], deed: Callable[[], object] | None = None, least: int = 5
) -> None:
    """Run something again and again, with a visit to each of its points in turn, at least to so many."""
    for number in itertools.count(1):
        visit = Visit(number, deed)
        try:
            run(visit)
        except BaseException:
            print(f"point {number}: {visit.at}")
            raise
        if visit.at is None:
            break
    assert number > least


def owns_lock(pool: ppp.Pool[Any]) -> bool:
    """Say whether this thread holds the pool's lock."""
    lock: Any = pool._lock
    return bool(lock._is_owned())


def imbalances(pool: ppp.Pool[Any], factory: Factory) -> dict[str, Any]:
    """List what is not as it has to be at rest, where no permit, no object and no count is missing."""
    stats = pool.stats()
    differences = {
        "permits": stats["sem"]["init"] - stats["sem"]["value"] - stats["nusing"],
        "lent": stats["nusing"],
        "to be destroyed": stats["ntodel"],
        "waiting": stats["nwaiting"],
        "nowhere": stats["nobjs"] - stats["navail"] - stats["nusing"],
        "counted": stats["ncreated"] - stats["nobjs"] - stats["ndestroys"],
        "open": len(factory.alive) - stats["nobjs"],
        "closed twice": sum(resource.closings > 1 for resource in factory.made),
    }
    return {key: value for key, value in differences.items() if value}


def check_balance(pool: ppp.Pool[Any], factory: Factory) -> None:
    """See that the lock is free, and nothing lent nor missing, once what was taken out is destroyed."""
    assert not owns_lock(pool), "the lock is still held"
    pool._empty()  # as the next return, round or shutdown does
    if not imbalances(pool, factory):
        return
    gc.collect()
    with suppress(AssertionError):
        eventually(lambda: not imbalances(pool, factory), 1.0)  # the housekeeper may be making something
        return
    assert imbalances(pool, factory) == {}


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

    def missing(self) -> list[float]:
        """List the things not closed exactly once; to be called once, at the end."""
        made = next(self._numbers)
        closings = Counter(float(thing) for thing in self.closed)
        return [number for number in range(made) if closings[number] != 1]


def missing_permits(pool: ppp.Pool[Any]) -> int:
    """Count the permits that are not free."""
    assert pool._sem is not None
    return pool._sem._initial_value - pool._sem._value


def in_child(work: Callable[[], object], seconds: int = 10) -> int:
    """Fork, let the child do something, and give its status: 0 for true, negative if it was killed."""
    tracer = sys.gettrace()
    sys.settrace(
        None
    )  # a tracer's own lock may be held in another thread, and would be for ever in the child
    pid = os.fork()
    if pid:
        sys.settrace(tracer)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 70
    try:
        threading.settrace(None)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)  # whoever is stuck for so long dies of it
        status = 0 if work() else 1
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)
