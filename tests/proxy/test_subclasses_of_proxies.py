"""Subclasses of `Proxy`: their own methods, properties and constructors, and the seams that they override."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from helpers_proxy import Conn, Keep, Scope, all_back, in_thread, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp


class Reference(ppp.Proxy[Any]):
    """A subclass in the manner of programs: its own constructor, attributes, methods and properties."""

    calls = 0

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        super().__init__(set_name="configure", **parameters)

    def describe(self) -> str:
        """Use the subclass's attribute and the object's."""
        self.calls += 1
        return f"{self.label}: {self.x}"

    @classmethod
    def named(cls, label: str) -> Reference:
        """Build one."""
        return cls(label)

    def __html__(self) -> str:
        return f"<b>{self.label}</b>"


class Deeper(Reference):
    """A subclass of the subclass, with special methods of its own."""

    def __len__(self) -> int:
        return 42

    def __str__(self) -> str:
        return f"deeper {self.label}"

    def describe(self) -> str:
        """Extend the inherited method."""
        return super().describe() + "!"


def test_methods() -> None:
    """Methods of a subclass, inherited and special ones too, are its own, everything else the object's."""
    thing = SimpleNamespace(x=1, other=2)
    proxy: Any = Deeper("books", obj=thing)
    assert (proxy.describe(), proxy.calls, len(proxy), str(proxy)) == ("books: 1!", 1, 42, "deeper books")
    assert (proxy.other, vars(thing)) == (2, {"x": 1, "other": 2})
    assert isinstance(Deeper.named("empty"), Deeper)
    for kind in (proxy, Reference("books"), Reference("books", fun=list, max_size=None)):
        assert kind.__html__() == "<b>books</b>"
    assert not hasattr(ppp.Proxy(thing), "__html__")


@pytest.mark.parametrize("first", [True, False])
def test_mixins(first: bool) -> None:
    """What a subclass inherits from elsewhere is the proxy's own, too."""

    class Mix:
        label = "none"

        def hello(self) -> str:
            return f"hello from {self.label}"

    bases = (Mix, ppp.Proxy) if first else (ppp.Proxy, Mix)
    kind: Any = type("Mixed", bases, {})
    thing = SimpleNamespace(label="the thing's", size=3)
    proxy = kind(thing)
    proxy.label = "mine"
    assert (proxy.hello(), proxy.size, thing.label) == ("hello from mine", 3, "the thing's")
    assert kind().hello() == "hello from none"


def test_constructors_of_several_bases() -> None:
    """Each constructor of a diamond runs, once, in Python's own order; also one that is patched later."""
    ran: list[str] = []

    class Base(ppp.Proxy[Any]):
        def __init__(self, **kwargs: Any) -> None:
            ran.append("Base")
            super().__init__(**kwargs)

    class Logging(Base):
        """It has none of its own."""

    class Caching(Base):
        def __init__(self, **kwargs: Any) -> None:
            ran.append("Caching")
            self.cache: dict[str, int] = {}
            super().__init__(**kwargs)

    class Both(Logging, Caching):
        """It has none of its own, either."""

    assert Both(obj="text").cache == {}
    assert ran == ["Caching", "Base"]
    with mock.patch.object(Base, "__init__", return_value=None) as patched:
        Logging()
    assert patched.call_count == 1


def test_own_setattr() -> None:
    """A subclass's `__setattr__` sees each assignment, and passes it on by the proxy's own rule."""
    noted: list[str] = []

    class Noting(ppp.Proxy[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.mine = 1

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_"):
                noted.append(name)
            super().__setattr__(name, value)

    thing = SimpleNamespace(x=1, mine="object's")
    proxy: Any = Noting(thing)
    proxy.x = 3
    proxy.extra = 4
    assert noted == ["mine", "x", "extra"]
    assert vars(thing) == {"x": 3, "mine": "object's"}
    assert (proxy.mine, proxy.extra) == (1, 4)


def test_cached_properties() -> None:
    """A cached property keeps its value in the proxy, once for each, also one of a mixin."""

    class Mixin:
        @functools.cached_property
        def token(self) -> object:
            return object()

    class Parent(ppp.Proxy[Any]):
        @functools.cached_property
        def helper(self) -> list[str]:
            """Help."""
            return ["parent"]

    class Child(Mixin, Parent):
        @functools.cached_property
        def helper(self) -> list[str]:
            return [*super().helper, "child"]

    thing = SimpleNamespace()
    one, two = Child(thing), Child(thing)
    for name in ("helper", "token"):
        assert getattr(one, name) is getattr(one, name) is not getattr(two, name)
        before = getattr(one, name)
        delattr(one, name)
        assert getattr(one, name) is not before
    assert (one.helper, vars(thing)) == (["parent", "child"], {})
    assert inspect.getdoc(Parent.helper) == "Help."


def test_each_access_goes_through_get_obj(keep: Keep) -> None:
    """Each access of a subclass that overrides `_get_obj` goes through it, and uses what that gives."""

    class Choosing(ppp.Proxy[Any]):
        asked = False
        chosen: Any = None

        def _get_obj(self, timeout: float | None = None) -> Any:
            self.asked = True
            return self.chosen or super()._get_obj(timeout)

    accesses: list[Callable[[Any], Any]] = [
        lambda p: p.count,
        len,
        lambda p: p[0],
        lambda p: p == "",
        lambda p: "t" in p,
        lambda p: p * 2,
        str,
    ]
    for proxy in (Choosing([1]), Choosing(fun=str, max_size=None), keep(Choosing(fun=str, max_size=1))):
        proxy._get_obj()
        proxy.chosen = "text"
        for access in accesses:
            proxy.asked = False
            assert access(proxy) == access("text")
            assert proxy.asked


def test_getattr_is_asked_for_the_object_s_attributes() -> None:
    """An overridden `__getattr__` is asked for each attribute that is not the proxy's own."""
    seen: list[str] = []

    class Looking(ppp.Proxy[Any]):
        def __getattr__(self, item: str) -> Any:
            seen.append(item)
            return super().__getattr__(item)

    proxy: Any = Looking([1])
    assert proxy.count(1) == 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = proxy.nothing
    assert seen == ["count", "nothing"]


def test_ret_obj_and_setters_are_extended(keep: Keep) -> None:
    """A subclass may extend `_ret_obj`, writing to the proxy inside it, and have its own `set_fun`."""

    class Counting(ppp.Proxy[Any]):
        returned = 0

        def _ret_obj(self) -> None:
            self.returned += 1
            super()._ret_obj()

        def set_fun(self, fun: Any) -> Any:
            return self._set_fun(lambda number: ("loud", fun(number)))

    proxy = keep(Counting(max_size=1))
    proxy.set_fun(str)
    assert proxy == ("loud", "0")
    proxy._ret_obj()
    with proxy._obj():
        pass
    assert proxy.returned == 2
    assert all_back(proxy)


def test_patched_on_one_proxy() -> None:
    """A test may replace a method of one proxy for a while: it is called by its name, and comes back."""
    proxy: Any = ppp.Proxy()
    for name, arguments in (("_get_obj", ()), ("set_obj", (3,))):
        with mock.patch.object(proxy, name, return_value="fake") as patched:
            assert getattr(proxy, name)(*arguments) == "fake"
        patched.assert_called_once_with(*arguments)
    assert repr(proxy) == "<Proxy unset>"
    assert proxy.set_obj([1])._get_obj() == [1]
