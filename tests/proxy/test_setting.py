"""How a proxy is built and set, by its constructor and by `set`, the pool that this makes, and set anew."""

from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from conftest import Factory, Keep, Messages, Resource
from helpers import Hostile, numbers
from helpers_proxy import Conn, Scope, drawn, in_thread

import ProxyPatternPool as ppp


@pytest.mark.parametrize("parameter", ["scope", "fun"])
def test_odd_parameters(parameter: Any) -> None:
    """A scope that is none, and a function that cannot be called, are refused."""
    for size in (0, None):
        with pytest.raises(ppp.ProxyException, match=f"{parameter} must be .*, not 5"):
            ppp.Proxy(max_size=size, **{parameter: 5})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["_set", "set"])
def test_both_or_neither(name: str) -> None:
    """An object and a function together are refused, and so is neither, unless it is said not to matter."""
    proxy: Any = ppp.Proxy()
    with pytest.raises(ppp.ProxyException, match="Proxy must set either obj or fun"):
        getattr(proxy, name)()
    attempts: list[Any] = [getattr(proxy, name), ppp.Proxy]
    for attempt in attempts:
        with pytest.raises(ppp.ProxyException, match="Proxy cannot set both obj and fun"):
            attempt(0, str)
    assert getattr(proxy, name)(mandatory=False) is getattr(proxy, name)(None, None, False) is proxy
    assert not proxy._has_obj()
    for given in drawn([1]):
        assert getattr(given, name)(mandatory=False) == [1]


@pytest.mark.parametrize("name", ["set", "_set", "set_obj", "_set_obj"])
def test_object_later(name: str) -> None:
    """A proxy without anything takes its object later, by any of four names, which give the proxy back."""
    thing = SimpleNamespace(x=1)
    unset: Any = ppp.Proxy()
    assert getattr(unset, name)(thing) is unset
    for proxy in (unset, ppp.Proxy(thing)):
        assert proxy._get_obj() is in_thread(proxy._get_obj) is thing
        assert (proxy.x, proxy._scope, proxy._pool, proxy._nobjs) == (1, Scope.SHARED, None, 1)


@pytest.mark.parametrize("name", ["set_fun", "_set_fun", "set", "_set"])
def test_function_later(name: str, keep: Keep, factory: Factory) -> None:
    """It takes its function later, by any of four names; that makes the pool, with its `min_size` objects."""
    hooks: dict[str, Any] = {"getter": Resource.lend, "closer": Resource.close}
    proxy = keep(ppp.Proxy(max_size=4, min_size=3, max_use=1, log_level=logging.ERROR, **hooks))
    assert (proxy._pool, proxy._pool_max_size, ppp.log.level) == (None, 4, logging.ERROR)
    assert proxy._pool_kwargs == {"min_size": 3, "max_use": 1, **hooks}
    arguments = (factory,) if name.endswith("fun") else (None, factory)
    with mock.patch.object(ppp, "Pool", wraps=ppp.Pool) as made:  # it is looked up in the module
        assert getattr(proxy, name)(*arguments) is proxy
    made.assert_called_once_with(factory, max_size=4, min_size=3, max_use=1, **hooks)
    assert (len(factory.made), len(proxy._pool._avail), proxy._fun) == (3, 3, factory)
    assert (proxy._scope, proxy._nobjs, proxy._has_obj()) == (Scope.THREAD, 0, False)
    with proxy._obj() as resource:
        assert (resource.gets, proxy.number) == (1, resource.number)
    assert resource.closings == 1


FALSY = [0, "", False, [], {}, 0.0, (), Hostile()]


@pytest.mark.parametrize("value", FALSY, ids=lambda value: type(value).__name__)
def test_falsy_objects(keep: Keep, value: Any) -> None:
    """Any object but `None` can be set, made, lent and returned, whatever its truth, also if it has none."""
    unset: Any = ppp.Proxy()
    refused = pytest.raises(ValueError, match="no luck")
    for proxy in (ppp.Proxy(value), unset.set(value), *drawn(value)):
        assert proxy._get_obj() is value
        assert proxy._has_obj()
        with refused if type(value) is Hostile else contextlib.nullcontext():
            assert not proxy
    pooled = keep(ppp.Proxy(fun=lambda _: value, max_size=1))
    for _ in range(2):
        with pooled._obj(timeout=0) as thing:
            assert thing is value


@pytest.mark.parametrize("scope", [Scope.AUTO, Scope.THREAD, Scope.WERKZEUG])
def test_scope_of_each_setting(keep: Keep, scope: Any) -> None:
    """A proxy is SHARED with an object, has its own scope with each function, and `None` makes it unset."""
    proxy = keep(ppp.Proxy(scope=scope, max_size=1))
    for setting in ({"obj": [1]}, {"fun": lambda _: [1]}, {"obj": [1]}):
        assert (repr(proxy), proxy._has_obj()) == ("<Proxy unset>", False)
        assert (proxy._nobjs, proxy._scope, proxy._pool, proxy._fun) == (0, scope, None, None)
        for _ in range(2):
            assert proxy.set_obj([2])._scope is Scope.SHARED
            assert in_thread(lambda: proxy[0]) == 2
            assert proxy.set_fun(list)._scope is (Scope.THREAD if scope is Scope.AUTO else scope)
        assert proxy._set(**setting) == [1]
        assert proxy._set_obj(None) is proxy


