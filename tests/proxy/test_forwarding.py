"""Forwarding: every special method beside the object itself, the rules of operands, and kinds of objects."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import textwrap
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from conftest import Keep
from helpers_proxy import Scope, of_each_kind, ticks

import ProxyPatternPool as ppp

_USED = "collections inspect json math operator os pathlib types".split()
USED = {"ticks": ticks, **{name: importlib.import_module(name) for name in _USED}}
"""What rows use, beside what follows here."""


class Thing:
    """A thing."""

    __match_args__ = ("x", "y")

    def __init__(self, x: Any = 1, y: int = 2) -> None:
        self.x = x
        self.y = y

    def __repr__(self) -> str:
        return f"Thing({self.x}, {self.y})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def __contains__(self, item: object) -> bool:
        return item == "inside"


_SYMBOLS = "+ - * @ / // % ** << >> & ^ |".split()
_NAMES = "add sub mul matmul truediv floordiv mod pow lshift rshift and xor or".split()
ARITHMETIC = {kind + name for name in _NAMES for kind in ("", "r", "i")}
ANSWERS: dict[str, Any] = {"hash": 42, "bool": False, "len": 3, "complex": 1 + 2j, "int": 5, "float": 2.5}
"""What a thing's special methods answer; others answer their names and operands, or change it in place."""
ANSWERS |= {"index": 2, "bytes": b"thing", "dir": ["x"]}


def _method(name: str) -> Callable[..., Any]:
    def answer(self: Thing, *others: Any) -> Any:
        text = " ".join(map(str, (name, *others)))
        if name not in ARITHMETIC or name[0] != "i":
            return ANSWERS.get(name, text)
        self.x = text
        return self

    return answer


_OTHERS = "str format reversed neg pos abs invert trunc floor ceil eq ne lt le gt ge divmod rdivmod".split()
for _name in [*ANSWERS, *ARITHMETIC, *_OTHERS]:
    setattr(Thing, f"__{_name}__", _method(_name))


class Dynamic:
    """Finds, takes and gives up attributes by methods of its own."""

    def __getattr__(self, name: str) -> str:
        return f"found {name}"

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self).setdefault("log", []).append(f"set {name} {value}")

    def __delattr__(self, name: str) -> None:
        vars(self)["log"] = f"del {name}"


class Meta(type):
    """A metaclass that prepares the body of its classes."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> MutableMapping[str, object]:
        return {"prepared": name}


class Base:
    """A class that registers its subclasses."""

    registered = ""

    def __init_subclass__(cls) -> None:
        cls.registered = f"subclass {cls.__name__}"


class Suppressing(contextlib.AsyncExitStack):
    """Suppresses a division by zero."""

    async def __aexit__(self, *error: Any) -> bool:
        return error[0] is ZeroDivisionError


class Waitable:
    """Can be awaited."""

    def __await__(self) -> Any:
        yield from ()
        return "awaited"


class Descriptor:
    """A data descriptor, which learns its name."""

    named = None

    def __repr__(self) -> str:
        return "Descriptor()"

    def __set_name__(self, owner: type, name: str) -> None:
        self.named = name

    def __get__(self, instance: object, owner: type) -> str:
        return "got by the descriptor"

    def __set__(self, *_: object) -> None:
        pass

    __delete__ = __set__


class Operand:
    """Gives one answer to whatever is done with it: it refuses, so that it is the other one's turn."""

    def __init__(self, answer: Any = NotImplemented) -> None:
        self.answer = answer

    def _answer(self, other: object) -> Any:
        return self.answer

    __add__ = __radd__ = __iadd__ = __lt__ = __gt__ = __sub__ = __pow__ = _answer


def function(a: int, /, b: int = 2, *args: int, self: int = 3, **kwargs: int) -> Any:
    """Be the function."""
    return a, b, args, self, kwargs


def raised(error: BaseException) -> str:
    """Raise something, and give the name of what came."""
    try:
        raise error
    except Exception as found:
        return type(found).__name__


# The table: the page of the documentation on conformance has the rows that differ


