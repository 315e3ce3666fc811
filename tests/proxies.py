"""What the tests of `Proxy` share: pools shut down when the test ends, and a thread that holds an object.

A test file imports `keep_fixture` to have the fixture `keep`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import Task, wait_for

import ProxyPatternPool as ppp

Keep = Callable[["ppp.Proxy[Any]"], Any]


@pytest.fixture(name="keep")
def keep_fixture() -> Iterator[Keep]:
    """Give a function that takes a proxy and gives it back: the pool behind it is shut down at the end."""
    kept: list[ppp.Proxy[Any]] = []

    def remember(proxy: ppp.Proxy[Any]) -> Any:
        kept.append(proxy)
        return proxy

    yield remember
    for proxy in kept:
        if proxy._pool is not None:
            proxy._pool.shutdown()


def is_instance(thing: Any, kind: Any) -> bool:
    """Ask `isinstance`, of which type checkers would conclude that a proxy is no proxy."""
    return isinstance(thing, kind)


@contextmanager
def held_elsewhere(proxy: Any) -> Iterator[Any]:
    """Let another thread hold the proxy's object for the time of the block, which gets that object."""
    drawn, done = threading.Event(), threading.Event()
    objects: list[Any] = []

    def hold() -> None:
        objects.append(proxy._get_obj())
        drawn.set()
        try:
            wait_for(done, 30.0)
        finally:
            proxy._ret_obj()

    task = Task(hold)
    task.start()
    try:
        wait_for(drawn)
        yield objects[0]
    finally:
        done.set()
        task.result()