def test_parameters_are_kept_and_checked_by_the_pool() -> None:
    """A proxy may carry what no pool knows; when a pool is made, that is Python's error, or the pool's."""
    for name, value in (("nonsense", 1), ("timeout", -1.0), ("closer", 5)):
        wrong: Any = ppp.Proxy(**{name: value})  # type: ignore[arg-type]
        with pytest.raises((TypeError, ppp.PoolException), match=name):
            wrong.set_fun(list)


def test_set_pool_before_and_after(keep: Keep, factory: Factory) -> None:
    """`_set_pool` changes the pool's parameters until the pool exists, and is refused afterwards."""
    proxy = keep(ppp.Proxy(max_size=5, timeout=3.0, name="books"))
    proxy._set_pool(max_size=1)
    proxy._set_pool(timeout=0.5, max_use=7)
    proxy.set_fun(factory)
    assert numbers(proxy._pool, "max_size timeout max_use name") == [1, 0.5, 7, "books"]
    with pytest.raises(ppp.ProxyException, match="cannot override pool parameters once initialized"):
        proxy._set_pool(max_size=2)
    assert (proxy._pool.stats()["max_size"], proxy._pool_max_size) == (1, 1)
    proxy = ppp.Proxy(max_size=2)
    proxy._set_pool(max_size=None)
    assert proxy.set_fun(Conn)._pool is None


def test_plain_attributes_can_be_assigned(keep: Keep, factory: Factory) -> None:
    """What a proxy keeps of its setting are plain attributes, which programs assign, and which then count."""
    proxy = keep(ppp.Proxy())
    proxy._pool_max_size, proxy._pool_kwargs = 2, {"timeout": 0.25, "min_size": 2}
    proxy._scope = Scope.WERKZEUG
    for _ in range(2):
        proxy.set_fun(factory)
        assert numbers(proxy._pool, "max_size timeout nobjs") == [2, 0.25, 2]
        assert proxy._scope is proxy.set_obj(None)._scope is Scope.WERKZEUG


# set anew


@pytest.mark.parametrize("pooled", [False, True])
def test_old_object_is_left_to_the_collector(keep: Keep, pooled: bool) -> None:
    """A new object is everybody's at once, and what nobody returns of the old is neither kept nor closed."""
    closed: list[Any] = []
    proxy = keep(ppp.Proxy(max_size=1, closer=closed.append))
    (proxy.set_fun if pooled else proxy.set)(Conn if pooled else Conn())
    reference = weakref.ref(proxy._get_obj())
    proxy.set([1])
    assert (proxy, hasattr(proxy, "write"), in_thread(lambda: proxy[0])) == ([1], False, 1)
    gc.collect()
    assert (reference(), closed) == (None, [])


NEW = [("_set_obj", [1]), ("_set_fun", lambda number: [1]), ("_set_obj", None)]


@pytest.mark.parametrize("reclaim", [False, True])
@pytest.mark.parametrize(("setter", "new"), NEW)
def test_idle_objects_are_closed(
    keep: Keep, factory: Factory, messages: Messages, setter: str, new: Any, reclaim: bool
) -> None:
    """What is idle is closed as it is set anew, what is lent when it is returned; threads draw anew."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=3, min_size=2, closer=Resource.close, reclaim=reclaim))
    old = proxy._pool
    with ThreadPoolExecutor(1) as thread:
        mine = thread.submit(proxy._get_obj).result(5)
        getattr(proxy, setter)(new)
        gc.collect()
        assert proxy._pool is not old
        assert sorted(factory.closings) == [0, 1]
        assert (list(old._using), list(old._avail), messages()) == ([mine], [], [])
        assert thread.submit(proxy._has_obj).result(5) == (new == [1])
        assert new is None or thread.submit(proxy._get_obj).result(5) == [1]
    assert mine.alive
    old.ret(mine)
    assert (mine.closings, old._nobjs) == (1, 0)


@pytest.mark.parametrize(("setter", "new"), NEW[:2])
def test_block_ends_its_lease_of_the_old_pool(keep: Keep, factory: Factory, setter: str, new: Any) -> None:
    """What a block holds as the proxy is set anew is closed when the block ends, and the new object stays."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, closer=Resource.close))
    with proxy._obj() as mine, proxy._obj():
        found = getattr(proxy, setter)(new)._get_obj()
        assert mine.alive
    assert mine.closings == 1
    assert proxy._get_obj() is found
