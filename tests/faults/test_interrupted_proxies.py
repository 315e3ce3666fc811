"""Proxies interrupted at each point, and by their hooks: no object is in two hands, and none is lost."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Factory, Resource, Spawn
from helpers_faults import Visit, check_balance, each_point, interruptible, owns_lock

import ProxyPatternPool as ppp

pytestmark = [pytest.mark.untraced, *interruptible]

SCOPES = ["THREAD", "VERSATILE"]


MakeProxy = Callable[..., Any]


@pytest.fixture
def make_proxy(factory: Factory) -> Iterator[MakeProxy]:
    """Give a maker of proxies of resources, in some scope, whose pools are shut down when the test ends."""
    made: list[ppp.Proxy[Any]] = []

    def make(scope: str = "THREAD", **parameters: Any) -> Any:
        given = {"fun": factory, "max_size": 2, "min_size": 0, "closer": Resource.close, **parameters}
        made.append(ppp.Proxy[Any](scope=ppp.Proxy.Scope[scope], **given))
        return made[-1]

    yield make
    for proxy in made:
        if proxy._pool is not None:
            proxy._pool.shutdown()


def block(proxy: Any) -> None:
    with proxy._obj(timeout=1.0):
        pass


def nested(proxy: Any) -> None:
    with proxy._obj(timeout=1.0), proxy._obj():
        pass


def draw(proxy: Any) -> None:
    proxy._get_obj(timeout=1.0)


def found(proxy: Any) -> None:
    draw(proxy)
    block(proxy)


def give_back(proxy: Any) -> None:
    draw(proxy)
    proxy._ret_obj()


def invalidate(proxy: Any) -> None:
    draw(proxy)
    proxy._invalidate_obj()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("work", [draw, give_back, invalidate, block, nested, found])
@pytest.mark.parametrize(
    "parameters", [{}, {"getter": Resource.lend, "retter": Resource.take_back, "max_use": 1}]
)
def test_proxy_interrupted_at_each_point(
    make_proxy: MakeProxy,
    factory: Factory,
    scope: str,
    work: Callable[[Any], None],
    parameters: dict[str, Any],
) -> None:
    """A proxy's draw, return or block, interrupted at whichever point, loses nothing.

    An object that is still the thread's goes back with its next block.
    """

    def run(visit: Visit) -> None:
        proxy = make_proxy(scope, **parameters)
        give_back(proxy)
        visit(lambda: work(proxy))
        pool = proxy._pool
        assert not owns_lock(pool)
        if proxy._has_obj():
            assert list(pool._using) == [proxy._get_obj()]
            block(proxy)
        assert not proxy._has_obj()
        check_balance(pool, factory)
        pool.shutdown()
        assert factory.alive == []

    each_point(run)


@pytest.mark.parametrize(
    ("scope", "parameters"),
    [("THREAD", {"max_size": None}), ("VERSATILE", {"max_size": None}), ("SHARED", {})],
)
def test_interrupted_draw_without_a_pool(
    make_proxy: MakeProxy, spawn: Spawn, scope: str, parameters: dict[str, Any]
) -> None:
    """Without a pool, an interrupted draw leaves a proxy that draws again, a shared one in any thread."""

    def run(visit: Visit) -> None:
        proxy = make_proxy(scope, fun=lambda number: [number], **parameters)
        visit(lambda: draw(proxy))
        drawn = spawn(proxy._get_obj).result()
        assert (drawn is proxy._get_obj() is proxy._get_obj()) is (scope == "SHARED")
        assert proxy._nobjs <= 3

    each_point(run, least=2)


def test_interrupted_set_fun(make_proxy: MakeProxy, factory: Factory) -> None:
    """An interrupted `_set_fun` leaves the proxy as it was, or set anew; no object is left open."""
    other = Factory()

    def run(visit: Visit) -> None:
        proxy = make_proxy(min_size=1)
        give_back(proxy)
        former = proxy._pool
        visit(lambda: proxy._set_fun(other))
        resource = proxy._get_obj(timeout=1.0)
        assert resource.alive
        assert resource.factory is (factory if proxy._pool is former else other)
        proxy._ret_obj()
        proxy._set_obj(None)
        if former._shutdown:
            former.shutdown()  # a second one finishes what an interruption has left
        del former
        if factory.alive or other.alive:
            gc.collect()
        assert factory.alive == other.alive == []

    each_point(run)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["make", "open", "lend", "take_back", "reset", "close"])
def test_interrupted_hook_of_a_proxy(
    make_proxy: MakeProxy, factory: Factory, scope: str, where: str, error: type[BaseException]
) -> None:
    """A draw or return that a hook interrupts leaves no object with the thread that others may be lent."""
    proxy = make_proxy(
        scope,
        max_size=1,
        max_use=1,
        opener=Resource.open,
        getter=Resource.lend,
        retter=Resource.take_back,
        reset=Resource.reset,
    )
    for work in (block, give_back, block):
        factory.fails[where] = error()
        with pytest.raises(error):
            work(proxy)
        factory.fails.clear()
        assert not proxy._has_obj()
        check_balance(proxy._pool, factory)
