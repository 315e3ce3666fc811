"""Proxies in a forked child: it has objects of its own, and leaves the parent's alone."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from conftest import Keep
from helpers import Gate, eventually
from helpers_faults import in_child
from helpers_proxy import SCOPES, Scope

import ProxyPatternPool as ppp

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def make(number: int) -> list[int]:
    """Make an object that knows its process."""
    return [os.getpid(), number]


def test_child_starts_without_objects(keep: Keep) -> None:
    """A forked child's proxies start without object, also inside blocks, but for one given its object."""
    returned, closed = list[Any](), list[Any]()
    hooks: dict[str, Any] = {"timeout": 0, "closer": closed.append, "retter": returned.append}
    pooled = [
        keep(ppp.Proxy(fun=make, scope=scope, max_size=1, reclaim=scope is Scope.WERKZEUG, **hooks))
        for scope in SCOPES
    ]
    alone = [ppp.Proxy(fun=make, max_size=None, scope=scope) for scope in (Scope.THREAD, Scope.SHARED)]
    own: list[Any] = [*pooled, *alone]
    given, unset = list[Any]([ppp.Proxy(["given"]), ppp.Proxy()])

    def child() -> bool:
        assert given._has_obj()
        assert (given, repr(unset)) == (["given"], "<Proxy unset>")
        for proxy in own:
            assert not proxy._has_obj(), proxy._scope
            assert proxy[0] == os.getpid(), proxy._scope
        assert closed == returned == []
        for proxy in pooled:
            with proxy._obj(), proxy._obj():
                assert proxy[0] == os.getpid()
            assert not proxy._has_obj()
        return True

    with pooled[0]._obj(), pooled[1]._obj():
        before = [proxy._get_obj() for proxy in own]
        assert in_child(child) == 0
    assert returned == before[1::-1]
    assert [proxy._get_obj() for proxy in own] == before


def test_child_reclaims_nothing(keep: Keep) -> None:
    """What a thread of the parent holds is not reclaimed in a forked child, where that thread is no more."""
    gate, returned = Gate(), list[Any]()
    proxy = keep(ppp.Proxy(fun=make, max_size=2, reclaim=True, retter=returned.append))
    with gate.holds(lambda: [proxy._get_obj(), gate()]):
        assert in_child(lambda: gc.collect() >= 0 and returned == []) == 0
    eventually(lambda: len(returned) == 1)
