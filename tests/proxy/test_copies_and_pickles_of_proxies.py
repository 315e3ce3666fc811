"""Copies of a proxy are the proxy; pickled, it travels as its configuration, or with its object."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from helpers_proxy import Keep, Scope, is_instance, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Thing:
    """What a picklable function makes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process = os.getpid()


def close_thing(thing: Thing) -> None:
    """Close it."""


things: Any = ppp.Proxy(fun=Thing, max_size=2, min_size=0, closer=close_thing)
"""A proxy at module level, as programs have them."""


@pytest.fixture(scope="module")
def worker() -> Iterator[ProcessPoolExecutor]:
    """A spawned process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        executor.submit(int).result(30)
        yield executor


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_copy_is_the_proxy(clone: Any, keep: Keep) -> None:
    """A copy of a proxy, shallow or deep, is the proxy, alone or in a container, a subclass's too."""
    pooled = keep(ppp.Proxy(fun=Thing, max_size=1))
    pooled._get_obj()
    for proxy in (ppp.Proxy(), ppp.Proxy([1]), pooled, Locked([1]), Locked()):
        assert clone(proxy) is proxy
        assert clone((proxy,))[0] is proxy
    assert copy.deepcopy({"a": [pooled]})["a"][0] is pooled
    assert clone(pooled._get_obj()) is not pooled._get_obj()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_carries_its_object(protocol: int) -> None:
    """A proxy around an object carries the object, as it is then, other proxies within it included."""
    proxy: Any = ppp.Proxy(SimpleNamespace(db=ppp.Proxy([1]), x=2), set_name="put")
    data = pickle.dumps([proxy, proxy], protocol)
    proxy.put(SimpleNamespace(x=3))
    clone, same = pickle.loads(data)
    assert clone is same
    assert is_instance(clone, ppp.Proxy)
    assert (clone.x, clone.db, clone._scope, clone._nobjs) == (2, [1], Scope.SHARED, 1)
    assert is_instance(clone.db, ppp.Proxy)
    assert clone.put([1]) == [1]


def test_unset() -> None:
    """An unset proxy comes out unset, with its parameters."""
    clone: Any = pickle.loads(pickle.dumps(ppp.Proxy(set_name="put", max_size=4, timeout=0.5)))
    assert repr(clone) == "<Proxy unset>"
    assert (clone._pool_max_size, clone._pool_kwargs) == (4, {"timeout": 0.5})
    assert clone.put([1]) == [1]


def examine(data: bytes) -> dict[str, Any]:
    """Tell, in a worker, what a pickled proxy is there."""
    proxy: Any = pickle.loads(data)
    found = {
        "fresh": (proxy._nobjs, proxy._has_obj(), proxy._pool and proxy._pool.stats()["ncreating"]),
        "configuration": (proxy._fun.__name__, proxy._scope.name, proxy._pool_max_size),
        "made here": (proxy.number, proxy.process == os.getpid()),
    }
    if proxy._pool is not None:
        stats = proxy._pool.stats()
        found["pool"] = tuple(stats[key] for key in ("max_size", "timeout", "name", "max_use", "nuses"))
        proxy._pool.shutdown()
        proxy.put([1])
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_travels_as_its_configuration(protocol: int, keep: Keep, worker: ProcessPoolExecutor) -> None:
    """A function's proxy travels as its configuration; its pool arrives empty, and connects on demand."""
    parameters: dict[str, Any] = {"timeout": 0.5, "closer": close_thing, "name": "books", "max_use": 7}
    proxy = keep(ppp.Proxy(fun=Thing, set_name="put", max_size=3, min_size=2, reclaim=True, **parameters))
    mine = proxy._get_obj()
    found = worker.submit(examine, pickle.dumps(proxy, protocol)).result(30)
    assert found["fresh"] == (0, False, 0)
    assert found["configuration"] == ("Thing", "THREAD", 3)
    assert found["made here"][1]
    assert found["pool"] == (3, 0.5, "books", 7, 1)
    assert proxy._get_obj() is mine


@pytest.mark.parametrize("scope", ["SHARED", "THREAD", "VERSATILE"])
def test_travels_without_a_pool(scope: str, worker: ProcessPoolExecutor) -> None:
    """The scope travels, without a pool too."""
    proxy: Any = ppp.Proxy(fun=Thing, scope=Scope[scope], max_size=None)
    proxy._get_obj()
    found = worker.submit(examine, pickle.dumps(proxy)).result(30)
    assert found["fresh"] == (0, False, None)
    assert found["configuration"] == ("Thing", scope, None)
    assert found["made here"] == (0, True)


def test_configuration_of_its_time(keep: Keep) -> None:
    """What comes out is configured as the proxy was when it was pickled, whatever was set before or since."""
    proxy = keep(ppp.Proxy(max_size=1, min_size=0))
    proxy._set_pool(max_size=2, timeout=0.5)
    proxy.set_fun(Thing)
    data = pickle.dumps(proxy)
    proxy.set_fun(str)
    clone = keep(pickle.loads(data))
    assert (clone._fun, clone._pool_max_size, clone._pool_kwargs["timeout"]) == (Thing, 2, 0.5)
    assert keep(pickle.loads(pickle.dumps(proxy)))._fun is str


def test_arrives_once(keep: Keep) -> None:
    """A proxy that arrives in a process again is the one that arrived before, with its objects."""
    data = pickle.dumps(keep(ppp.Proxy(fun=Thing, max_size=1, min_size=0)))
    clone = keep(pickle.loads(data))
    assert clone.number == 0
    assert pickle.loads(data) is clone


def module_s_number() -> tuple[int, int]:
    """Use the module's proxy, and tell where that was and where its object was made."""
    with things._obj() as thing:
        return os.getpid(), thing.process


def test_proxy_at_module_level(worker: ProcessPoolExecutor) -> None:
    """A proxy at module level has objects of its own in a spawned process."""
    here, made_here = module_s_number()
    there, made_there = worker.submit(module_s_number).result(30)
    assert (here, there) == (made_here, made_there)
    assert here != there
    things._pool.shutdown()


class Reference(ppp.Proxy[Any]):
    """A subclass with its own constructor and attributes, one of which refers to it."""

    def __init__(self, label: str, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.label = label
        self.users = SimpleNamespace(repository=self)


class Locked(ppp.Proxy[Any]):
    """Keeps a lock, which no pickle can hold, and says what is pickled instead."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = threading.Lock()
        self.label = "a"

    def __getstate__(self) -> dict[str, Any]:
        return {"label": self.label}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.lock = threading.Lock()
        self.label = state["label"] + "b"


class Own(ppp.Proxy[Any]):
    """Has its own way of travelling."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Own, ("by its own",)


@pytest.mark.parametrize("parameters", [{"fun": Thing, "max_size": None}, {"obj": Thing(0)}])
def test_subclass(parameters: dict[str, Any]) -> None:
    """A subclass's proxy travels with its class and its own attributes, which are its own there too."""
    clone = pickle.loads(pickle.dumps(Reference("books", **parameters)))
    assert is_instance(clone, Reference)
    assert (clone.label, clone.number) == ("books", 0)
    assert clone.users.repository is clone
    clone.label = "changed"
    assert not hasattr(clone._get_obj(), "label")


def test_own_state() -> None:
    """What a subclass says of its pickle, or of the state in it, counts, and so does what it does with it."""
    clone = pickle.loads(pickle.dumps(Locked([1, 2])))
    assert is_instance(clone, Locked)
    assert (clone.label, clone, hasattr(clone, "lock")) == ("ab", [1, 2], True)
    assert pickle.loads(pickle.dumps(Own(1))) == "by its own"
