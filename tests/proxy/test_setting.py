"""How a proxy is built and set, by its constructor and by `set`, and the pool that `_set_fun` makes."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from conftest import Factory, Resource
from helpers_proxy import Conn, Keep, Scope, drawn, in_thread, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp


def test_all_parameters_by_position(keep: Keep, factory: Factory) -> None:
    """Object, function, name of `set`, scope, logging level and size can be given by position."""
    proxy = keep(ppp.Proxy[Resource](None, factory, "put", Scope.THREAD, logging.ERROR, 3, timeout=0.5))
    assert proxy._get_obj() is factory.made[0]
    assert (proxy._fun, proxy._scope) == (factory, Scope.THREAD)
    assert (proxy._pool_max_size, proxy._pool_kwargs) == (3, {"timeout": 0.5})
    assert ppp.log.level == logging.ERROR
    proxy = keep(ppp.Proxy(fun=factory))
    assert (proxy._pool_max_size, proxy._pool_kwargs, proxy._scope) == (0, {}, Scope.THREAD)
    assert ppp.log.level == logging.ERROR


@pytest.mark.parametrize("parameter", ["scope", "fun"])
def test_odd_parameters(parameter: str) -> None:
    """A scope that is none, and a function that cannot be called, are refused."""
    wrong: dict[str, Any] = {parameter: 5}
    with pytest.raises(ppp.PPPException):
        ppp.Proxy(**wrong)


@pytest.mark.parametrize("name", ["_set", "set"])
def test_both_or_neither(name: str) -> None:
    """An object and a function together are refused, and so is neither, with the original's texts."""
    proxy: Any = ppp.Proxy()
    with pytest.raises(ppp.ProxyException, match="Proxy must set either obj or fun"):
        getattr(proxy, name)()
    attempts: list[Any] = [getattr(proxy, name), ppp.Proxy]
    for attempt in attempts:
        with pytest.raises(ppp.ProxyException, match="Proxy cannot set both obj and fun"):
            attempt(0, str)
    assert not proxy._has_obj()


def test_not_mandatory() -> None:
    """`_set(mandatory=False)` with neither does nothing, to a proxy that is set, too."""
    unset: Any = ppp.Proxy()
    assert unset._set(mandatory=False) is unset._set(None, None, False) is unset
    assert not unset._has_obj()
    for proxy in drawn([1]):
        assert proxy._set(mandatory=False) == [1]
        assert proxy._has_obj()


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
    """A proxy without anything takes its function later, by any of four names, which give the proxy back."""
    proxy = keep(ppp.Proxy(max_size=2))
    arguments = (factory,) if name.endswith("fun") else (None, factory)
    assert getattr(proxy, name)(*arguments) is proxy
    assert (proxy.number, proxy._scope, proxy._fun) == (0, Scope.THREAD, factory)


class Vague:
    """Has no truth value, as an array."""

    def __bool__(self) -> bool:
        raise ValueError("neither")


@pytest.mark.parametrize(
    "value", [0, "", False, [], {}, 0.0, (), Vague()], ids=lambda value: type(value).__name__
)
def test_falsy_objects(keep: Keep, value: Any) -> None:
    """Any object but `None` can be set, made, lent and returned, whatever its truth, also if it has none."""
    unset: Any = ppp.Proxy()
    for proxy in (ppp.Proxy(value), unset.set(value), *drawn(value)):
        assert proxy._get_obj() is value
        assert proxy._has_obj()
        if type(value) is Vague:
            with pytest.raises(ValueError, match="neither"):
                bool(proxy)
        else:
            assert not proxy
    pooled = keep(ppp.Proxy(fun=lambda _: value, max_size=1))
    for _ in range(2):
        with pooled._obj(timeout=0) as thing:
            assert thing is value


@pytest.mark.parametrize("name", [None, "", "put"])
def test_set_name(keep: Keep, name: str | None) -> None:
    """Another name gives the methods another prefix; with it, or without any, `set` is the object's."""
    thing = SimpleNamespace(set="mine", set_obj="mine too", set_fun="and mine")
    proxy = keep(ppp.Proxy(thing, set_name=name, min_size=0))
    assert (proxy.set, proxy.set_obj, proxy.set_fun) == ("mine", "mine too", "and mine")
    if name:
        assert proxy.put([2]) is proxy.put_obj([1]) is proxy
        assert proxy.put_fun(list)._fun is list
        other: Any = ppp.Proxy(SimpleNamespace(put="object's"))
        assert other.put == "object's"
    else:
        proxy._set_obj([1])
        assert not hasattr(proxy, "set")
        assert proxy == [1]


@pytest.mark.parametrize("scope", [Scope.AUTO, Scope.THREAD, Scope.WERKZEUG])
def test_scope_of_each_setting(keep: Keep, scope: Any) -> None:
    """A proxy is SHARED with an object, and has its own scope, THREAD for AUTO, with each function."""
    proxy = keep(ppp.Proxy(scope=scope, min_size=0))
    assert proxy._scope is scope
    for _ in range(2):
        assert proxy.set_obj([1])._scope is Scope.SHARED
        assert in_thread(lambda: proxy[0]) == 1
        assert proxy.set_fun(list)._scope is (Scope.THREAD if scope is Scope.AUTO else scope)


