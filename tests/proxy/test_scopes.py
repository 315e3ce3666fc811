"""Scopes: which object is whose, in threads, contexts, tasks and greenlets, and where it is kept."""

from __future__ import annotations

import contextvars
import sys
from typing import Any

import pytest
from conftest import Factory, Keep, Messages, Resource
from helpers import run_well
from helpers_proxy import SCOPES, Conn, Scope, all_back, in_thread, use
from werkzeug.local import release_local

import ProxyPatternPool as ppp

LOCALS = {"WERKZEUG": "werkzeug", "GEVENT": "gevent", "EVENTLET": "eventlet"}


@pytest.mark.parametrize("scope", LOCALS)
def test_scope_imports_its_package_only(scope: str) -> None:
    """A scope imports the package that it needs, if any, and not the others'."""
    program = """
    import sys
    import ProxyPatternPool as ppp
    assert ppp.Proxy(fun=lambda number: [number], scope=ppp.Proxy.Scope[sys.argv[1]], max_size=None) == [0]
    print(*{"werkzeug", "gevent", "eventlet"} & set(sys.modules))
    """
    assert set(run_well(program, scope).split()) <= {LOCALS[scope]}


def test_package_that_is_missing(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope whose package is missing is an `ImportError`, and what was made for it is closed."""
    monkeypatch.setitem(sys.modules, "eventlet", None)
    with pytest.raises(ImportError):
        ppp.Proxy(fun=factory, scope=Scope.EVENTLET, closer=Resource.close)
    assert factory.alive == []


@pytest.mark.parametrize("end", [ppp.Proxy._ret_obj, use])
@pytest.mark.parametrize("scope", SCOPES)
def test_local_changed_by_hand(keep: Keep, scope: Any, messages: Messages, end: Any) -> None:
    """An object put into `_local` is current until it is given back; one removed is not current."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=scope, max_size=3, timeout=0))
    proxy._local.obj = mine = proxy._pool.get()
    assert (proxy._has_obj(), proxy._get_obj()) == (True, mine)
    proxy._ret_obj()
    assert not hasattr(proxy._local, "obj")
    assert all_back(proxy)
    for forget in [release_local] * (scope is Scope.WERKZEUG) + [lambda local: delattr(local, "obj")]:
        assert proxy._get_obj() is proxy._local.obj
        forget(proxy._local)
        with pytest.raises(AttributeError):
            del proxy._local.obj
        assert not proxy._has_obj()
        assert proxy._get_obj() in proxy._pool._using
        proxy._ret_obj()
    proxy._local.obj = Conn(7)  # a foreign one
    assert (proxy.number, in_thread(lambda: proxy.number) < 7) == (7, True)
    assert messages() == []
    end(proxy)
    if proxy._has_obj():  # a block may leave it
        proxy._ret_obj()
    assert not proxy._has_obj()
    assert [text for text in messages() if "unexpected object returned" in text]


@pytest.mark.parametrize("scope", SCOPES)
def test_own_object_after_a_foreign_one(keep: Keep, scope: Any) -> None:
    """After an object of the program's own has taken the place of a drawn one, the next one is returned."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=scope, max_size=1, timeout=0))
    proxy._get_obj()
    proxy._local.obj = Conn(7)
    proxy._ret_obj()
    proxy._local.obj = proxy._pool.get()
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert all_back(proxy)


def test_fun_that_draws_and_copies_its_context(keep: Keep) -> None:
    """An object that `fun` has drawn, and that goes as the draw ends, is current in no copied context."""
    contexts = list[contextvars.Context]()

    def connect(number: int) -> Conn:
        if not proxy._has_obj() and not contexts:
            contexts.append(contextvars.Context())
            proxy._get_obj()
            contexts[0] = contextvars.copy_context()
        return Conn(number)

    proxy = keep(ppp.Proxy(fun=connect, scope=Scope.WERKZEUG, max_size=3, min_size=0))
    proxy._get_obj()
    assert not contexts[0].run(proxy._has_obj)


@pytest.mark.parametrize("first", ["parent", "copy"])
def test_contexts_that_shared_an_object(keep: Keep, first: str) -> None:
    """Whichever of two contexts gives a shared object back, the other one does not go on with it."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=Scope.WERKZEUG, max_size=3, timeout=0))
    parent = contextvars.Context()
    mine, copy = parent.run(lambda: (proxy._get_obj(), contextvars.copy_context()))
    assert copy.run(proxy._get_obj) is mine
    giver, keeper = (parent, copy) if first == "parent" else (copy, parent)
    in_thread(giver.run, proxy._ret_obj)
    assert contextvars.Context().run(proxy._get_obj) is mine
    assert keeper.run(proxy._get_obj) is not mine, "in two hands"