class Row(NamedTuple):
    """Special methods, their object, and code with it as `x`: an expression, or its result is in `r`."""

    names: str
    thing: str
    code: str

    def make(self) -> Any:
        return eval(self.thing, {**globals(), **USED})

    def run(self, x: Any) -> str:
        """Run the code on an object or a proxy, and give its result, or the exception's name, as text."""
        code = self.code if "r = " in self.code else f"r = {self.code}"
        space = {**globals(), **USED, "x": x}
        try:
            if "async " in code or "await " in code:
                exec(f"async def main(x):\n{textwrap.indent(code, '  ')}\n  return r", space)
                return repr(asyncio.run(space["main"](x)))
            exec(code, space)
            return repr(space["r"])
        except Exception as error:
            return type(error).__name__


LOOKS = [
    *(Row(f"__{name}__", "Thing()", f"{name}(x)") for name in "repr bool dir".split()),
    Row("__bool__, __len__", "[]", "'yes' if x else 'no'"),
    Row("__setattr__", "Dynamic()", "x.colour = 3\nr = x.log"),
    Row("__delattr__", "Dynamic()", "del x.colour\nr = x.log"),
    Row("__setattr__", "Thing()", "x.x = 3\nr = vars(x)"),
    Row("__delattr__", "Thing()", "del x.x\nr = vars(x)"),
    Row("__class__", "Thing()", "(isinstance(x, Thing), x.__class__.__name__)"),
    Row("__dict__", "Thing()", "vars(x)"),
    Row("__doc__", "Thing()", "x.__doc__"),
    Row("__name__, __qualname__", "Thing", "(x.__name__, x.__qualname__)"),
    Row("__bases__, __mro__", "bool", "(x.__bases__, x.__mro__)"),
    Row("__prepare__", "Meta", "class C(metaclass=x): pass\nr = C.prepared"),
    Row("__subclasscheck__", "bool", "issubclass(x, int)"),
    Row("__name__, __doc__", "function", "(x.__name__, x.__doc__)"),
    *(Row("__signature__", each, "str(inspect.signature(x))") for each in ("function", "Thing()", "len")),
    Row("__match_args__", "Thing()", "match x:\n  case Thing(a, b): r = a, b"),
    Row("__getattr__", "type('T', (), {'__html__': 5})()", "(x.__html__, hasattr(x, '__nothing__'))"),
]
"""Code that draws nothing: before there is an object it tells of the proxy, and changes that."""

