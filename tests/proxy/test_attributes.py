"""Attributes: which are the object's and which the proxy's, to read, assign and delete."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Spawn, Stop, wait_for
from helpers_proxy import Conn, Keep, Scope, drawn, held_elsewhere, in_thread, keep_fixture, of_each_kind  # noqa: F401

import ProxyPatternPool as ppp

OWN = """
    _set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj
    _nobjs _pool _fun _scope _local _pool_max_size _pool_kwargs
""".split()
"""The proxy's underscore names in the contract."""


def test_attributes_are_the_object_s() -> None:
    """All that is not the proxy's own is read from the object, underscore names included."""
    names = ("x", "_conn", "_id", "_lock", "_closed", "__version__", "mro")
    for proxy in of_each_kind(SimpleNamespace(**dict.fromkeys(names, "object's"))):
        assert [getattr(proxy, name) for name in names] == ["object's"] * len(names)
        with pytest.raises(AttributeError, match=r"SimpleNamespace.*'y'"):
            _ = proxy.y


def test_own_names_stay_the_proxy_s() -> None:
    """The contract's names are the proxy's, even where the object has attributes of the same names."""
    own = [*OWN, "set", "set_obj", "set_fun"]
    proxy: Any = ppp.Proxy(SimpleNamespace(**dict.fromkeys(own, "object's")))
    assert [name for name in own if getattr(proxy, name) == "object's"] == []


def test_attribute_errors_inside_the_object_come_out() -> None:
    """An `AttributeError` raised inside a property or a method of the object comes out unchanged."""

    class Broken:
        @property
        def inner(self) -> Any:
            return self.absent  # type: ignore[attr-defined]

        def method(self) -> Any:
            return self.inner

    for proxy in of_each_kind(Broken()):
        with pytest.raises(AttributeError, match="'absent'"):
            _ = proxy.inner
        with pytest.raises(AttributeError, match="'absent'"):
            proxy.method()


def test_object_s_attributes_are_assigned_and_deleted() -> None:
    """What the object has is changed and deleted there, whatever the proxy stands for."""
    thing = SimpleNamespace()
    for proxy in drawn(thing):
        thing.x, thing._y = 1, 2
        proxy.x, proxy._y = 3, 4
        proxy.x += 1
        assert vars(thing) == {"x": 4, "_y": 4}
        del proxy.x
        delattr(proxy, "_y")
        assert vars(thing) == {}
        with pytest.raises(AttributeError, match="x"):
            del proxy.x


def test_properties_and_slots() -> None:
    """Properties, slots and class attributes are the object's; what it refuses raises its own error."""

    class Account:
        __slots__ = ("cents",)
        bank = "any"

        @property
        def euros(self) -> float:
            return float(self.cents / 100)

        @euros.setter
        def euros(self, value: float) -> None:
            if value < 0:
                raise ValueError("no debts")
            self.cents = round(value * 100)

    account = Account()
    for proxy in drawn(account):
        proxy.euros = 1.5
        assert (account.cents, proxy.cents) == (150, 150)
        with pytest.raises(ValueError, match="no debts"):
            proxy.euros = -1
        with pytest.raises(AttributeError):
            proxy.bank = "another"
        with pytest.raises(AttributeError):
            del proxy.euros
        assert (proxy.bank, proxy.euros) == ("any", 1.5)
        del proxy.cents
        assert not hasattr(account, "cents")


def test_proxy_keeps_what_the_object_has_not() -> None:
    """What the object lacks is kept by the proxy, in every thread, also when the object gets it later."""
    for number in range(3):
        thing = SimpleNamespace(x=1)
        proxy = drawn(thing)[number]
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


