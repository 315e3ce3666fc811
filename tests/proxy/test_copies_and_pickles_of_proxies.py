"""Copies of a proxy are the proxy; pickled, it travels as its configuration, or with its object."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Keep
from helpers import Thing, numbers
from helpers_proxy import Scope, is_instance

import ProxyPatternPool as ppp

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def travelled(thing: Any) -> Any:
    """Give what comes out of a pickle of it."""
    return pickle.loads(pickle.dumps(thing))


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
        assert clone(proxy) is clone((proxy,))[0] is copy.deepcopy({"a": [proxy]})["a"][0] is proxy
    assert clone(pooled._get_obj()) is not pooled._get_obj()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_carries_its_object(protocol: int) -> None:
    """A proxy around an object carries the object, as it is then, other proxies within it included."""
    proxy: Any = ppp.Proxy(SimpleNamespace(db=ppp.Proxy([1]), x=2), set_name="put")
    data = pickle.dumps([proxy, proxy], protocol)
    proxy.put(SimpleNamespace(x=3))
    clone, same = pickle.loads(data)
    assert clone is same
    assert (clone.x, clone.db, clone._scope, clone._nobjs) == (2, [1], Scope.SHARED, 1)
    assert is_instance(clone.db, ppp.Proxy)
    assert clone.put([1]) == [1]


def test_unset_proxy_travels() -> None:
    """An unset proxy comes out unset, with its parameters."""
    clone = travelled(ppp.Proxy(set_name="put", max_size=4, timeout=0.5))
    assert repr(clone) == "<Proxy unset>"
    assert (clone._pool_max_size, clone._pool_kwargs, clone.put([1])) == (4, {"timeout": 0.5}, [1])


def examine(data: bytes) -> tuple[Any, ...]:
    """Tell, in a worker, what a pickled proxy is there."""
    proxy: Any = pickle.loads(data)
    pool = proxy._pool
    fresh = (proxy._nobjs, proxy._has_obj(), pool and numbers(pool, "ncreating max_size timeout name"))
    configuration = (proxy._fun.__name__, proxy._scope.name, proxy._pool_max_size)
    return fresh, configuration, proxy.number, proxy.put([1])._get_obj()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("scope", "size"), [("SHARED", None), ("THREAD", None), ("VERSATILE", 3)])
def test_travels(scope: str, size: Any, protocol: int, keep: Keep, worker: ProcessPoolExecutor) -> None:
    """A function's proxy travels as its configuration; its pool arrives empty, and connects on demand."""
    own: dict[str, Any] = {"set_name": "put", "scope": Scope[scope], "max_size": size, "reclaim": True}
    pools: dict[str, Any] = {"timeout": 0.5, "closer": id, "name": "books", "min_size": 2}
    proxy = keep(ppp.Proxy(fun=Thing, **own, **pools if size else {}))
    mine = proxy._get_obj()
    fresh = (0, False, [0, 3, 0.5, "books"] if size else None)
    found = worker.submit(examine, pickle.dumps(proxy, protocol)).result(30)
    assert found == (fresh, ("Thing", scope, size), 0, [1])
    assert proxy._get_obj() is mine


def test_arrives_once(keep: Keep) -> None:
    """What comes out is configured as the proxy was when it was pickled, and is there once in a process."""
    proxy = keep(ppp.Proxy(max_size=1, min_size=0))
    proxy._set_pool(max_size=2, timeout=0.5)
    proxy.set_fun(Thing)
    data = pickle.dumps(proxy)
    assert not proxy._has_obj()
    proxy.set_fun(str)
    clone = keep(pickle.loads(data))
    assert (clone._fun, clone._pool_max_size, clone._pool_kwargs["timeout"]) == (Thing, 2, 0.5)
    assert pickle.loads(data) is clone
    assert keep(travelled(proxy))._fun is str


class Reference(ppp.Proxy[Any]):
    """A subclass with its own constructor and attributes, one of which refers to it."""

    def __init__(self, label: str, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.label = label
        self.me = [self]


class Locked(ppp.Proxy[Any]):
    """Keeps a lock, which no pickle can hold, and says what is pickled instead."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()

    def __getstate__(self) -> str:
        return "state"

    def __setstate__(self, state: str) -> None:
        self.label = f"my {state}"


@pytest.mark.parametrize("parameters", [{"fun": Thing, "max_size": None}, {"obj": Thing(0)}])
def test_subclass(parameters: dict[str, Any]) -> None:
    """A subclass's proxy travels with its class and its own attributes, which are its own there too."""
    clone = travelled(Reference("books", **parameters))
    assert is_instance(clone, Reference)
    assert (clone.label, clone.number, clone.me[0] is clone) == ("books", 0, True)
    clone.label = "changed"
    assert not hasattr(clone._get_obj(), "label")


def test_own_state() -> None:
    """What a subclass says of the state in its pickle counts, and so does what it does with it."""
    clone = travelled(Locked([1, 2]))
    assert is_instance(clone, Locked)
    assert (clone.label, clone, hasattr(clone, "lock")) == ("my state", [1, 2], False)