@pytest.mark.parametrize("name", ["_set", "set-it"])
def test_odd_set_names(name: str) -> None:
    """A name that is the proxy's own, or no identifier, is no error."""
    proxy: Any = ppp.Proxy([1], set_name=name)
    assert getattr(proxy, name)([2]) is proxy
    assert proxy == [2]


@pytest.mark.parametrize("scope", [Scope.AUTO, Scope.THREAD, Scope.WERKZEUG])
def test_none_makes_it_unset(keep: Keep, scope: Any) -> None:
    """`_set_obj(None)` makes the proxy unset, without objects, with the scope that was given."""
    proxy = keep(ppp.Proxy(scope=scope, max_size=1))
    for setting in ({"obj": [1]}, {"fun": lambda _: [1]}):
        assert proxy._set(**setting) == [1]
        assert proxy._set_obj(None) is proxy
        assert (repr(proxy), proxy._has_obj()) == ("<Proxy unset>", False)
        assert (proxy._nobjs, proxy._scope, proxy._pool, proxy._fun) == (0, scope, None, None)


def test_function_makes_the_pool(keep: Keep, factory: Factory) -> None:
    """`_set_fun` makes the pool with its `min_size` objects; from then on `_pool` is that pool."""
    hooks: dict[str, Any] = {"getter": Resource.lend, "closer": Resource.close}
    proxy = keep(ppp.Proxy(max_size=4, min_size=3, max_use=1, **hooks))
    assert proxy._pool is None
    proxy.set_fun(factory)
    pool = proxy._pool
    assert isinstance(pool, ppp.Pool)
    assert (len(factory.made), pool.stats()["navail"], pool._fun) == (3, 3, factory)
    assert (proxy._nobjs, proxy._has_obj()) == (0, False)
    with proxy._obj() as resource:
        assert resource.gets == 1
    assert resource.closings == 1
    assert proxy._pool is pool


def test_parameters_are_kept_and_checked_by_the_pool() -> None:
    """A proxy may carry what no pool knows; when a pool is made, that is Python's error, or the pool's."""
    for proxy in (ppp.Proxy("hello", close="close"), ppp.Proxy(fun=str, max_size=None, close="close")):
        assert proxy.islower() in (True, False)
        assert proxy._pool_kwargs == {"close": "close"}
    with pytest.raises(TypeError, match="nonsense"):
        ppp.Proxy(fun=Conn, nonsense=1)
    for name, value in (("nonsense", 1), ("timeout", -1.0), ("closer", 5)):
        parameters: dict[str, Any] = {name: value}
        wrong: Any = ppp.Proxy(**parameters)
        with pytest.raises((TypeError, ppp.PoolException), match=name):
            wrong.set_fun(list)


def test_pool_is_looked_up_in_the_module(keep: Keep, factory: Factory) -> None:
    """The pool is made by `Pool` of the module at that moment, with the function and the parameters."""
    proxy = keep(ppp.Proxy(max_size=2, timeout=0.5))
    with mock.patch.object(ppp, "Pool", wraps=ppp.Pool) as made:
        proxy.set_fun(factory)
    made.assert_called_once_with(factory, max_size=2, timeout=0.5)
    assert proxy._pool.stats()["max_size"] == 2


def test_set_pool_before_and_after(keep: Keep, factory: Factory) -> None:
    """`_set_pool` changes the pool's parameters until the pool exists, and is refused afterwards."""
    proxy = keep(ppp.Proxy(max_size=5, timeout=3.0, name="books"))
    proxy._set_pool(max_size=1)
    proxy._set_pool(timeout=0.5, max_use=7)
    assert (proxy._pool_max_size, proxy._pool_kwargs["timeout"]) == (1, 0.5)
    proxy.set_fun(factory)
    shown = [proxy._pool.stats()[key] for key in ("max_size", "timeout", "max_use", "name")]
    assert shown == [1, 0.5, 7, "books"]
    with pytest.raises(ppp.ProxyException, match="cannot override pool parameters once initialized"):
        proxy._set_pool(max_size=2)
    assert (proxy._pool.stats()["max_size"], proxy._pool_max_size) == (1, 1)
    alone: Any = ppp.Proxy(max_size=2)
    alone._set_pool(max_size=None)
    assert (alone.set_fun(Conn).number, alone._pool) == (0, None)


def test_plain_attributes_can_be_assigned(keep: Keep, factory: Factory) -> None:
    """What a proxy keeps of its setting are plain attributes, which programs assign, and which then count."""
    proxy = keep(ppp.Proxy())
    proxy._pool_max_size, proxy._pool_kwargs = 2, {"timeout": 0.25, "min_size": 2}
    proxy.set_fun(factory)
    assert [proxy._pool.stats()[key] for key in ("max_size", "timeout", "nobjs")] == [2, 0.25, 2]
    proxy._pool.shutdown()
    proxy._pool = pool = ppp.Pool(factory, max_size=1)
    with proxy._obj() as resource:
        assert list(pool._using) == [resource]
    assert list(pool._avail) == [resource]
    values = {"_nobjs": 0, "_scope": Scope.WERKZEUG, "_fun": list, "_local": ppp.Proxy.Local()}
    for name, value in values.items():
        setattr(proxy, name, value)
        assert getattr(proxy, name) is value