ROWS = [
    *LOOKS,
    *(Row(f"__{name}__", "Thing()", f"{name}(x)") for name in "hash len".split()),
    Row("__str__, __bytes__, __format__", "Thing()", "(str(x), bytes(x), format(x, 'text'))"),
    Row("__format__", "7", "f'{x:03d}'"),
    Row("__lt__, __le__, __eq__", "Thing()", "(x < 1, x <= 1, x == 1)"),
    Row("__ne__, __gt__, __ge__", "Thing()", "(x != 1, x > 1, x >= 1)"),
    Row("__lt__, __gt__", "7", "(5 < x, 5 > x, x < 9)"),
    Row("__eq__, __hash__", "'key'", "({'key': 1}[x], {x: 1}['key'], x in {'key'})"),
    Row("__hash__", "[]", "hash(x)"),
    Row("__getattr__", "Dynamic()", "x.colour"),
    Row("__getattribute__", "Thing()", "x.y"),
    Row("__init_subclass__, __mro_entries__", "Base", "class C(x): pass\nr = C.registered, C.__mro__[1]"),
    Row("__mro_entries__", "list[int]", "class C(x): pass\nr = C.__mro__[1] is list"),
    Row("__instancecheck__", "collections.abc.Sized", "(isinstance('', x), issubclass(int, x))"),
    Row("__instancecheck__, __subclasscheck__", "int", "(isinstance(1, x), issubclass(bool, x))"),
    Row("__class_getitem__", "list", "x[int]"),
    Row("__mro_entries__", "str", "class C(x): pass\nr = C('a').upper(), issubclass(C, x)"),
    Row("__call__", "LookupError", "r = raised(x('lost'))"),
    Row("__setattr__", "type('T', (), {'legs': 3})", "x.legs += 1\nr = x.legs"),
    Row("__call__", "Thing()", "x(1, *[2], key=3)"),
    Row("__call__", "function", "x(1, 2, 3, self=4, obj=5, proxy=6, args=7, name=8)"),
    Row("__call__", "function", "(x(1), x.__call__(1), list(map(x, [1])))"),
    Row("__call__, __new__, __init__", "Thing", "x(3, y=4)"),
    Row("__getitem__", "[1, 2, 3]", "(x[0], x[-1], x[1:])"),
    Row("__setitem__, __delitem__", "[1, 2, 3]", "x[0] = 9; del x[1]\nr = x"),
    Row("__missing__", "collections.defaultdict(list, a=1)", "(x['a'], x['c'])"),
    Row("__iter__", "[1, 2, 3]", "[2 * i for i in x]"),
    Row("__iter__, __getitem__", "dict(a=1)", "(lambda **k: k)(**x)"),
    Row("__next__", "iter('ab')", "(next(x), next(x), next(x, 'end'))"),
    Row("__reversed__", "Thing()", "list(reversed(x))"),
    Row("__contains__", "Thing()", "('inside' in x, 1 in x, 1 not in x)"),
    Row("__divmod__, __rdivmod__, __pow__", "Thing()", "(divmod(x, 2), divmod(2, x), pow(x, 2, 5))"),
    Row("__add__, __iadd__", "7", "before = x; x += 2\nr = x, type(x), before"),
    Row("__iadd__", "Thing()", "x.x += 2\nr = vars(x)"),
    Row("__iadd__", "[1]", "y = x; y += [2]; y *= 2\nr = y is x, y"),
    Row("__iadd__", "Operand([])", "y = x; y += 1\nr = y is x, y"),
    Row("__len__", "types.SimpleNamespace(__len__=lambda: 5)", "len(x)"),
    Row("__add__, __lt__", "Operand()", "(x + Operand('taken'), x < Operand(7), x < ppp.Proxy(Operand(7)))"),
    Row("__radd__, __gt__", "Operand('taken')", "(Operand() + x, ppp.Proxy(Operand()) + x, Operand() < x)"),
    *(Row("__add__, __sub__", "Operand()", code) for code in ("x + 1", "1 + x", "x - 1", "pow(x, 2, 3)")),
    Row("__add__", "'a'", "x + 1"),
    Row("__radd__", "[1, 2]", "[0] + x"),
    Row("__rmul__", "3", "'ab' * x"),
    Row("__neg__, __pos__, __abs__, __invert__", "Thing()", "(-x, +x, abs(x), ~x)"),
    Row("__complex__, __int__, __float__", "Thing()", "(complex(x), int(x), float(x))"),
    Row("__index__", "Thing()", "('abc'[x], hex(x))"),
    Row("__round__", "2.55", "(round(x), round(x, 1))"),
    Row("__trunc__, __floor__, __ceil__", "Thing()", "(math.trunc(x), math.floor(x), math.ceil(x))"),
    Row("__enter__, __exit__", "contextlib.nullcontext(5)", "with x as y: r = y"),
    Row("__exit__", "contextlib.suppress(ZeroDivisionError)", "r = 'before'\nwith x: r = 1 / 0"),
    Row("__aenter__, __aexit__", "Suppressing()", "r = 'before'\nasync with x: r = 1 / 0"),
    Row("__aiter__, __anext__", "ticks()", "r = await anext(aiter(x)), [i async for i in x]"),
]
for _name, _symbol in zip(_NAMES, _SYMBOLS, strict=True):
    ROWS += [
        Row(f"__{_name}__", "Thing()", f"x {_symbol} 2"),
        Row(f"__r{_name}__", "Thing()", f"2 {_symbol} x"),
        Row(f"__i{_name}__", "Thing()", f"before = x; x {_symbol}= 2\nr = x is before, x"),
    ]


_DATA_MODEL = """
new init del repr str bytes format lt le eq ne gt ge hash bool getattr getattribute setattr delattr dir get
set delete objclass slots weakref dict init_subclass set_name mro_entries prepare class instancecheck
subclasscheck class_getitem call len length_hint getitem setitem delitem missing iter next reversed contains
divmod rdivmod neg pos abs invert complex int float index round trunc floor ceil enter exit match_args buffer
release_buffer await aiter anext aenter aexit doc name qualname module bases mro annotations
"""
DATA_MODEL = frozenset(f"__{name}__" for name in [*_DATA_MODEL.split(), *ARITHMETIC])
"""The special names of the language reference, chapter "Data model"."""


