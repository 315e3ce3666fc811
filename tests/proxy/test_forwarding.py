"""Forwarding: every special method beside the object itself, the rules of operands, and kinds of objects."""

from __future__ import annotations

from typing import Any

import helpers_conformance
import pytest
from helpers_conformance import LEFT_OUT, LIMITS, MODES, REASONS, ROWS, Row, direct, through
from helpers_proxy import drawn, in_place, is_instance, of_each_kind

import ProxyPatternPool as ppp

NOT_DRAWING = """
repr(x) | f'{x!r}' | bool(x) | 'yes' if x else 'no' | dir(x) | isinstance(x, Thing) | x.__class__.__name__
vars(x) | x.__doc__ | (x.__name__, x.__qualname__) | (x.__bases__, x.__mro__) | issubclass(x, int)
match x: case Thing(a, b): r = a, b | class C(metaclass=x): pass; r = C.prepared | (x.__name__, x.__doc__)
x.x = 3; r = vars(x) | del x.x; r = vars(x) | x.colour = 3; r = x.log | del x.colour; r = x.log
str(inspect.signature(x))
"""
LOOKS = {code.strip() for line in NOT_DRAWING.splitlines() for code in line.split("|")}
"""Code that draws nothing: before there is an object it tells of the proxy, and changes that."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_same_through_the_proxy(row: Row, mode: str) -> None:
    """The result through the proxy is the object's own, also where this code is the first to need it."""
    expected = direct(row)
    assert through(row, mode) == expected
    if row.shown not in LOOKS:
        assert through(row, mode, drawn=False) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", [*LEFT_OUT, *LIMITS], ids=str)
def test_not_through_the_proxy(row: Row, mode: str) -> None:
    """What is left out on purpose is absent from the class, and what no proxy can satisfy fails."""
    assert through(row, mode) != direct(row)
    assert "Error" not in direct(row) or row.names == ("raise",)
    for kind in (ppp.Proxy, type(MODES[mode](row))):
        assert not any(name in vars(base) for name in row.names for base in kind.__mro__)


def test_every_special_method_has_its_row() -> None:
    """Each special name of the language reference is forwarded, left out with a reason, or neither."""
    named = {name for row in [*ROWS, *LEFT_OUT] for name in row.names} | set(helpers_conformance.NEVER)
    assert helpers_conformance.DATA_MODEL - named == set()
    assert set(REASONS) == {row.names[0] for row in [*LEFT_OUT, *LIMITS]}


def test_page_is_up_to_date() -> None:
    """The page of the docs shows what the code does; `python tests/helpers_conformance.py` writes it anew."""
    assert helpers_conformance.PAGE.read_text(encoding="utf-8") == helpers_conformance.render()


# rules


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
    one = [1]
    for proxy in of_each_kind(one):
        assert proxy + proxy == proxy + one == one + proxy == 2 * proxy == [1, 1]
        assert type(proxy + proxy) is list
    assert ppp.Proxy("a") in ppp.Proxy("abc")
    assert ppp.Proxy("%s-%s") % ppp.Proxy((1, 2)) == "1-2"


class Odd:
    """Has a method in the instance, an operator that gives another object, and special names of no table."""

    __array_priority__ = 5

    def __init__(self) -> None:
        self.__len__ = lambda: 5  # type: ignore[method-assign] # is not asked

    def __len__(self) -> int:
        return 1

    def __html__(self) -> str:
        return "<b>"

    def __iadd__(self, other: object) -> Odd:
        return Odd()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_special_methods_and_names() -> None:
    """Operators are looked up on the class, as Python does; special names of no table are the object's."""
    for proxy in drawn(Odd()):
        assert len(proxy) == 1
        assert (proxy.__array_priority__, proxy.__html__(), hasattr(proxy, "__nothing__")) == (
            5,
            "<b>",
            False,
        )


@pytest.mark.parametrize("other", [[2], ppp.Proxy([2]), ppp.Proxy(ppp.Proxy([2]))])
def test_object_that_changes_in_place(other: Any) -> None:
    """Where the object changed in place, the name stays the proxy, and everybody sees the change."""
    things = [1]
    for proxy in of_each_kind(things):
        things[:] = [1]
        name = proxy
        name += other
        name *= ppp.Proxy(2)
        assert name is proxy
        assert things == proxy == [1, 2, 1, 2]


def test_value_given_back_in_place() -> None:
    """Another object, equal or not, is a new value; what a subclass defines in place is its own."""

    class Own(ppp.Proxy[Any]):
        def __iadd__(self, other: object) -> Any:  # type: ignore[misc]
            return f"own {other}"

    for proxy in of_each_kind(Odd()):
        result = in_place(proxy)
        assert type(result) is Odd
        assert result is not proxy._get_obj()
    assert in_place(Own([1]), 2) == "own 2"


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
            return f"{self.name}: growl"

    for proxy in [*drawn(Animal), ppp.Proxy(ppp.Proxy(Animal))]:
        rex = proxy("Rex")
        assert type(rex) is Animal
        assert [isinstance(rex, proxy), issubclass(Animal, proxy), isinstance(1, proxy)] == [
            True,
            True,
            False,
        ]
        assert (proxy.named("Tom").sound(), proxy.sound(rex)) == ("Tom: growl", "Rex: growl")
        assert (proxy.__name__, is_instance(proxy, type)) == ("Animal", True)

        class Dog(proxy):  # type: ignore[misc, valid-type]
            def sound(self) -> str:
                return f"no {super().sound()}"

        assert (Dog.__mro__[1], Dog("Rex").sound(), issubclass(Dog, proxy)) == (Animal, "no Rex: growl", True)
        proxy.legs += 1
    assert Animal.legs == 8
    error: Any = ppp.Proxy(LookupError)
    with pytest.raises(LookupError, match="lost"):
        raise error("lost")


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
    inner._set_obj(None)
    for outer in of_each_kind(inner):  # unset until the inner is set
        assert not hasattr(outer, "append")
        with pytest.raises(ppp.ProxyUnset):
            len(outer)
        inner.set([1])
        outer.append(2)
        assert (inner, outer[1]) == ([1, 2], 2)
        inner._set_obj(None)
