"""Proxies of a function without a pool: an object for each thread, or one for the process."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from conftest import Factory, Spawn, Stop, run_all, wait_for
from helpers_proxy import Scope, in_thread

import ProxyPatternPool as ppp


def test_each_thread_makes_and_keeps_one(factory: Factory) -> None:
    """Without a pool each thread makes and keeps its object, and `fun` is called with 0, 1, 2…"""
    proxy: Any = ppp.Proxy(fun=factory, max_size=None)
    assert (proxy._pool, proxy._nobjs, proxy._has_obj()) == (None, 0, False)
    mine = proxy._get_obj()
    assert [in_thread(lambda: proxy.number) for _ in range(3)] == [1, 2, 3]
    proxy._ret_obj()
    proxy._invalidate_obj()
    assert proxy._get_obj() is mine
    assert factory.numbers == [0, 1, 2, 3]
    assert proxy._nobjs == 4


def test_numbers_are_unique() -> None:
    """Threads that make their objects at once get different numbers."""
    barrier = threading.Barrier(16)
    numbers: list[int] = []

    def make(number: int) -> int:
        barrier.wait(5)
        numbers.append(number)
        return number

    proxy: Any = ppp.Proxy(fun=make, max_size=None)
    assert sorted(run_all(*[proxy._get_obj] * 16)) == sorted(numbers) == list(range(16))
    assert proxy._nobjs == 16


def test_failure_is_the_caller_s(factory: Factory) -> None:
    """What the function raises reaches the caller, who may try again, with the same number."""
    for scope in (Scope.THREAD, Scope.SHARED):
        proxy: Any = ppp.Proxy(fun=factory, max_size=None, scope=scope)
        factory.fails["make"] = OSError("down")
        with pytest.raises(OSError, match="down"):
            _ = proxy.number
        assert not proxy._has_obj()
        factory.fails.clear()
        assert (proxy.number, proxy._nobjs) == (0, 1)
    assert factory.numbers == [0] * 4


def test_numbers_begin_anew() -> None:
    """A new function is called with 0, 1, 2…, though the former one still makes an object."""

    def slow(number: int) -> list[int]:
        proxy._set_fun(lambda number: [number + 10])
        raise OSError(number)

    proxy: Any = ppp.Proxy(fun=slow, max_size=None)
    with pytest.raises(OSError, match="0"):
        proxy._get_obj()
    assert (proxy._get_obj(), in_thread(proxy._get_obj), proxy._nobjs) == ([10], [11], 2)


def test_shared_function_makes_one(spawn: Spawn) -> None:
    """With scope SHARED, threads that come together wait for one object, made once, without a pool."""
    stop = Stop()
    numbers: list[int] = []

    def make(number: int) -> list[int]:
        numbers.append(number)
        stop()
        return numbers

    proxy: Any = ppp.Proxy(fun=make, scope=Scope.SHARED)
    assert (proxy._has_obj(), proxy._nobjs, proxy._pool) == (False, 0, None)
    tasks = [spawn(proxy._get_obj) for _ in range(8)]
    wait_for(stop.reached)
    tasks[-1].join(0.05)
    assert all(task.is_alive() for task in tasks)
    stop.go.set()
    assert all(task.result() is numbers for task in tasks)
    proxy._ret_obj()
    assert proxy._get_obj() is numbers
    assert (numbers, proxy._nobjs) == ([0], 1)


def test_shared_object_that_needs_itself() -> None:
    """A function that uses the proxy for which it makes the shared object is told so."""

    def fun(number: int) -> object:
        return proxy._get_obj()

    proxy: Any = ppp.Proxy(fun=fun, scope=Scope.SHARED)
    with pytest.raises(ppp.ProxyException, match="needed to make it"):
        proxy._get_obj()
    proxy._set_fun(lambda number: [number])
    assert proxy == [0]