POOLED: dict[str, Any] = {"max_size": 2, "min_size": 0}
MODES: dict[str, Callable[[Row], ppp.Proxy[Any]]] = {
    "SHARED": lambda row: ppp.Proxy(row.make()),
    "THREAD": lambda row: ppp.Proxy(fun=lambda _: row.make(), max_size=None),
    "THREAD with pool": lambda row: ppp.Proxy(fun=lambda _: row.make(), **POOLED),
    "WERKZEUG": lambda row: ppp.Proxy(fun=lambda _: row.make(), scope=Scope.WERKZEUG, **POOLED),
    "proxy of a proxy": lambda row: ppp.Proxy(ppp.Proxy(row.make())),
}
PAGE = (Path(__file__).parents[2] / "docs" / "pages" / "conformance.md").read_text(encoding="utf-8")
DIFFERENT = re.findall(
    r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \| .+ \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_same_through_the_proxy(keep: Keep, row: Row, mode: str) -> None:
    """The result through the proxy is the object's own, also where this code is the first to need it."""
    expected = row.run(row.make())
    drawn = keep(MODES[mode](row))
    drawn._get_obj()
    assert row.run(drawn) == expected
    if row not in LOOKS:
        assert row.run(keep(MODES[mode](row))) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("names", "thing", "code", "on_object", "on_proxy"), DIFFERENT)
def test_as_the_page_says(
    keep: Keep, names: str, thing: str, code: str, on_object: str, on_proxy: str, mode: str
) -> None:
    """What the page of the docs lists is absent from the class, and gives what the page says."""
    row = Row(names, thing, code.replace(" case", "\n  case"))
    proxy = keep(MODES[mode](row))
    absent = [name for base in type(proxy).__mro__ for name in vars(base) if f"`{name}`" in f"`{names}`"]
    proxy._get_obj()
    assert (row.run(row.make()), row.run(proxy), absent) == (on_object, on_proxy, [])


def test_every_special_method_has_its_row() -> None:
    """Each special name of the language reference is forwarded, or has its row and reason on the page."""
    forwarded = {name for row in ROWS for name in row.names.split(", ")}
    assert DATA_MODEL - forwarded - set(re.findall(r"`(__\w+__)`", PAGE)) == set()
    assert f"{len(forwarded)} special names, in {len(ROWS)} pieces of code," in PAGE
    assert len(DIFFERENT) == 14


def test_proxies_on_both_sides() -> None:
    """Operators between two proxies are the operators between their objects, and give no proxy."""
    for seven in of_each_kind(7):
        for two in [2, *of_each_kind(2), ppp.Proxy(ppp.Proxy(2))]:
            assert (seven + two, seven - two, two - seven, seven**two) == (9, 5, -5, 49)
            assert (divmod(seven, two), divmod(two, seven), pow(seven, two, 5)) == ((3, 1), (0, 2), 4)
            assert (seven > two, seven < two, seven == two, two != seven) == (True, False, False, True)
            assert type(seven + two) is int
    one: Any = ppp.Proxy([1])
    name = one
    name += ppp.Proxy(ppp.Proxy([2]))
    assert name is one
    assert one + one == ppp.Proxy(2) * one == [1, 2, 1, 2]
    assert type(one + one) is list
    assert ppp.Proxy("a") in ppp.Proxy("abc")
    assert ppp.Proxy("%s-%s") % ppp.Proxy((1, 2)) == "1-2"


def test_mock_sees_with() -> None:
    """A mock that a proxy stands for sees `with` as if it were used itself."""
    for proxy in of_each_kind(thing := mock.MagicMock()):
        thing.reset_mock()
        with proxy as entered:
            assert entered is thing.__enter__.return_value
        thing.__enter__.assert_called_once_with()
        thing.__exit__.assert_called_once_with(None, None, None)


def test_proxy_of_a_proxy() -> None:
    """A proxy of a proxy: the outer's own names are the outer's, and it is unset until the inner is set."""
    inner: Any = ppp.Proxy()
    for outer in of_each_kind(inner):
        assert not hasattr(outer, "append")
        with pytest.raises(ppp.ProxyUnset):
            len(outer)
        inner.set([1])
        outer.append(2)
        assert (inner, outer[1], outer._get_obj() is inner) == ([1, 2], 2, True)
        outer._ret_obj()
        assert inner._has_obj()
        inner._set_obj(None)
