"""Every special method through a proxy beside the object itself, and the rules that operators follow."""

from __future__ import annotations

import asyncio
import copy
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import Any

import conformance
import pytest
from conformance import LEFT_OUT, LIMITS, MODES, ROWS, Row, direct, through, undrawn
from proxies import is_instance

import ProxyPatternPool as ppp

CELLS = [pytest.param(row, mode, id=f"{row} [{mode}]") for row in ROWS for mode in MODES]


@pytest.mark.parametrize(("row", "mode"), CELLS)
def test_same_through_the_proxy(row: Row, mode: str) -> None:
    """The result through the proxy is the object's own, also where this code is the first to need it."""
    expected = direct(row)
    assert through(row, mode) == expected
    if row.code not in DRAWS_NOTHING:
        assert undrawn(row, mode) == expected


DRAWS_NOTHING = {
    "repr(x)",
    "f'{x!r}'",
    "bool(x)",
    "'yes' if x else 'no'",
    "dir(x)",
    "isinstance(x, Thing)",
    "x.__class__.__name__",
    "vars(x)",
    "x.__doc__",
    "(x.__name__, x.__qualname__)",
    "(x.__bases__, x.__mro__)",
    "issubclass(x, int)",
    "match x:\n  case Thing(a, b): r = a, b",
    "class C(metaclass=x): pass\nr = C.prepared",
}
"""Code that looks first: before there is an object, it tells of the proxy (see `test_proxy_unset.py`)."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", LEFT_OUT, ids=str)
def test_left_out(row: Row, mode: str) -> None:
    """What is left out on purpose is absent from the class, and doesn't reach the object."""
    for name in row.names:
        assert not any(name in vars(base) for base in ppp.Proxy.__mro__)
    assert through(row, mode) != direct(row)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", LIMITS, ids=str)
def test_out_of_reach(row: Row, mode: str) -> None:
    """What no proxy can satisfy is as the page says: it works on the object alone."""
    assert through(row, mode) != direct(row)
    assert "Error" not in direct(row) or row.names == ("raise",)


def test_every_special_method_has_its_row() -> None:
    """Each special name of the language reference is forwarded, left out with a reason, or neither."""
    named = {name for row in [*ROWS, *LEFT_OUT] for name in row.names} | set(conformance.NEVER)
    assert set(conformance.DATA_MODEL) <= named
    assert all(row.reason for row in LEFT_OUT)


def test_page_is_up_to_date() -> None:
    """The page of the docs shows what the code does; `python tests/conformance.py` writes it anew."""
    assert conformance.PAGE.read_text(encoding="utf-8") == conformance.render()


# The rules of operators


def proxies(thing: Any) -> list[Any]:
    """Give proxies of each simple kind for an object."""
    return [ppp.Proxy(thing), ppp.Proxy(fun=lambda _: thing, max_size=None)]


def in_place(thing: Any, other: Any) -> Any:
    """Give what `+=` gives."""
    thing += other
    return thing


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


