"""A proxy is what its object is: it has the special methods of its object's class, and no others."""

from __future__ import annotations

import collections.abc as abc
import contextlib
import io
import typing
from typing import Any

import pytest
from conftest import Keep
from helpers_proxy import Conn, Scope, drawn, in_thread, is_instance, ticks

import ProxyPatternPool as ppp

KINDS: list[Any] = [
    *(getattr(abc, name) for name in abc.__all__ if name not in ("ByteString", "Buffer")),
    *(getattr(typing, f"Supports{name}") for name in "Int Float Index Abs".split()),
    *(contextlib.AbstractContextManager, contextlib.AbstractAsyncContextManager),
]
SPECIAL = """
    __call__ __len__ __iter__ __next__ __contains__ __reversed__ __getitem__ __setitem__ __delitem__ __aiter__
    __anext__ __enter__ __exit__ __aenter__ __aexit__ __int__ __float__ __index__ __complex__ __abs__ __neg__
    __invert__ __round__ __bytes__ __instancecheck__ __subclasscheck__
""".split()


class Slotted:
    """Has slots, and one special method."""

    __slots__ = ("value",)

    def __call__(self) -> str:
        return "called"


THINGS: list[Any] = [
    *(object(), 5, "text", [1], {"answer": 42}, {1}, iter([1]), (x for x in [1]), len, dict),
    *(io.StringIO(), Conn(), Slotted(), ticks(), contextlib.AsyncExitStack()),
]


def special(kind: type[Any]) -> set[str]:
    """Give the special methods of a class."""
    return {name for name in SPECIAL for base in kind.__mro__ if vars(base).get(name) is not None}


@pytest.mark.parametrize("obj", THINGS, ids=lambda thing: type(thing).__name__)
def test_answers_as_its_object(obj: Any) -> None:
    """`callable`, and `isinstance` of the abstract classes, answer as for the object, once there is one."""
    subscripts = {"__getitem__"} if obj is dict else set()  # `dict[int]` is no special method of `type`
    for proxy in [*drawn(obj), ppp.Proxy(ppp.Proxy(obj))]:
        assert callable(proxy) == callable(obj)
        assert [kind for kind in KINDS if is_instance(proxy, kind) != is_instance(obj, kind)] == []
        assert is_instance(proxy, ppp.Proxy)
        assert is_instance(proxy, type(obj))
        assert proxy.__class__ is type(obj)
        assert special(type(proxy)) == special(type(obj)) | subscripts


def test_as_it_is_set() -> None:
    """A proxy is what its object is now; before its first object it has all special methods of any object."""
    proxy: Any = ppp.Proxy(max_size=None)
    assert special(type(proxy)) == set(SPECIAL)
    for thing in ([1], Slotted(), None, 5):
        proxy._set_obj(thing)
        assert special(type(proxy)) == (set(SPECIAL) if thing is None else special(type(thing)))
    proxy.set(fun=lambda number: [number])
    assert (special(type(proxy)), proxy._has_obj()) == (set(SPECIAL), False)


@pytest.mark.parametrize("parameters", [{"min_size": 0}, {"max_size": None}, {"scope": Scope.SHARED}])
def test_function_that_is_a_class(keep: Keep, parameters: dict[str, Any]) -> None:
    """If `fun` is a class, what its objects are is known at once; what it gives then is believed."""
    proxy = keep(ppp.Proxy(fun=Conn, **parameters))
    assert (callable(proxy), is_instance(proxy, abc.Iterable)) == (False, False)
    assert (proxy._has_obj(), proxy._nobjs) == (False, 0)

    class Odd:
        def __new__(cls, number: int) -> Any:
            return [number]

    odd = keep(ppp.Proxy(fun=Odd, **parameters))
    assert (odd._get_obj(), special(type(odd)) >= special(list)) == ([0], True)


def test_classes_known_so_far(keep: Keep) -> None:
    """In each thread it has the special methods of all classes so far; what its object lacks is an error."""
    proxy = keep(ppp.Proxy(fun=lambda number: [1, 2] if number == 1 else Slotted(), max_size=3, min_size=0))
    assert in_thread(lambda: proxy()) == "called"
    assert (proxy._has_obj(), callable(proxy), is_instance(proxy, abc.Sized)) == (False, True, False)
    assert in_thread(lambda: (proxy._get_obj(), len(proxy))) == ([1, 2], 2)
    assert proxy() == "called"
    with pytest.raises(TypeError):
        len(proxy)
    with pytest.raises(TypeError), proxy:
        pytest.fail("there is nothing to enter")


def test_classes_are_shared() -> None:
    """Proxies of the same kind share a class: many proxies make few classes."""
    assert len({type(ppp.Proxy([number])) for number in range(50)}) == 1


# subclasses


class Registered(ppp.Proxy[Any]):
    """Notes its subclasses, which need a keyword."""

    keys: typing.ClassVar[list[str]] = []

    def __init_subclass__(cls, *, key: str) -> None:
        Registered.keys.append(key)


class Abstract(Registered, abc.Sized, key="abstract"):
    """Declares slots, inherits from an abstract class, and has its own `__new__`."""

    __slots__ = ("label", "note")

    def __new__(cls, obj: Any, label: str = "label") -> Abstract:
        self: Any = super().__new__(cls)
        self.label = label
        return self  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return 42


class Upper(ppp.Proxy[Any]):
    """Extends special methods by `super()`."""

    def __call__(self, *args: Any) -> Any:
        return [super().__call__(*args)]

    def __str__(self) -> str:
        return f"<{super().__str__()}>"

    def __len__(self) -> int:
        return super().__len__() + 100  # type: ignore[no-any-return]

    def __iadd__(self, other: object) -> Any:
        return f"own {other}"


@pytest.mark.parametrize("kind", [Registered, Abstract])
def test_subclass_of_any_kind(kind: Any) -> None:
    """Slots, abstract classes and an own `__new__` go with it: the shape is the object's."""
    for thing in ([1], Slotted(), 5):
        proxy = kind(thing)
        assert proxy._get_obj() is thing
        assert callable(proxy) == callable(thing)
        assert is_instance(proxy, abc.Iterable) == is_instance(thing, abc.Iterable)
        assert is_instance(proxy, kind)
        assert type(proxy).__mro__.count(kind) == 1
        if kind is Abstract:
            proxy.note = "mine"
            assert (len(proxy), proxy.label, proxy.note) == (42, "label", "mine")
    assert not is_instance(ppp.Proxy([1]), kind)
    assert Registered.keys == ["abstract"]  # `__init_subclass__` does not see the classes made for proxies


def test_own_special_methods() -> None:
    """A subclass's special methods are its own, and use the object's by `super()`."""
    proxy = Upper(lambda *args: args)
    assert (proxy(1), callable(proxy)) == ([(1,)], True)
    assert (len(Upper([1])), str(Upper([1]))) == (101, "<[1]>")
    own: Any = Upper(5)
    assert [callable(each) for each in (own, Upper(), Upper(fun=abs, max_size=None))] == [True] * 3
    for attempt in (len, Upper.__call__):
        with pytest.raises((TypeError, AttributeError)):
            attempt(own)
    own += 1
    assert own == "own 1"
