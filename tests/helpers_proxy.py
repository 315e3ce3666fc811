"""What the tests of `Proxy` share."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers import permits, start, wait_for

import ProxyPatternPool as ppp

Scope: Any = ppp.Proxy.Scope
SCOPES = [Scope.THREAD, Scope.WERKZEUG]


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


def in_place(thing: Any, other: Any = 1) -> Any:
    """Give what `+=` gives."""
    thing += other
    return thing


def enter(thing: Any) -> None:
    """Use it in a block, whose body is not run."""
    with thing:
        pytest.fail("there is nothing")


USES: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda p: p.x,
    "underscore": lambda p: p._conn,
    "hash": hash,
    "length": len,
    "iteration": iter,
    "call": lambda p: p(),
    "item": lambda p: p[0],
    "setting an item": lambda p: operator.setitem(p, 0, 1),
    "deleting an item": lambda p: operator.delitem(p, 0),
    "membership": lambda p: 1 in p,
    "addition": lambda p: p + 1,
    "reflected addition": lambda p: 1 + p,
    "in place": in_place,
    "negation": operator.neg,
    "comparison": lambda p: p < 1,
    "int": int,
    "with": enter,
    "draw": lambda p: p._get_obj(),
    "draw with a timeout": lambda p: p._get_obj(0),
    "block": lambda p: p._obj().__enter__(),
}
"""Uses of a proxy that need its object."""


@contextmanager
def held_elsewhere(proxy: Any) -> Iterator[Any]:
    """Let another thread hold an object of the proxy during the block, which gets that object."""
    drawn, done = threading.Event(), threading.Event()
    objects: list[Any] = []

    def hold() -> None:
        objects.append(proxy._get_obj())
        drawn.set()
        try:
            wait_for(done, 30.0)
        finally:
            proxy._ret_obj()

    task = start(hold)
    try:
        wait_for(drawn)
        yield objects[0]
    finally:
        done.set()
        task.result()


PATCHED = """
import sys, warnings
warnings.simplefilter("ignore")
kind = sys.argv[1]
if kind == "gevent":
    from gevent import monkey
    monkey.patch_all()
    import gevent, gevent.pool
    gevent.get_hub().print_exception = lambda *args: None
    spawn, sleep, join = gevent.spawn, gevent.sleep, gevent.Greenlet.get
    starts = [spawn, gevent.pool.Pool().spawn]
else:
    import eventlet, eventlet.debug
    eventlet.monkey_patch()
    eventlet.debug.hub_exceptions(False)
    spawn, sleep, join = eventlet.spawn, eventlet.sleep, eventlet.greenthread.GreenThread.wait
    starts = [spawn, eventlet.spawn_n, eventlet.GreenPool().spawn_n]

import gc, threading, time
import ProxyPatternPool as ppp

scope = ppp.Proxy.Scope[kind.upper()]
"""
"""The beginning of a program patched by gevent or eventlet."""