ERRORS: dict[str, Callable[[Any], Any]] = {
    "len": len,
    "iter": iter,
    "next": next,
    "call": lambda x: x(),
    "getitem": lambda x: x[0],
    "setitem": lambda x: operator.setitem(x, 0, 1),
    "delitem": lambda x: operator.delitem(x, 0),
    "contains": lambda x: 1 in x,
    "reversed": reversed,
    "add": lambda x: x + 1,
    "reflected add": lambda x: 1 + x,
    "in place": lambda x: in_place(x, 1),
    "matmul": lambda x: x @ x,
    "pow": lambda x: pow(x, 2, 3),
    "divmod": lambda x: divmod(x, 1),
    "negation": operator.neg,
    "invert": operator.invert,
    "abs": abs,
    "less": lambda x: x < 1,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "round": round,
    "bytes": bytes,
    "instance": lambda x: isinstance(1, x),
    "subclass": lambda x: issubclass(int, x),
    "base": lambda x: type("C", (x,), {}),
    "format": lambda x: format(x, "nonsense"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_what_the_object_cannot_do(what: str) -> None:
    """What the object can't do is a TypeError through the proxy too."""
    with pytest.raises(TypeError):
        ERRORS[what](Shy())
    for proxy in proxies(Shy()):
        with pytest.raises(TypeError):
            ERRORS[what](proxy)


def test_unhashable() -> None:
    """A proxy of an unhashable object is unhashable, with the object's own error."""
    for proxy in proxies([1]):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            hash(proxy)


def test_no_context_manager() -> None:
    """A proxy of something that is no context manager is none: the body is not run."""
    ran: list[bool] = []
    for proxy in proxies(Shy()):
        with pytest.raises((TypeError, AttributeError)), proxy:
            ran.append(True)

        async def enter(proxy: Any = proxy) -> None:
            async with proxy:
                ran.append(True)

        with pytest.raises((TypeError, AttributeError)):
            asyncio.run(enter())
    assert ran == []


def test_operands_take_turns() -> None:
    """An operand that refuses gives the other one its turn, whichever of them is behind a proxy."""
    for shy in [Shy(), *proxies(Shy())]:
        for keen in [Keen(), *proxies(Keen())]:
            assert shy + keen == "taken"
            assert (shy < keen) is True
        with pytest.raises(TypeError):
            shy + 1
        with pytest.raises(TypeError):
            1 + shy


def test_proxies_on_both_sides() -> None:
    """Operators between two proxies are the operators between their objects."""
    for seven in proxies(7):
        for two in [2, *proxies(2)]:
            assert (seven + two, seven - two, two - seven, seven * two) == (9, 5, -5, 14)
            assert (seven / two, seven // two, seven % two, seven**two) == (3.5, 3, 1, 49)
            assert (divmod(seven, two), divmod(two, seven), pow(seven, 2, 5)) == ((3, 1), (0, 2), 4)
            assert (seven << two, seven >> two, seven & two, seven | two, seven ^ two) == (28, 1, 2, 7, 5)
            assert (seven > two, seven >= two, seven < two, seven <= two) == (True, True, False, False)
            assert (seven == two, seven != two, two == seven, seven == seven) == (False, True, False, True)
    for proxy in proxies([1]):
        one = [1]
        assert proxy + proxy == proxy + one == one + proxy == [1, 1]
        assert proxy == one
        assert one == proxy
        assert proxy != [2]
        assert proxy * 2 == 2 * proxy == [1, 1]


def test_results_are_the_object_s_not_proxies() -> None:
    """An operator's result is Python's own object."""
    for proxy in proxies(7):
        assert type(proxy + 1) is int
        assert type(-proxy) is int
        assert type(str(proxy)) is str
    for proxy in proxies([1]):
        assert type(proxy + proxy) is list
        assert type(proxy[:]) is list


def test_in_place_changes_the_object_and_keeps_the_handle() -> None:
    """In place, the proxy is given where its object changed, else the new value; it is never re-bound."""
    things = [1]
    for count, proxy in enumerate(proxies(things)):
        name = proxy
        name += [2]
        name *= 1
        assert name is proxy
        assert things == proxy == [1] + [2] * (count + 1)
    for proxy in proxies(7):
        name = proxy
        name += 1
        assert type(name) is int
        assert (name, proxy) == (8, 7)
        name = proxy
        name **= 2
        assert (name, proxy) == (49, 7)
    for proxy in proxies((1,)):
        name = proxy
        name += (2,)
        assert type(name) is tuple
        assert (name, proxy) == ((1, 2), (1,))


def test_in_place_on_an_item_and_an_attribute() -> None:
    """In place on an item or an attribute of the object changes the object."""
    for number, proxy in enumerate(proxies({"a": 1})):
        proxy["a"] += 1
        assert proxy["a"] == 2 + number
        handle = proxy
        handle |= {"b": 3}
        assert type(handle) is ppp.Proxy
        assert proxy._get_obj() == {"a": 2 + number, "b": 3}
    for number, proxy in enumerate(proxies(conformance.Thing())):
        proxy.x += 5
        assert proxy.x == 6 + 5 * number


def test_in_place_giving_another_object_of_the_same_value() -> None:
    """In place, the value given back counts by identity, not by equality."""

    class Equal:
        def __iadd__(self, other: object) -> Equal:
            return Equal()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    for proxy in proxies(Equal()):
        result = in_place(proxy, 1)
        assert type(result) is Equal
        assert result is not proxy._get_obj()


def test_comparison_gives_what_the_object_gives() -> None:
    """A comparison's result need not be a truth value."""
    for proxy in proxies(conformance.Thing()):
        assert (proxy < 1) == "lt 1"
        assert (proxy == None) == "eq None"  # noqa: E711
        assert (proxy != 2) == "ne 2"


def test_key_of_a_dictionary() -> None:
    """A proxy finds what its object finds in a dictionary or a set, and the reverse."""
    for proxy in proxies("key"):
        assert {"key": 1}[proxy] == {proxy: 1}["key"] == 1
        assert proxy in {"key"}
        assert "key" in {proxy}


def test_type_and_class() -> None:
    """A proxy is an instance of its object's class by `__class__`, and of `Proxy` by its type."""
    for proxy in proxies([1]):
        proxy._get_obj()
        assert is_instance(proxy, list)
        assert is_instance(proxy, ppp.Proxy)
        assert is_instance(proxy, Iterable)
        assert not is_instance(proxy, dict)
        assert (type(proxy), proxy.__class__) == (ppp.Proxy, list)


def test_proxied_class() -> None:
    """A proxied class is called, asked about instances and subclasses, written to and inherited from."""

    class Animal:
        legs = 4

        def __init__(self, name: str) -> None:
            self.name = name

        @classmethod
        def named(cls, name: str) -> Animal:
            return cls(name)

        @staticmethod
        def sound() -> str:
            return "growl"

        def speak(self) -> str:
            return f"{self.name}: {self.sound()}"

    for proxy in proxies(Animal):
        proxy._get_obj()
        rex = proxy("Rex")
        assert type(rex) is Animal
        assert isinstance(rex, proxy)
        assert issubclass(Animal, proxy)
        assert not isinstance(1, proxy)
        assert (proxy.legs, proxy.sound(), proxy.named("Tom").speak()) == (4, "growl", "Tom: growl")
        assert proxy.speak(rex) == "Rex: growl"
        assert proxy.__name__ == "Animal"
        assert is_instance(proxy, type)

        class Dog(proxy):  # type: ignore[misc, valid-type]
            @staticmethod
            def sound() -> str:
                return "woof"

        assert Dog.__mro__[1] is Animal
        assert Dog("Rex").speak() == "Rex: woof"
        assert issubclass(Dog, proxy)
        proxy.legs = 3
        assert Animal.legs == 3
        Animal.legs = 4


def test_proxied_exception_class() -> None:
    """A proxied exception class can be raised through its call."""
    for proxy in proxies(LookupError):
        with pytest.raises(LookupError, match="lost"):
            raise proxy("lost")


@pytest.mark.parametrize("name", ["self", "obj", "proxy", "args", "kwargs", "name", "operation"])
def test_keyword_arguments_of_any_name(name: str) -> None:
    """A call through the proxy takes keyword arguments of every name."""
    for proxy in proxies(dict):
        assert proxy(**{name: 1}) == {name: 1}


def test_functions_and_methods() -> None:
    """A proxied function is called with every kind of argument, and its attributes are its own."""

    def function(a: int, /, b: int = 2, *args: int, c: int = 3, **kwargs: int) -> Any:
        """Be the function."""
        return a, b, args, c, kwargs

    for proxy in proxies(function):
        proxy._get_obj()
        assert proxy(1) == (1, 2, (), 3, {})
        assert proxy(1, 2, 3, c=4, d=5) == (1, 2, (3,), 4, {"d": 5})
        assert proxy.__name__ == "function"
        assert proxy.__doc__ == "Be the function."
        assert list(map(proxy, [1])) == [(1, 2, (), 3, {})]


def test_proxy_of_a_proxy() -> None:
    """A proxy of a proxy behaves as the innermost object."""
    thing = [1, 2]
    for inner in proxies(thing):
        for outer in proxies(inner):
            assert outer == [1, 2]
            assert len(outer) == 2
            assert (outer[0], outer + thing, outer.count(1)) == (1, [1, 2, 1, 2], 1)
            assert is_instance(outer, list)
            assert str(outer) == "[1, 2]"
            outer.append(3)
            assert thing.pop() == 3
            assert outer._get_obj() is inner
            name = outer
            name += [9]
            assert name is outer
            assert thing.pop() == 9


def test_explicit_special_methods() -> None:
    """A special method called by name gives what the operator gives."""
    for proxy in proxies([3, 1]):
        assert proxy.__len__() == 2
        assert proxy.__getitem__(0) == 3
        assert proxy.__contains__(1)
        assert proxy.__eq__([3, 1])
        assert list(proxy.__iter__()) == [3, 1]
        assert proxy.__add__([2]) == [3, 1, 2]
        assert sorted(proxy) == [1, 3]
    for proxy in proxies(7):
        assert proxy.__add__(1) == 8
        assert proxy.__bool__() is True
        assert proxy.__hash__() == hash(7)
        assert proxy.__str__() == "7"
        assert proxy.__int__() == 7


def test_calls_in_every_spelling() -> None:
    """A call means the object, whoever spells it how: by the class, by `super()`, by a name read before."""

    class Louder(ppp.Proxy[Any]):
        def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs) + "!"

    def greet(name: str, /, *, self: str = "Hello") -> str:
        return f"{self} {name}"

    proxy = ppp.Proxy[Any](greet)
    assert proxy("you") == proxy.__call__("you") == ppp.Proxy.__call__(proxy, "you") == "Hello you"
    assert proxy("you", self="Bye") == ppp.Proxy.__call__(proxy, "you", self="Bye") == "Bye you"
    assert Louder(greet)("you", self="Bye") == "Bye you!"
    assert str(inspect.signature(proxy)) == str(inspect.signature(greet))

    made: list[int] = []

    def make(number: int) -> Any:
        made.append(number)
        return greet

    later = ppp.Proxy[Any](fun=make, max_size=None)
    call = later.__call__
    assert not made
    assert call("you", self="Bye") == "Bye you"
    assert made == [0]
    with pytest.raises(ppp.ProxyUnset):
        ppp.Proxy[Any]()()
    with pytest.raises(TypeError, match="not callable"):
        ppp.Proxy[Any](1)()


def test_special_names_outside_the_table() -> None:
    """Special names that are no row of the table are the object's."""

    class Exotic:
        __array_priority__ = 5
        __custom__ = "mine"

        def __html__(self) -> str:
            return "<b>"

    for proxy in proxies(Exotic()):
        proxy._get_obj()
        assert (proxy.__array_priority__, proxy.__custom__, proxy.__html__()) == (5, "mine", "<b>")
        assert not hasattr(proxy, "__nothing__")


def test_copies_are_the_proxy() -> None:
    """A copy of a proxy is the proxy, deep or not, alone or in a container."""
    for proxy in proxies([1]):
        assert copy.copy(proxy) is proxy
        assert copy.deepcopy(proxy) is proxy
        assert copy.deepcopy({"db": [proxy]})["db"][0] is proxy
        assert copy.copy(proxy._get_obj()) is not proxy._get_obj()


def test_attribute_errors_inside_the_object_come_out() -> None:
    """An AttributeError raised inside a property or a method of the object comes out unchanged."""

    class Broken:
        @property
        def inner(self) -> Any:
            return self.absent  # type: ignore[attr-defined]

        def method(self) -> Any:
            return self.gone  # type: ignore[attr-defined]

    for proxy in proxies(Broken()):
        with pytest.raises(AttributeError, match="'absent'"):
            _ = proxy.inner
        with pytest.raises(AttributeError, match="'gone'"):
            proxy.method()


@pytest.mark.parametrize("mode", ["SHARED", "THREAD"])
def test_function_raising_attribute_error(mode: str) -> None:
    """A function that raises AttributeError doesn't look like a missing attribute: it is the cause."""
    cause = AttributeError("no driver")

    def make(_: int) -> Any:
        raise cause

    def check(proxy: Any) -> None:
        for use in (
            lambda: proxy.x,
            lambda: hasattr(proxy, "x"),
            lambda: getattr(proxy, "x", None),
            lambda: len(proxy),
            lambda: proxy + 1,
            lambda: setattr(proxy, "x", 1),
            lambda: proxy._get_obj(),
        ):
            with pytest.raises(ppp.ProxyException) as raised:
                use()
            assert not isinstance(raised.value, AttributeError)
            assert raised.value.__cause__ is cause
        assert not proxy._has_obj()

    check(ppp.Proxy(fun=make, max_size=None, scope=ppp.Proxy.Scope[mode]))


def test_pooled_function_raising_attribute_error() -> None:
    """Behind a pool too, a function's AttributeError is the cause of another error; no token is lost."""
    fail = [True]

    def make(_: int) -> Any:
        if fail:
            raise AttributeError("no driver")
        return [1]

    proxy: Any = ppp.Proxy(fun=make, max_size=1, min_size=0, timeout=0)
    for _ in range(3):
        with pytest.raises(ppp.ProxyException, match="no driver") as raised:
            hasattr(proxy, "append")
        assert isinstance(raised.value.__cause__, AttributeError)
        assert not isinstance(raised.value, AttributeError)
    fail.clear()
    assert proxy == [1]
    proxy._ret_obj()
    proxy._pool.shutdown()
