"""What the tests share: a clock turned by hand, countable resources, pools that are always shut down.

Fixtures: `clock`, `factory`, `make_pool`, `messages`, `spawn`. The rest is imported from here.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

import ProxyPatternPool as ppp

SECONDS = 5.0
"""How long a test waits for another thread before it fails."""

HOUR = 3600.0
"""A delay after which the housekeeper's own first round comes too late for any test."""

BUSY = 0.001
"""A delay with which the housekeeper makes one round after another."""


class Clock:
    """A monotonic clock that moves only when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass at once."""
        self.now += seconds


class Resource:
    """A thing that is expensive to make: it knows how often it was opened, used and closed."""

    def __init__(self, factory: Factory, number: int, serial: int) -> None:
        self.factory = factory
        self.number = number
        self.serial = serial
        self.openings = 0
        self.gets = 0
        self.rets = 0
        self.resets = 0
        self.closings = 0
        self.healthy = True

    def __str__(self) -> str:
        return f"resource {self.serial}"

    @property
    def alive(self) -> bool:
        """Whether nobody has closed it yet."""
        return self.closings == 0

    def open(self) -> None:
        """Count an opening (a pool's `opener`)."""
        self.factory.happen("open", self)
        self.openings += 1

    def lend(self) -> None:
        """Count a lending (a pool's `getter`)."""
        self.factory.happen("lend", self)
        self.gets += 1

    def take_back(self) -> None:
        """Count a return (a pool's `retter`)."""
        self.factory.happen("take_back", self)
        self.rets += 1

    def reset(self) -> None:
        """Count a reset (a pool's `reset`)."""
        self.factory.happen("reset", self)
        self.resets += 1

    def close(self) -> None:
        """Count a closing (a pool's `closer`); it is closed even where the closer then fails."""
        with self.factory.lock:
            self.closings += 1
        self.factory.happen("close", self)

    def check(self) -> bool:
        """Say whether it is healthy (a pool's `health`)."""
        self.factory.happen("check", self)
        return self.healthy


