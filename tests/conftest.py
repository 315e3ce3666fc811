"""The fixtures: `clock`, turned by hand, `factory` of countable resources, `make_pool` and `keep`, which shut
pools down, `messages`, `spawn`. What these give is described here; other helpers are in `helpers.py`.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from helpers import Task, start
from helpers_faults import Account, untraced

import ProxyPatternPool as ppp

MakePool = Callable[..., "ppp.Pool[Any]"]
Keep = Callable[["ppp.Proxy[Any]"], Any]
Messages = Callable[..., list[str]]
Spawn = Callable[..., Task]


class Clock:
    """A monotonic clock that moves only when told to."""

    now = 1_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Resource:
    """A thing that is expensive to make: its methods are a pool's hooks, and count their calls."""

    def __init__(self, factory: Factory, number: int, serial: int) -> None:
        self.factory = factory
        self.number = number
        self.serial = serial
        self.gets = self.rets = self.closings = 0
        self.healthy = True

    def __str__(self) -> str:
        return f"resource {self.serial}"

    @property
    def alive(self) -> bool:
        """Whether nobody has closed it yet."""
        return self.closings == 0

    def open(self) -> None:
        self.factory.happen("open", self)

    def lend(self) -> None:
        self.factory.happen("lend", self)
        self.gets += 1

    def take_back(self) -> None:
        self.factory.happen("take_back", self)
        self.rets += 1

    def reset(self) -> None:
        self.factory.happen("reset", self)

    def close(self) -> None:
        """Count a closing (a pool's `closer`); it is closed even where the closer then fails."""
        with self.factory.lock:
            self.closings += 1
        self.factory.happen("close", self)

    def check(self) -> bool:
        self.factory.happen("check", self)
        return self.healthy


HOOKS: dict[str, Any] = {
    "opener": Resource.open,
    "getter": Resource.lend,
    "retter": Resource.take_back,
    "closer": Resource.close,
    "health": Resource.check,
    "reset": Resource.reset,
}


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
            self.most_alive = max(self.most_alive, len(self.alive))
        return resource

    def happen(self, name: str, resource: Resource) -> None:
        """Note a call of a hook, and fail if this one has to."""
        with self.lock:
            self.calls.append((name, resource))
        if name in self.fails:
            raise self.fails[name]

    @property
    def closings(self) -> list[int]:
        """How often each resource was closed."""
        return [resource.closings for resource in self.made]

    @property
    def alive(self) -> list[Resource]:
        with self.lock:
            return [resource for resource in self.made if resource.alive]


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
        pools.append(ppp.Pool(fun, *args, **kwargs))
        return pools[-1]

    yield make
    factory.fails.clear()
    for pool in pools:
        pool.shutdown()


@pytest.fixture
def keep() -> Iterator[Keep]:
    """Give a function that takes a proxy and gives it back: the pool behind it is shut down at the end."""
    kept: list[ppp.Proxy[Any]] = []

    def remember(proxy: ppp.Proxy[Any]) -> Any:
        kept.append(proxy)
        return proxy

    yield remember
    for proxy in kept:
        if proxy._pool is not None:
            proxy._pool.shutdown()


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Messages:
    """Give a reader of the library's messages: it lists those of exactly one level, oldest first."""
    caplog.set_level(logging.DEBUG, logger="ppp")

    def read(level: str = "WARNING") -> list[str]:
        found = [record for record in caplog.records if record.name == "ppp" and record.levelname == level]
        return [record.getMessage() for record in found]

    return read


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Give a starter of threads, all of which end with the test, which raises what nobody asked for."""
    tasks: list[Task] = []

    def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        tasks.append(start(function, *args, **kwargs))
        return tasks[-1]

    yield spawn
    for task in tasks:
        task.result()


@pytest.fixture(autouse=True)
def _untraced(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stop the measuring of coverage in tests marked `untraced`: those that interrupt or take times."""
    with untraced() if request.node.get_closest_marker("untraced") else nullcontext():
        yield


@pytest.fixture
def account() -> Iterator[Account]:
    """Give a maker of things, each of which has to be closed once in the end."""
    account = Account()
    yield account
    assert account.alive == []
