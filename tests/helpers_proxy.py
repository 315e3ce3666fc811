"""What the tests of `Proxy` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from helpers import SECONDS, permits, start

import ProxyPatternPool as ppp

Scope: Any = ppp.Proxy.Scope
SCOPES = [Scope.THREAD, Scope.WERKZEUG]
"""Where threads have objects of their own; `test_greenlets` puts another scope there."""


class Conn:
    """What a proxy stands for: a connection that notes what is done with it."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.log: list[str] = []
        self.closed = False

    def write(self, text: str) -> None:
        self.log.append(text)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


async def ticks() -> AsyncIterator[int]:
    """Iterate asynchronously over 0, 1, 2."""
    for number in range(3):
        yield number


def is_instance(thing: Any, kind: Any) -> bool:
    """Ask `isinstance`, of which type checkers would conclude that a proxy is no proxy."""
    return isinstance(thing, kind)


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread that ends, and give its result."""
    return start(function, *args).result()


def use(proxy: Any) -> None:
    with proxy._obj():
        pass


def all_back(proxy: Any) -> bool:
    """Tell whether no object of the proxy's pool is lent, and every permit is free."""
    free, limit = permits(proxy._pool)
    return len(proxy._pool._using) == 0 and free == limit


def of_each_kind(thing: Any) -> list[Any]:
    """Give proxies of an object that need no end: shared, one for each thread, shared and made late."""
    return [
        ppp.Proxy(thing),
        ppp.Proxy(fun=lambda _: thing, max_size=None),
        ppp.Proxy(fun=lambda _: thing, scope=Scope.SHARED),
    ]


def drawn(thing: Any) -> list[Any]:
    """Give such proxies, which have their object already."""
    proxies = of_each_kind(thing)
    for proxy in proxies:
        proxy._get_obj()
    return proxies


@contextmanager
def held_elsewhere(proxy: Any) -> Iterator[Any]:
    """Let another thread hold an object of the proxy during the block, which gets that object."""
    with ThreadPoolExecutor(1) as thread:
        obj = thread.submit(proxy._get_obj).result(SECONDS)
        try:
            yield obj
        finally:
            thread.submit(proxy._ret_obj).result(SECONDS)
