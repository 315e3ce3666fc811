"""The rules of forwarding: operands, errors, classes, calls, and objects of the kinds that programs have."""

from __future__ import annotations

from typing import Any

import pytest
from helpers_proxy import Keep, drawn, in_place, is_instance, keep_fixture, of_each_kind  # noqa: F401

import ProxyPatternPool as ppp


class Shy:
    """Refuses every other operand."""

    def _refuse(self, other: object) -> Any:
        return NotImplemented

    __add__ = __radd__ = __iadd__ = __lt__ = __gt__ = __sub__ = __pow__ = _refuse


class Keen:
    """Takes every operand that others refuse."""

    def __radd__(self, other: object) -> str:
        return "taken"

    def __gt__(self, other: object) -> bool:
        return True


def test_operands_take_turns() -> None:
    """An operand that refuses gives the other one its turn, whichever of them is behind a proxy."""
    for shy in [Shy(), *of_each_kind(Shy())]:
        for keen in [Keen(), *of_each_kind(Keen())]:
            assert shy + keen == "taken"
            assert (shy < keen) is True
        for attempt in (lambda s: s + 1, lambda s: 1 + s, lambda s: s - 1, lambda s: pow(s, 2, 3)):
            with pytest.raises(TypeError):
                attempt(shy)


def test_proxies_on_both_sides() -> None:
    """Operators between two proxies are the operators between their objects, and give no proxy."""
    for seven in of_each_kind(7):
        for two in [2, *of_each_kind(2), ppp.Proxy(ppp.Proxy(2))]:
            assert (seven + two, seven - two, two - seven, seven**two) == (9, 5, -5, 49)
            assert (divmod(seven, two), divmod(two, seven), pow(seven, two, 5)) == ((3, 1), (0, 2), 4)
            assert (seven > two, seven < two, seven == two, two != seven) == (True, False, False, True)
            assert type(seven + two) is int
    for proxy in of_each_kind([1]):
        one = [1]
        assert proxy + proxy == proxy + one == one + proxy == 2 * proxy == [1, 1]
        assert proxy == one == proxy != [2]
        assert type(proxy + proxy) is list
    assert ppp.Proxy("a") in ppp.Proxy("abc")
    assert ppp.Proxy("%s-%s") % ppp.Proxy((1, 2)) == "1-2"


def test_operators_are_python_s_own() -> None:
    """Operators are forwarded as operators: what an instance happens to have by that name is not asked."""

    class Odd:
        def __len__(self) -> int:
            return 1

    odd = Odd()
    odd.__len__ = lambda: 5  # type: ignore[method-assign]
    for proxy in of_each_kind(odd):
        assert len(proxy) == len(odd) == 1


def test_key_of_a_dictionary() -> None:
    """A proxy finds what its object finds in a dictionary or a set, and the reverse."""
    for proxy in of_each_kind("key"):
        assert {"key": 1}[proxy] == {proxy: 1}["key"] == 1
        assert proxy in {"key"}


def test_proxied_class() -> None:
    """A proxied class is called, asked about instances and subclasses, written to and inherited from."""

    class Animal:
        legs = 4

        def __init__(self, name: str) -> None:
            self.name = name

        @classmethod
        def named(cls, name: str) -> Animal:
            return cls(name)

        def sound(self) -> str:
            return "growl"

        def speak(self) -> str:
            return f"{self.name}: {self.sound()}"

    for proxy in [*drawn(Animal), ppp.Proxy(ppp.Proxy(Animal))]:
        rex = proxy("Rex")
        assert type(rex) is Animal
        assert isinstance(rex, proxy)
        assert issubclass(Animal, proxy)
        assert not isinstance(1, proxy)
        assert (proxy.named("Tom").speak(), proxy.speak(rex)) == ("Tom: growl", "Rex: growl")
        assert (proxy.__name__, is_instance(proxy, type)) == ("Animal", True)

        class Dog(proxy):  # type: ignore[misc, valid-type]
            def sound(self) -> str:
                return "woof"

        assert Dog.__mro__[1] is Animal
        assert Dog("Rex").speak() == "Rex: woof"
        assert issubclass(Dog, proxy)
        proxy.legs += 1
    assert Animal.legs == 8
    error: Any = ppp.Proxy(LookupError)
    with pytest.raises(LookupError, match="lost"):
        raise error("lost")


def test_functions() -> None:
    """A proxied function is called with every kind of argument, however that is spelled; it has its names."""

    def function(a: int, /, b: int = 2, *args: int, self: int = 3, **kwargs: int) -> Any:
        """Be the function."""
        return a, b, args, self, kwargs

    for proxy in drawn(function):
        assert proxy(1) == proxy.__call__(1) == next(map(proxy, [1])) == (1, 2, (), 3, {})
        found = proxy(1, 2, 3, self=4, obj=5, proxy=6, args=7, name=8)
        assert found == (1, 2, (3,), 4, {"obj": 5, "proxy": 6, "args": 7, "name": 8})
        assert (proxy.__name__, proxy.__doc__) == ("function", "Be the function.")


def test_special_names_outside_the_table() -> None:
    """Special names that are no row of the table are the object's."""

    class Exotic:
        __array_priority__ = 5

        def __html__(self) -> str:
            return "<b>"

    for proxy in drawn(Exotic()):
        assert (proxy.__array_priority__, proxy.__html__()) == (5, "<b>")
        assert not hasattr(proxy, "__nothing__")


def test_proxy_of_a_proxy() -> None:
    """A proxy of a proxy: the outer's own names are the outer's, everything else the innermost object's."""
    inner: Any = ppp.Proxy([1])
    for outer in of_each_kind(inner):
        inner.set([1, 2])
        assert (outer[0], outer * 1, outer.count(1), len(outer), str(outer)) == (1, [1, 2], 1, 2, "[1, 2]")
        assert is_instance(outer, list)
        assert in_place(outer, [3]) is outer
        assert outer == inner == [1, 2, 3]
        assert outer._get_obj() is inner
        outer._ret_obj()
        assert inner._has_obj()