class Factory:
    """Makes resources, remembers every one, and fails when it is told to.

    `fails["make"]`, and `"open"`, `"lend"`, `"take_back"`, `"reset"`, `"close"`, `"check"`, hold the error
    to raise there, until removed; `calls` holds the names of what has happened with each resource, in order.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.made: list[Resource] = []
        self.numbers: list[int] = []
        self.calls: list[tuple[str, Resource]] = []
        self.fails: dict[str, BaseException] = {}
        self.most_alive = 0

    def __call__(self, number: int) -> Resource:
        """Make a resource (a pool's `fun`)."""
        with self.lock:
            self.numbers.append(number)
            if "make" in self.fails:
                raise self.fails["make"]
            resource = Resource(self, number, len(self.made))
            self.made.append(resource)
            self.most_alive = max(self.most_alive, sum(made.alive for made in self.made))
        return resource

    def happen(self, name: str, resource: Resource) -> None:
        """Note a call of a hook, and fail if this one has to."""
        with self.lock:
            self.calls.append((name, resource))
        if name in self.fails:
            raise self.fails[name]

    @property
    def alive(self) -> list[Resource]:
        """Resources that nobody has closed."""
        with self.lock:
            return [resource for resource in self.made if resource.alive]

    @property
    def closed(self) -> list[Resource]:
        """Resources closed at least once."""
        with self.lock:
            return [resource for resource in self.made if not resource.alive]


class Task(threading.Thread):
    """A daemon thread whose result or exception can be had, within a bounded time."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self._call: Callable[[], Any] | None = lambda: function(*args, **kwargs)
        self._result: Any = None
        self._error: BaseException | None = None
        self.seen = False

    def run(self) -> None:
        """Call the function and keep what came out."""
        assert self._call is not None
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._call = None

    def result(self, seconds: float = SECONDS) -> Any:
        """Wait for the end; give the result, or raise what the function raised."""
        self.seen = True
        self.join(seconds)
        assert not self.is_alive(), f"thread still running after {seconds} s"
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._result


class MakePool(Protocol):
    """Makes a pool of `Resource`, unless told otherwise."""

    def __call__(self, fun: Callable[[int], Any] | None = None, *args: Any, **kwargs: Any) -> ppp.Pool[Any]:
        """Build a pool that is shut down when the test ends."""


class Messages(Protocol):
    """Gives the texts logged by the library in this test."""

    def __call__(self, level: str = "WARNING") -> list[str]:
        """List the messages of exactly that level, oldest first."""


class Spawn(Protocol):
    """Starts a function in a thread."""

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """Start it; the test's end waits for it and raises what nobody asked for."""


def eventually(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Poll until the condition is true, and give its value; fail after that many seconds."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"still not so after {seconds} s: {condition!r}"
        time.sleep(0.001)
    return value


def wait_for(event: threading.Event, seconds: float = SECONDS) -> None:
    """Wait for an event, and fail if it doesn't come."""
    assert event.wait(seconds), f"nothing came in {seconds} s"


class Stop:
    """A point in a hook where the first thread that comes is held until told to go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self._first = itertools.count()

    def __call__(self, *_: object) -> None:
        """Hold the first caller here; let the others pass."""
        if next(self._first) == 0:
            self.reached.set()
            wait_for(self.go)

    def hook(self, obj: object) -> bool:
        """Be a hook that stops here, and be satisfied."""
        self(obj)
        return True

    def maker(self, factory: Factory) -> Callable[[int], Resource]:
        """Give a `fun` that stops here."""

        def make(number: int) -> Resource:
            self()
            return factory(number)

        return make


class Gate(Stop):
    """A `Stop` that holds nobody before `arm` is called."""

    def __init__(self) -> None:
        super().__init__()
        self._first = itertools.count(1)

    def arm(self) -> None:
        """Hold the next one who comes."""
        self._first = itertools.count()

    @contextmanager
    def holds(self, function: Callable[..., Any], *args: Any) -> Iterator[Task]:
        """Call a function in a thread, which is held here for the time of the block."""
        self.arm()
        task = Task(function, *args)
        task.start()
        try:
            wait_for(self.reached)
            yield task
        finally:
            self.go.set()
        task.join(SECONDS)
        assert not task.is_alive(), f"thread still running after {SECONDS} s"


class Thing:
    """A thing that can be referred to weakly, and knows its number."""

    def __init__(self, number: int) -> None:
        self.number = number


def no_luck(*_: object) -> Any:
    """Fail, as a `fun` or a hook."""
    raise ValueError("no luck")


class Silent:
    """A thing without a text."""

    __str__ = __repr__ = no_luck


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


def permits(pool: ppp.Pool[Any]) -> tuple[int, int]:
    """Give the free permits and all permits."""
    sem = pool.stats()["sem"]
    return sem["value"], sem["init"]


def numbers(pool: ppp.Pool[Any], keys: str) -> list[Any]:
    """Give what `stats()` says under these keys, written as a text."""
    stats = pool.stats()
    return [stats[key] for key in keys.split()]


def waiting(pool: ppp.Pool[Any], count: int) -> None:
    """Wait until that many threads wait for the pool."""
    eventually(lambda: pool.stats()["nwaiting"] == count)


def none_left(pool: ppp.Pool[Any], timeout: float | None = 0) -> None:
    """Check that the pool has no object to lend within that time."""
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=timeout)


def idle_objects(pool: ppp.Pool[Any], count: int) -> list[Any]:
    """Make the pool have that many idle objects, and give them, the next to be lent first."""
    lent = [pool.get(timeout=0) for _ in range(count)]
    for each in reversed(lent):
        pool.ret(each)
    return lent


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
    with suppress(AssertionError):
        eventually(lambda: not imbalances(pool, factory), 2.0)
        return  # not to be asked again: it may have begun meanwhile
    assert imbalances(pool, factory) == {}


def housekeepers(before: set[threading.Thread]) -> list[threading.Thread]:
    """List the threads that have started since then and live."""
    return [thread for thread in threading.enumerate() if thread not in before]


def run_all(*functions: Callable[[], Any], seconds: float = 10.0) -> list[Any]:
    """Run functions at once, each in its thread; give their results, or raise the first exception."""
    tasks = [Task(function) for function in functions]
    for task in tasks:
        task.start()
    limit = time.monotonic() + seconds
    for task in tasks:
        task.join(max(0.0, limit - time.monotonic()))
    return [task.result(0.0) for task in tasks]


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, by name, what is about a library for greenlets where that is not installed."""
    for library in ("gevent", "eventlet"):
        if importlib.util.find_spec(library) is None:
            for item in items:
                if library in item.name.lower():
                    item.add_marker(pytest.mark.skip(reason=f"{library} is not installed here"))


@pytest.fixture(autouse=True)
def _same_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the same environment and logging level."""
    monkeypatch.delenv("PPP_WERKZEUG_WORKAROUND", raising=False)
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    level = ppp.log.level
    yield
    ppp.log.setLevel(level)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that pools built from now on go by."""
    clock = Clock()
    monkeypatch.setattr(ppp.Pool, "_now", lambda pool: clock.now)
    return clock


@pytest.fixture
def factory() -> Iterator[Factory]:
    """Give a maker of resources; at the end none of them may have been closed twice."""
    factory = Factory()
    yield factory
    assert [str(resource) for resource in factory.made if resource.closings > 1] == []


@pytest.fixture
def make_pool(factory: Factory) -> Iterator[MakePool]:
    """Give a maker of pools: of the test's resources, closed by `Resource.close`, unless told otherwise."""
    pools: list[ppp.Pool[Any]] = []

    def make(fun: Callable[[int], Any] | None = None, *args: Any, **kwargs: Any) -> ppp.Pool[Any]:
        if fun is None:
            fun = factory
            kwargs.setdefault("closer", Resource.close)
        pool: ppp.Pool[Any] = ppp.Pool(fun, *args, **kwargs)
        pools.append(pool)
        return pool

    yield make
    factory.fails.clear()
    for pool in pools:
        pool.shutdown()


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Messages:
    """Give a reader of the library's messages."""
    caplog.set_level(logging.DEBUG, logger="ppp")

    def read(level: str = "WARNING") -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "ppp" and record.levelname == level
        ]

    return read


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Give a starter of threads, all of which end with the test."""
    tasks: list[Task] = []

    def start(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        task = Task(function, *args, **kwargs)
        tasks.append(task)
        task.start()
        return task

    yield start
    for task in tasks:
        task.result()


@pytest.fixture(autouse=True)
def _untraced(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stop the measuring of coverage in tests marked `untraced`: those that interrupt or take times."""
    tracer = sys.gettrace()
    if tracer is None or request.node.get_closest_marker("untraced") is None:
        yield
        return
    thread_tracer = threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    yield
    threading.settrace(thread_tracer)
    sys.settrace(tracer)
