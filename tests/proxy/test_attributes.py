"""Attributes: which are the object's and which the proxy's, to read, assign and delete."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Keep
from helpers_proxy import Scope, drawn, in_thread, of_each_kind

import ProxyPatternPool as ppp

OWN = """
    _set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj set set_obj set_fun
    _nobjs _pool _fun _scope _local _pool_max_size _pool_kwargs
""".split()
"""The proxy's names in the contract."""


def test_attributes_are_the_object_s() -> None:
    """All that is not the proxy's own is read from the object, underscore names included; the rest is not."""
    names = ["x", "_conn", "_id", "_lock", "_closed", "__version__", "mro"]
    for proxy in of_each_kind(SimpleNamespace(**dict.fromkeys(names + OWN, "object's"))):
        assert [name for name in names + OWN if getattr(proxy, name) == "object's"] == names
        with pytest.raises(AttributeError, match=r"SimpleNamespace.*'y'") as raised:
            _ = proxy.y
        assert raised.value.__context__ is None


class Account:
    """Has slots, a property and a fault."""

    __slots__ = ("_note", "cents")

    @property
    def euros(self) -> float:
        return float(self.cents / 100)

    @euros.setter
    def euros(self, value: float) -> None:
        if value < 0:
            raise ValueError("no debts")
        self.cents = round(value * 100)

    @property
    def broken(self) -> Any:
        return self.absent  # type: ignore[attr-defined]


def test_what_the_object_has_is_changed_there() -> None:
    """Properties and slots are assigned and deleted there; what the object refuses raises its own error."""
    account: Any = Account()
    for proxy in drawn(account):
        account._note = "old"
        proxy.euros, proxy._note = 1.5, "new"
        proxy.cents += 1
        assert (account.cents, proxy.cents, account._note) == (151, 151, "new")
        with pytest.raises(ValueError, match="no debts"):
            proxy.euros = -1
        with pytest.raises(AttributeError):
            proxy.broken = 1
        for name in ("cents", "_note"):
            delattr(proxy, name)
            assert not hasattr(account, name)
            with pytest.raises(AttributeError, match=name):
                delattr(proxy, name)
        with pytest.raises(AttributeError, match="'absent'"):  # not taken for a missing 'broken'
            _ = proxy.broken


def test_proxy_keeps_what_the_object_has_not() -> None:
    """What the object lacks is kept by the proxy, in every thread, also when the object gets it later."""
    thing = SimpleNamespace(x=1)
    for proxy in drawn(thing):
        proxy.extra, proxy._hidden = 5, 6
        assert in_thread(lambda proxy=proxy: (proxy.extra, proxy._hidden)) == (5, 6)
        assert vars(thing) == {"x": 1}
        thing.extra = "object's"
        proxy.extra = 7
        assert (proxy.extra, thing.extra) == (7, "object's")
        del proxy.extra, proxy._hidden
        assert (proxy.extra, hasattr(proxy, "_hidden")) == ("object's", False)
        with pytest.raises(AttributeError):
            del proxy._hidden
        del thing.extra


class Watched:
    """Notes what is run of it."""

    known = 1

    def __init__(self, number: int) -> None:
        self.log: list[str] = []
        self.number = number

    def __getattr__(self, name: str) -> int:
        self.log.append(f"getattr {name}")
        raise AttributeError(name)

    def __bool__(self) -> bool:
        self.log.append("bool")
        return False

    def _ask(self, *value: int) -> None:
        self.log.append(f"asked {value}")

    asked = property(_ask, _ask)


def test_no_object_is_drawn_to_find_out(keep: Keep) -> None:
    """A name that the pool's object lacks is kept by the proxy, without drawing one or running code of it."""
    proxy = keep(ppp.Proxy(fun=Watched, max_size=1, timeout=0))
    (made,) = proxy._pool._avail
    proxy.extra = 5
    assert (proxy.extra, proxy._has_obj(), proxy._pool.stats()["nuses"]) == (5, False, 0)
    with pytest.raises(AttributeError):
        del proxy.other
    proxy._pool.get()
    proxy.extra = 6
    with pytest.raises(ppp.TimeOut):
        proxy.known = 2
    assert (proxy.extra, proxy._has_obj(), made.log) == (6, False, [])


def test_object_is_drawn_for_a_name_that_it_has(keep: Keep) -> None:
    """A name that the pool's object has, found without running anything of it, is changed there."""
    proxy = keep(ppp.Proxy(fun=Watched, max_size=1, timeout=0))
    (made,) = proxy._pool._avail
    for name in ("known", "number"):
        setattr(proxy, name, "new")
        assert vars(made)[name] == "new"
        proxy._ret_obj()
        delattr(proxy, name)
        assert name not in vars(made)
        proxy._ret_obj()
    proxy.asked = 3
    assert (proxy._has_obj(), made.log) == (True, ["asked (3,)"])


@pytest.mark.parametrize("parameters", [{"min_size": 0}, {"max_size": None}, {"scope": Scope.SHARED}])
def test_nothing_is_made_to_find_out(keep: Keep, parameters: dict[str, Any]) -> None:
    """Where no object was made yet, none is made: the proxy keeps what is assigned."""
    proxy = keep(ppp.Proxy(fun=lambda number: Watched(number), **parameters))
    proxy.known = 5
    with pytest.raises(AttributeError):
        del proxy.number
    assert (proxy.known, proxy._nobjs, proxy._has_obj()) == (5, 0, False)


def test_two_threads_construct() -> None:
    """What one thread assigns is the object's, though another thread is in a constructor."""
    thing, other = SimpleNamespace(x=1), SimpleNamespace(x=1)
    plain: Any = ppp.Proxy(other)

    class Slow(ppp.Proxy[Any]):
        def __init__(self, thing: Any) -> None:
            super().__init__(thing)
            in_thread(setattr, plain, "x", 2)
            self.x = "mine"

    built: Any = Slow(thing)
    assert (built.x, thing.x, other.x) == ("mine", 1, 2)
