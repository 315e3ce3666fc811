"""What tests of all kinds use: threads that must end, waits that do, and questions to a pool."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ProxyPatternPool as ppp

if TYPE_CHECKING:
    from conftest import Factory

SECONDS = 5.0
"""How long a test waits for another thread before it fails."""

HOUR = 3600.0
"""A delay after which the housekeeper's own first round comes too late for any test."""

BUSY = 0.001
"""A delay with which the housekeeper makes one round after another."""

# time and threads


def eventually(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Poll until the condition is true, and give its value; fail after that many seconds."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"still not so after {seconds} s: {condition!r}"
        time.sleep(0.001)
    return value


def ended(thread: threading.Thread, seconds: float = SECONDS) -> None:
    """Wait for the end of a thread, and fail if it goes on."""
    thread.join(seconds)
    assert not thread.is_alive(), f"thread still running after {seconds} s"


class Task(threading.Thread):
    """A daemon thread whose result or exception can be had, within a bounded time."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(target=lambda: self._results.append(function(*args, **kwargs)), daemon=True)
        self._results: list[Any] = []
        self._errors: list[BaseException] = []

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self._errors.append(error)

    def result(self, seconds: float = SECONDS) -> Any:
        """Wait for the end; give the result, or raise what the function raised."""
        ended(self, seconds)
        if self._errors:
            raise self._errors.pop()  # kept by nobody
        return self._results[0] if self._results else None


def start(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
    task = Task(function, *args, **kwargs)
    task.start()
    return task


def run_all(*functions: Callable[[], Any], seconds: float = 10.0) -> list[Any]:
    """Run functions at once, each in its thread; give their results, or raise the first exception."""
    tasks = [start(function) for function in functions]
    return [task.result(seconds) for task in tasks]


class Gate:
    """A point in a hook where the first thread that comes while it is shut is held until told to go."""

    def __init__(self, shut: bool = False) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._turns = iter([shut])

    def __call__(self, *_: object) -> bool:
        """Hold the first caller here, let the others pass, and be satisfied, as a hook."""
        if next(self._turns, False):
            self.reached.set()
            assert self.go.wait(SECONDS)
        return True

    def maker(self, fun: Callable[[int], Any]) -> Callable[[int], Any]:
        """Give a `fun` that stops here."""
        return lambda number: self() and fun(number)

    @contextmanager
    def holds(self, function: Callable[..., Any], *args: Any) -> Iterator[Task]:
        """Call a function in a thread, which is held here for the time of the block."""
        self._turns = iter([True])
        task = start(function, *args)
        try:
            assert self.reached.wait(SECONDS)
            yield task
        finally:
            self.go.set()
        ended(task)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector do nothing meanwhile: neither pause nor find what is in cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run_python(
    source: str, *args: str, seconds: float = 20.0, options: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, which can import the library, and give its status and texts."""
    folder = Path(ppp.__file__).parent
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(source), *args],
        cwd=folder,  # which comes before PYTHONPATH
        env={**os.environ, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def run_well(source: str, *args: str, **more: Any) -> str:
    """Run a program of its own, which must end well, and give what it printed."""
    done = run_python(source, *args, **{"seconds": 40.0, **more})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# things


class Thing:
    """A thing that can be referred to weakly, and knows its number."""

    def __init__(self, number: int) -> None:
        self.number = number


def no_luck(*_: object) -> Any:
    """Fail, as a `fun` or a hook."""
    raise ValueError("no luck")


class Hostile:
    """A thing that refuses to be compared, hashed, judged or told."""

    __eq__ = __ne__ = __hash__ = __bool__ = __len__ = __str__ = __repr__ = no_luck


# pools


def keep_house(pool: ppp.Pool[Any]) -> None:
    """Do what the housekeeper does in a round, in its order."""
    pool._hkRound()
    if pool._health is not None:
        pool._health_check()
    pool._empty()
    pool._fill()


def rounds(pool: ppp.Pool[Any]) -> None:
    """Let the housekeeper's thread do at least one whole round."""
    known = pool._hk_rounds
    eventually(lambda: pool._hk_rounds >= known + 2)


def numbers(pool: ppp.Pool[Any], keys: str) -> list[Any]:
    """Give what `stats()` says under these keys, written as a text."""
    stats = pool.stats()
    return [stats[key] for key in keys.split()]


def permits(pool: ppp.Pool[Any]) -> tuple[int, int]:
    """Give the free permits and all permits."""
    sem = pool.stats()["sem"]
    return sem["value"], sem["init"]


def waiting(pool: ppp.Pool[Any], count: int) -> None:
    """Wait until that many threads wait for the pool."""
    eventually(lambda: pool.stats()["nwaiting"] == count)


def none_left(pool: ppp.Pool[Any], timeout: float | None = 0) -> None:
    """Check that the pool has no object to lend within that time."""
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=timeout)


def imbalances(pool: ppp.Pool[Any], factory: Factory) -> dict[str, Any]:
    """List what is not as it has to be at rest, when nothing is lent."""
    stats = pool.stats()
    sem = stats["sem"] or {"init": 0, "value": 0}
    differences = {
        "permits": sem["init"] - sem["value"],
        "lent": stats["nusing"],
        "to delete": stats["ntodel"],
        "waiting": stats["nwaiting"],
        "nowhere": stats["nobjs"] - stats["navail"],
        "counted": stats["ncreated"] - stats["nobjs"] - stats["ndestroys"],
        "open": len(factory.alive) - stats["nobjs"],
    }
    return {key: value for key, value in differences.items() if value}


def at_rest(pool: ppp.Pool[Any], factory: Factory) -> None:
    """Check that nothing is lent, missing or left over, once a housekeeper has made what is missing."""
    limit = time.monotonic() + 2.0
    while (found := imbalances(pool, factory)) and time.monotonic() < limit:
        time.sleep(0.001)
    assert not found, found