def test_unset_proxy_keeps_everything() -> None:
    """An unset proxy keeps what is assigned, and it stays its own when it is set."""
    proxy: Any = ppp.Proxy()
    proxy.app = "app"
    assert (proxy.app, repr(proxy)) == ("app", "<Proxy unset>")
    with pytest.raises(AttributeError):
        del proxy.never
    thing = SimpleNamespace(app="object's")
    proxy.set(thing)
    proxy.app = "other"
    assert (proxy.app, thing.app) == ("other", "object's")


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

    @property
    def asked(self) -> int:
        """Note the question."""
        self.log.append("asked")
        return 1

    @asked.setter
    def asked(self, value: int) -> None:
        self.log.append(f"asked {value}")


def test_no_object_is_drawn_to_find_out(keep: Keep) -> None:
    """A name that the pool's object lacks is kept by the proxy, without drawing one or running code of it."""
    proxy = keep(ppp.Proxy(fun=Watched, max_size=1, timeout=0))
    (made,) = proxy._pool._avail
    proxy.extra = 5
    assert (proxy.extra, proxy._has_obj()) == (5, False)
    assert proxy._pool.stats()["nuses"] == 0
    del proxy.extra
    with pytest.raises(AttributeError):
        del proxy.other
    with held_elsewhere(proxy):
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
    assert (proxy._has_obj(), made.log) == (True, ["asked 3"])


def test_nothing_is_made_to_find_out(keep: Keep) -> None:
    """Where no object was made yet, none is made: the proxy keeps what is assigned."""
    for proxy in (
        keep(ppp.Proxy(fun=lambda number: Watched(number), max_size=1, min_size=0)),
        ppp.Proxy(fun=lambda number: Watched(number), max_size=None),
        ppp.Proxy(fun=lambda number: Watched(number), scope=Scope.SHARED),
    ):
        proxy.known = 5
        with pytest.raises(AttributeError):
            del proxy.number
        assert (proxy.known, proxy._nobjs, proxy._has_obj()) == (5, 0, False)


class Reference(ppp.Proxy[Any]):
    """Declares names in its body and its constructor, and assigns others in a method."""

    label = "none"
    annotated: int

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        self.number = "before"
        super().__init__(**parameters)
        self.size = "after"
        self._assign()

    def _assign(self) -> None:
        self.name = "within"

    @property
    def shout(self) -> str:
        """Be computed from the subclass's attribute."""
        return self.label.upper()

    @shout.setter
    def shout(self, value: str) -> None:
        self.label = value.lower()


def test_names_of_a_subclass_are_its_own(keep: Keep) -> None:
    """What a subclass declares, annotates or assigns in its `__init__` is its own, and no other proxy's."""
    names = ("label", "number", "size", "name", "annotated")
    thing = SimpleNamespace(x=1, shout="object's", **dict.fromkeys(names, "object's"))
    before = dict(vars(thing))
    proxy: Any = Reference("books", obj=thing)
    proxy.annotated = 5
    assert [getattr(proxy, name) for name in names] == ["books", "before", "after", "within", 5]
    for name in names:
        setattr(proxy, name, "changed")
    proxy.shout = "SHELF"
    assert (proxy.label, proxy.shout, vars(thing)) == ("shelf", "SHELF", before)
    del proxy.label
    assert proxy.label == "none"
    plain: Any = ppp.Proxy(thing)
    assert [getattr(plain, name) for name in names] == ["object's"] * len(names)
    pooled = keep(Reference("books", fun=Conn, max_size=1))
    assert (pooled.number, pooled.size, pooled._has_obj()) == ("before", "after", False)


def test_two_threads_construct(spawn: Spawn) -> None:
    """What one thread assigns is the object's, though another thread is in a constructor."""
    stop = Stop()

    class Slow(ppp.Proxy[Any]):
        def __init__(self, thing: Any) -> None:
            super().__init__(thing)
            stop()
            self.x = "mine"

    thing, other = SimpleNamespace(x=1), SimpleNamespace(x=1)
    building = spawn(Slow, thing)
    wait_for(stop.reached)
    plain: Any = ppp.Proxy(other)
    plain.x = 2
    stop.go.set()
    assert (building.result().x, thing.x, other.x) == ("mine", 1, 2)
