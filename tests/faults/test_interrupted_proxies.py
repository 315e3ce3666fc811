"""Proxies interrupted, or used by signal handlers, at each point: nothing is lost nor in two hands."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import helpers_faults as faults
import pytest
from conftest import Spawn

import ProxyPatternPool as ppp

pytestmark = faults.interruptible
account = faults.account


def make(account: faults.Account, scope: str = "THREAD", **parameters: Any) -> Any:
    """Build a proxy of things."""
    given = {"fun": account.fun, "max_size": 2, "min_size": 0, "closer": account.closer, **parameters}
    return ppp.Proxy[Any](scope=ppp.Proxy.Scope[scope], **given)


def block(proxy: Any) -> bool:
    with proxy._obj(timeout=faults.PATIENCE) as thing:
        return thing in proxy._pool._using


def nested(proxy: Any) -> None:
    with proxy._obj(timeout=faults.PATIENCE), proxy._obj():
        pass


def draw(proxy: Any) -> None:
    proxy._get_obj(timeout=faults.PATIENCE)


def found(proxy: Any) -> bool:
    draw(proxy)
    return block(proxy)


def give_back(proxy: Any) -> None:
    draw(proxy)
    proxy._ret_obj()


def invalidate(proxy: Any) -> None:
    draw(proxy)
    proxy._invalidate_obj()


def turn_over(proxy: Any) -> None:
    proxy._ret_obj()
    draw(proxy)


WORKS: list[Callable[[Any], object]] = [draw, give_back, invalidate, block, nested, found]
GUESTS: dict[str, Callable[[Any], object]] = {
    "block": block,
    "draw": draw,
    "return": lambda proxy: proxy._ret_obj(),
    "turn over": turn_over,
    "invalidate": lambda proxy: proxy._invalidate_obj(),
    "set anew": lambda proxy: proxy._set_fun(proxy._fun),
}


@faults.by_both
@pytest.mark.parametrize("scope", ["THREAD", "VERSATILE"])
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize(
    "parameters", [{}, {"getter": abs, "retter": abs, "max_use": 1}], ids=["bare", "hooks"]
)
def test_interrupted_proxy(
    account: faults.Account,
    scope: str,
    work: Callable[[Any], object],
    parameters: dict[str, Any],
    strikes: faults.Strikes,
) -> None:
    """A proxy's draw, return or block, interrupted at whichever moment, loses nothing.

    An object that is still the thread's goes back with its next block.
    """

    def scenario(strike: faults.Strike) -> None:
        proxy = make(account, scope, **parameters)
        give_back(proxy)
        strike(lambda: work(proxy))
        if proxy._has_obj():
            assert list(proxy._pool._using) == [proxy._get_obj()]
            block(proxy)
        assert not proxy._has_obj()
        faults.check_usable(proxy._pool, account)

    strikes(scenario)


@pytest.mark.parametrize(
    ("guest", "scope"), [*((guest, "THREAD") for guest in GUESTS), ("turn over", "VERSATILE")]
)
@pytest.mark.parametrize("work", WORKS)
def test_guest_of_a_proxy_at_each_point(
    account: faults.Account, work: Callable[[Any], object], guest: str, scope: str
) -> None:
    """Whatever a signal handler does to a proxy, in whatever draw, block or return, nothing is lost."""

    def scenario(visit: faults.Visit) -> None:
        proxy = make(account, scope)
        give_back(proxy)
        former = proxy._pool
        visit.deed = lambda: GUESTS[guest](proxy)
        held: list[object] = []
        visit(lambda: held.append(work(proxy)))
        assert held != [False] or guest not in ("block", "draw"), "not lent"
        if former is not proxy._pool and work not in (block, nested):
            former.shutdown()  # what no block holds stays lent
        assert not proxy._has_obj() or proxy._get_obj() in proxy._pool._using, "current, though idle"
        proxy._ret_obj()
        assert not proxy._has_obj()
        faults.check_usable(proxy._pool, account)

    faults.each_point(scenario)


@faults.since_311
@pytest.mark.parametrize("scope", ["THREAD", "VERSATILE", "SHARED"])
def test_interrupted_draw_without_a_pool(account: faults.Account, spawn: Spawn, scope: str) -> None:
    """Without a pool, an interrupted draw leaves a proxy that draws again, a shared one in any thread."""

    def scenario(visit: faults.Visit) -> None:
        proxy = make(account, scope, fun=lambda number: [number], max_size=None)
        visit(proxy._get_obj)
        drawn = spawn(proxy._get_obj).result()
        assert (drawn is proxy._get_obj() is proxy._get_obj()) is (scope == "SHARED")
        assert proxy._nobjs <= 3

    faults.each_point(scenario)


@faults.since_311
@pytest.mark.parametrize("before", ["nothing", "object", "function"])
@pytest.mark.parametrize("after", ["object", "function"])
def test_interrupted_setting(account: faults.Account, before: str, after: str) -> None:
    """A proxy whose setting is interrupted is as it was, or set anew, in all respects; nothing stays open."""
    starts: dict[str, dict[str, Any]] = {"object": {"obj": "old"}, "function": {"fun": account.fun}}
    start = starts.get(before, {})

    def scenario(visit: faults.Visit) -> None:
        proxy: Any = ppp.Proxy(max_size=2, min_size=2, closer=account.closer, **start)
        former = proxy._pool
        if former is not None:
            give_back(proxy)
        given = {"obj": ["new"]} if after == "object" else {"fun": account.fun}
        visit(lambda: proxy._set(**given))
        try:
            thing = proxy._get_obj(timeout=1.0)
        except ppp.ProxyUnset:
            assert (before, str(proxy)) == ("nothing", "<Proxy unset>")
        else:
            assert isinstance(thing, faults.Thing) or thing in ("old", ["new"])
            assert hasattr(type(proxy), "__len__") is hasattr(type(thing), "__len__")
            assert (proxy._pool is None) is not isinstance(thing, faults.Thing)
            assert proxy._pool is None or list(proxy._pool._using) == [thing]
            assert former is None or former._shutdown is not (proxy._pool is former)
            proxy._ret_obj()
        proxy._set_obj(None)
        if account.alive:
            del former
            gc.collect()
        assert account.alive == []

    faults.each_point(scenario)
