"""The conformance table: every special method of the data model, on an object and through proxies of it.

Run as a program, it writes the page of the documentation.
"""

from __future__ import annotations

import asyncio
import html
import json
import math
import operator
import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ProxyPatternPool as ppp

_FOR_THE_ROWS = json, math, np, operator, os  # what the code of the table's rows uses
PAGE = Path(__file__).parents[1] / "docs" / "pages" / "conformance.md"

# Objects of the table


class Number:
    """Answers each arithmetic special method with its name and operands; in-place forms change it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Number({self.value!r})"

    def __pow__(self, other: Any, modulo: Any = None) -> str:
        return f"pow {self.value} {other}" + (f" {modulo}" if modulo is not None else "")


ARITHMETIC = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "xor": "^",
    "or": "|",
}


def _plain(name: str) -> Callable[[Any, Any], str]:
    return lambda self, other: f"{name} {self.value} {other}"


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    def change(self: Any, other: Any) -> Any:
        self.value = f"{name} {self.value} {other}"
        return self

    return change


for _name in [*ARITHMETIC, "divmod"]:
    if _name != "pow":
        setattr(Number, f"__{_name}__", _plain(_name))
    setattr(Number, f"__r{_name}__", _plain(f"r{_name}"))
    if _name != "divmod":
        setattr(Number, f"__i{_name}__", _in_place(f"i{_name}"))


class Thing:
    """A thing."""

    def __init__(self, x: int = 1, y: int = 2) -> None:
        self.x = x
        self.y = y

    __match_args__ = ("x", "y")

    def __repr__(self) -> str:
        return f"Thing({self.x}, {self.y})"

    def __str__(self) -> str:
        return "a thing"

    def __bytes__(self) -> bytes:
        return b"thing"

    def __format__(self, form: str) -> str:
        return f"thing as {form}"

    def __hash__(self) -> int:
        return 42

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> Any:
        return f"eq {other}"

    def __ne__(self, other: object) -> Any:
        return f"ne {other}"

    def __lt__(self, other: object) -> Any:
        return f"lt {other}"

    def __le__(self, other: object) -> Any:
        return f"le {other}"

    def __gt__(self, other: object) -> Any:
        return f"gt {other}"

    def __ge__(self, other: object) -> Any:
        return f"ge {other}"

    def __dir__(self) -> list[str]:
        return ["x", "y"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def __len__(self) -> int:
        return 3

    def __contains__(self, item: object) -> bool:
        return item == "inside"

    def __reversed__(self) -> Any:
        return iter("cba")

    def __neg__(self) -> str:
        return "neg"

    def __pos__(self) -> str:
        return "pos"

    def __abs__(self) -> str:
        return "abs"

    def __invert__(self) -> str:
        return "invert"

    def __complex__(self) -> complex:
        return 1 + 2j

    def __int__(self) -> int:
        return 5

    def __float__(self) -> float:
        return 2.5

    def __index__(self) -> int:
        return 2

    def __round__(self, digits: int | None = None) -> Any:
        return f"round {digits}"

    def __trunc__(self) -> Any:
        return "trunc"

    def __floor__(self) -> Any:
        return "floor"

    def __ceil__(self) -> Any:
        return "ceil"


class Dynamic:
    """Finds, takes and gives up attributes by methods of its own."""

    log: list[str]

    def __init__(self) -> None:
        object.__setattr__(self, "log", [])

    def __getattr__(self, name: str) -> str:
        return f"found {name}"

    def __setattr__(self, name: str, value: Any) -> None:
        self.log.append(f"set {name} {value}")

    def __delattr__(self, name: str) -> None:
        self.log.append(f"del {name}")


class Total:
    """Answers every attribute itself."""

    def __getattribute__(self, name: str) -> Any:
        return {"__class__": Total}.get(name, f"got {name}")


class Missing(dict[str, str]):
    """Answers for absent keys."""

    def __missing__(self, key: str) -> str:
        return f"no {key}"


class Context:
    """Notes how a block was entered and left, and swallows what it raised; `with` and `async with`."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __enter__(self) -> str:
        self.log.append("enter")
        return "entered"

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.log.append(f"exit {kind and kind.__name__}")
        return True

    async def __aenter__(self) -> str:
        self.log.append("aenter")
        return "entered"

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.log.append(f"aexit {kind and kind.__name__}")
        return True


class Ticker:
    """An asynchronous iterator over 0, 1, 2."""

    def __init__(self) -> None:
        self.at = -1

    def __aiter__(self) -> Ticker:
        return self

    async def __anext__(self) -> int:
        self.at += 1
        if self.at > 2:
            raise StopAsyncIteration
        return self.at


class Meta(type):
    """A metaclass with opinions on instances and subclasses."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **kwargs: Any) -> MutableMapping[str, object]:
        return {"prepared": name}

    def __instancecheck__(cls, instance: object) -> bool:
        return instance == "mine"

    def __subclasscheck__(cls, subclass: type) -> bool:
        return subclass is int


class Opinion(metaclass=Meta):
    """A class of that metaclass."""


class Base:
    """A class that registers its subclasses and can be subscripted."""

    registered = ""

    def __init_subclass__(cls) -> None:
        cls.registered = f"subclass {cls.__name__}"

    def __class_getitem__(cls, item: Any) -> str:
        return f"{cls.__name__} of {item}"


class Family:
    """An instance that stands for a class among the bases of a class statement."""

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (Base,)


class Waitable:
    """Can be awaited."""

    def __await__(self) -> Any:
        yield from ()
        return "awaited"


class Located:
    """Has a path."""

    def __fspath__(self) -> str:
        return "/somewhere"


class Descriptor:
    """A data descriptor, which learns its name."""

    named = None

    def __repr__(self) -> str:
        return "Descriptor()"

    def __set_name__(self, owner: type, name: str) -> None:
        self.named = name

    def __get__(self, instance: object, owner: type) -> str:
        return "got by the descriptor"

    def __set__(self, instance: object, value: object) -> None:
        pass

    def __delete__(self, instance: object) -> None:
        pass


def raised(error: BaseException) -> str:
    """Raise something, and give the name of what came."""
    try:
        raise error
    except Exception as found:
        return type(found).__name__


# The table


@dataclass(frozen=True)
class Row:
    """One row: the special methods it is about, the object and the code that uses it as `x`.

    The code is an expression, or statements that leave their result in `r`. Rows left out have a reason.
    """

    names: tuple[str, ...]
    thing: str
    code: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.names[0]}: {self.shown}"

    @property
    def shown(self) -> str:
        """The code in one line."""
        return self.code.replace(":\n  ", ": ").replace("\n  ", " ").replace("\n", "; ")

    def make(self) -> Any:
        """Make the object."""
        return eval(self.thing, dict(globals()))

    def run(self, x: Any) -> str:
        """Run the code on an object or a proxy, and give its result, or the exception's name, as text."""
        space = {**globals(), "x": x}
        try:
            if "async " in self.code or "await " in self.code:
                body = "\n".join(f"  {line}" for line in self.code.split("\n"))
                exec(f"async def main(x):\n{body}\n  return r", space)
                result = asyncio.run(space["main"](x))
            elif "r = " in self.code:
                exec(self.code, space)
                result = space["r"]
            else:
                result = eval(self.code, space)
            return repr(result)
        except Exception as error:
            return type(error).__name__


def _rows() -> list[Row]:
    rows = [
        Row(("__repr__",), "Thing()", "repr(x)"),
        Row(("__repr__",), "Thing()", "f'{x!r}'"),
        Row(("__str__",), "Thing()", "str(x)"),
        Row(("__bytes__",), "Thing()", "bytes(x)"),
        Row(("__format__",), "Thing()", "format(x, 'text')"),
        Row(("__format__",), "7", "f'{x:03d}'"),
        Row(("__lt__",), "Thing()", "x < 1"),
        Row(("__le__",), "Thing()", "x <= 1"),
        Row(("__eq__",), "Thing()", "x == 1"),
        Row(("__ne__",), "Thing()", "x != 1"),
        Row(("__gt__",), "Thing()", "x > 1"),
        Row(("__ge__",), "Thing()", "x >= 1"),
        Row(("__lt__", "__gt__"), "7", "(5 < x, 5 > x, x < 9)"),
        Row(("__eq__", "__hash__"), "'key'", "{'key': 1}[x]"),
        Row(("__hash__",), "Thing()", "hash(x)"),
        Row(("__hash__",), "[]", "hash(x)"),
        Row(("__bool__",), "Thing()", "bool(x)"),
        Row(("__bool__", "__len__"), "[]", "'yes' if x else 'no'"),
        Row(("__getattr__",), "Dynamic()", "x.colour"),
        Row(("__getattribute__",), "Total()", "x.colour"),
        Row(("__setattr__",), "Dynamic()", "x.colour = 3\nr = x.log"),
        Row(("__delattr__",), "Dynamic()", "del x.colour\nr = x.log"),
        Row(("__setattr__",), "Thing()", "x.z = 3\nr = vars(x)"),
        Row(("__delattr__",), "Thing()", "del x.x\nr = vars(x)"),
        Row(("__dir__",), "Thing()", "dir(x)"),
        Row(("__class__",), "Thing()", "isinstance(x, Thing)"),
        Row(("__class__",), "Thing()", "x.__class__.__name__"),
        Row(("__dict__",), "Thing()", "vars(x)"),
        Row(("__doc__",), "Thing()", "x.__doc__"),
        Row(("__name__", "__qualname__"), "Thing", "(x.__name__, x.__qualname__)"),
        Row(("__bases__", "__mro__"), "bool", "(x.__bases__, x.__mro__)"),
        Row(("__init_subclass__", "__mro_entries__"), "Base", "class C(x): pass\nr = C.registered"),
        Row(("__mro_entries__",), "Base", "class C(x): pass\nr = C.__mro__[1] is Base"),
        Row(("__mro_entries__",), "Family()", "class C(x): pass\nr = C.__mro__[1] is Base"),
        Row(("__prepare__",), "Meta", "class C(metaclass=x): pass\nr = C.prepared"),
        Row(("__instancecheck__",), "Opinion", "(isinstance('mine', x), isinstance(1, x))"),
        Row(("__subclasscheck__",), "Opinion", "(issubclass(int, x), issubclass(str, x))"),
        Row(("__instancecheck__", "__subclasscheck__"), "int", "(isinstance(1, x), issubclass(bool, x))"),
        Row(("__subclasscheck__",), "bool", "issubclass(x, int)"),
        Row(("__class_getitem__",), "Base", "x[int]"),
        Row(("__class_getitem__",), "list", "x[int]"),
        Row(("__call__",), "Thing()", "x(1, *[2], key=3)"),
        Row(("__call__", "__new__", "__init__"), "Thing", "x(3, y=4)"),
        Row(("__match_args__",), "Thing()", "match x:\n  case Thing(a, b): r = a, b"),
        Row(("__len__",), "Thing()", "len(x)"),
        Row(("__len__",), "7", "len(x)"),
        Row(("__getitem__",), "[1, 2, 3]", "(x[0], x[-1], x[1:])"),
        Row(("__getitem__",), "[1, 2, 3]", "x[9]"),
        Row(("__setitem__",), "[1, 2, 3]", "x[0] = 9\nr = x"),
        Row(("__setitem__",), "[1, 2, 3]", "x[:2] = 'ab'\nr = x"),
        Row(("__delitem__",), "[1, 2, 3]", "del x[0]\nr = x"),
        Row(("__missing__",), "Missing(a='b')", "(x['a'], x['c'])"),
        Row(("__iter__",), "[1, 2, 3]", "[2 * i for i in x]"),
        Row(("__iter__",), "[1, 2]", "a, b = x\nr = b, a"),
        Row(("__iter__", "__getitem__"), "dict(a=1)", "(lambda **k: k)(**x)"),
        Row(("__next__",), "iter('ab')", "(next(x), next(x), next(x, 'end'))"),
        Row(("__reversed__",), "Thing()", "list(reversed(x))"),
        Row(("__reversed__",), "[1, 2, 3]", "list(reversed(x))"),
        Row(("__contains__",), "Thing()", "('inside' in x, 1 in x, 1 not in x)"),
    ]
    for name, symbol in ARITHMETIC.items():
        rows += [
            Row((f"__{name}__",), "Number(7)", f"x {symbol} 2"),
            Row((f"__r{name}__",), "Number(7)", f"2 {symbol} x"),
            Row((f"__i{name}__",), "Number(7)", f"before = x; x {symbol}= 2\nr = x is before, x"),
        ]
    rows += [
        Row(("__divmod__",), "Number(7)", "divmod(x, 2)"),
        Row(("__rdivmod__",), "Number(7)", "divmod(2, x)"),
        Row(("__pow__",), "Number(7)", "pow(x, 2, 5)"),
        Row(("__add__", "__iadd__"), "7", "before = x; x += 2\nr = x, before"),
        Row(("__add__",), "7", "x + x"),
        Row(("__add__",), "'a'", "x + 1"),
        Row(("__radd__",), "[1, 2]", "[0] + x"),
        Row(("__rmul__",), "3", "'ab' * x"),
        Row(("__neg__",), "Thing()", "-x"),
        Row(("__pos__",), "Thing()", "+x"),
        Row(("__abs__",), "Thing()", "abs(x)"),
        Row(("__invert__",), "Thing()", "~x"),
        Row(("__complex__",), "Thing()", "complex(x)"),
        Row(("__int__",), "Thing()", "int(x)"),
        Row(("__float__",), "Thing()", "float(x)"),
        Row(("__index__",), "Thing()", "('abc'[x], hex(x))"),
        Row(("__round__",), "Thing()", "(round(x), round(x, 1))"),
        Row(("__trunc__",), "Thing()", "math.trunc(x)"),
        Row(("__floor__",), "Thing()", "math.floor(x)"),
        Row(("__ceil__",), "Thing()", "math.ceil(x)"),
        Row(("__enter__", "__exit__"), "Context()", "with x as y: pass\nr = y, x.log"),
        Row(("__exit__",), "Context()", "with x: 1 / 0\nr = x.log"),
        Row(("__aenter__", "__aexit__"), "Context()", "async with x as y: 1 / 0\nr = y, x.log"),
        Row(("__aiter__", "__anext__"), "Ticker()", "r = [i async for i in x]"),
        Row(("__aiter__", "__anext__"), "Ticker()", "r = await anext(aiter(x))"),
    ]
    return rows


PRESENCE = "its presence alone changes what a thing is taken for"
ROWS = _rows()
LEFT_OUT = [
    Row(("__await__",), "Waitable()", "r = await x", f"{PRESENCE}: every proxy would be awaitable"),
    Row(("__fspath__",), "Located()", "os.fspath(x)", f"{PRESENCE}: every proxy would be a path"),
    Row(
        ("__buffer__", "__release_buffer__"),
        "b'bytes'",
        "bytes(memoryview(x))",
        f"{PRESENCE}: every proxy would be a buffer",
    ),
    Row(
        ("__length_hint__",),
        "iter([1, 2, 3])",
        "operator.length_hint(x)",
        "a hint that fails would be an error where no hint is none",
    ),
    Row(
        ("__get__",),
        "Descriptor()",
        "type('C', (), {'a': x})().a",
        f"{PRESENCE}: a proxy kept by a class would be called instead of given",
    ),
    Row(
        ("__set__",),
        "Descriptor()",
        "c = type('C', (), {'a': x})(); c.a = 5\nr = vars(c)",
        f"{PRESENCE}: a proxy kept by a class could not be replaced",
    ),
    Row(
        ("__delete__",),
        "Descriptor()",
        "c = type('C', (), {'a': x})(); del c.a\nr = vars(c)",
        f"{PRESENCE}: see `__set__`",
    ),
    Row(
        ("__set_name__",),
        "Descriptor()",
        "c = type('C', (), {'a': x})\nr = x.named",
        "a class that keeps a proxy would draw its object",
    ),
]
LIMITS = [
    Row(("str.join",), "'a'", "'-'.join([x, 'b'])", "C code that takes the characters of a real str"),
    Row(("json",), "{'a': 1}", "json.dumps(x)", "C code that asks for the type, not for the class"),
    Row(
        ("match",),
        "[1, 2]",
        "match x:\n  case [a, b]: r = a, b\n  case _: r = 'no sequence'",
        "the patterns `[…]` and `{…}` ask for a mark on the type",
    ),
    Row(("raise",), "KeyError('lost')", "r = raised(x)", "Python raises nothing but real exceptions"),
    Row(("memory",), "np.arange(3)", "bytes(memoryview(x)[:1])[:1]", "see `__buffer__`"),
    Row(
        ("ufunc",),
        "np.zeros(2)",
        "np.add([1, 2], 3, out=x).tolist()",
        "numpy writes to real arrays only; reading goes through `__array__` and the like",
    ),
    Row(
        ("list +=",),
        "[1]",
        "y = z = [0]; y += x; r = z",
        "Python asks the right operand's `__radd__` before the list: the name is bound to a new list",
    ),
]
NEVER = {
    "__new__": "makes an object: called by calling its class, which is forwarded",
    "__init__": "makes an object: called by calling its class, which is forwarded",
    "__del__": "ends an object: the end of the proxy is not the end of the object",
    "__slots__": "read from the class body when a class is made",
    "__weakref__": "the object's own list of its weak references",
    "__objclass__": "an attribute, read as any other",
    "__module__": "an attribute, read as any other",
    "__annotations__": "an attribute, read as any other",
}
"""Names of the data model which are looked up on nothing that a proxy stands for."""

_DATA_MODEL = """
__new__ __init__ __del__ __repr__ __str__ __bytes__ __format__ __lt__ __le__ __eq__ __ne__ __gt__ __ge__
__hash__ __bool__ __getattr__ __getattribute__ __setattr__ __delattr__ __dir__ __get__ __set__ __delete__
__objclass__ __slots__ __weakref__ __dict__ __init_subclass__ __set_name__ __mro_entries__ __prepare__
__class__ __instancecheck__ __subclasscheck__ __class_getitem__ __call__ __len__ __length_hint__
__getitem__ __setitem__ __delitem__ __missing__ __iter__ __next__ __reversed__ __contains__ __add__
__sub__ __mul__ __matmul__ __truediv__ __floordiv__ __mod__ __divmod__ __pow__ __lshift__ __rshift__
__and__ __xor__ __or__ __radd__ __rsub__ __rmul__ __rmatmul__ __rtruediv__ __rfloordiv__ __rmod__
__rdivmod__ __rpow__ __rlshift__ __rrshift__ __rand__ __rxor__ __ror__ __iadd__ __isub__ __imul__
__imatmul__ __itruediv__ __ifloordiv__ __imod__ __ipow__ __ilshift__ __irshift__ __iand__ __ixor__ __ior__
__neg__ __pos__ __abs__ __invert__ __complex__ __int__ __float__ __index__ __round__ __trunc__ __floor__
__ceil__ __enter__ __exit__ __match_args__ __buffer__ __release_buffer__ __await__ __aiter__ __anext__
__aenter__ __aexit__ __doc__ __name__ __qualname__ __module__ __bases__ __mro__ __annotations__
"""
DATA_MODEL = frozenset(_DATA_MODEL.split())
"""The special names of the language reference, chapter "Data model"."""


def _shared(row: Row) -> ppp.Proxy[Any]:
    return ppp.Proxy(row.make())


def _thread(row: Row) -> ppp.Proxy[Any]:
    return ppp.Proxy(fun=lambda _: row.make(), max_size=None)


def _pooled(row: Row) -> ppp.Proxy[Any]:
    return ppp.Proxy(fun=lambda _: row.make(), max_size=2, min_size=0)


def _werkzeug(row: Row) -> ppp.Proxy[Any]:
    return ppp.Proxy(fun=lambda _: row.make(), scope=ppp.Proxy.Scope.WERKZEUG, max_size=2, min_size=0)


MODES: dict[str, Callable[[Row], ppp.Proxy[Any]]] = {
    "SHARED": _shared,
    "THREAD": _thread,
    "THREAD with pool": _pooled,
    "WERKZEUG": _werkzeug,
}


def direct(row: Row) -> str:
    """Give the result on the object itself."""
    return row.run(row.make())


def through(row: Row, mode: str) -> str:
    """Give the result through a proxy of that kind, whose object has been drawn before."""
    proxy = MODES[mode](row)
    proxy._get_obj()
    try:
        return row.run(proxy)
    finally:
        proxy._ret_obj()
        if proxy._pool is not None:
            proxy._pool.shutdown()


def undrawn(row: Row, mode: str) -> str:
    """Give the result through a proxy of that kind which has no object yet: the code draws it."""
    proxy = MODES[mode](row)
    try:
        return row.run(proxy)
    finally:
        proxy._ret_obj()
        if proxy._pool is not None:
            proxy._pool.shutdown()


def _code(text: str) -> str:
    """Give a table cell with code in it."""
    if "|" not in text and "`" not in text:
        return f"`{text}`"
    escaped = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in html.unescape(text))
    return f"<code>{escaped}</code>"


def _table(rows: list[Row], *, reasons: bool, first: str = "special method") -> list[str]:
    heads = [first, "object `x`", "code", "on the object", *MODES]
    heads += ["why"] if reasons else []
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [", ".join(map(_code, row.names)), _code(row.thing), _code(row.shown), _code(direct(row))]
        cells += [_code(through(row, mode)) for mode in MODES]
        cells += [row.reason] if reasons else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def render() -> str:
    """Make the page: each row's result on the object and through each kind of proxy."""
    lines = [
        "# Conformance",
        "",
        "<!-- Written by `python tests/conformance.py`; a test compares it with what the code does. -->",
        "",
        "A proxy answers as the object it stands for. Each line was run on an object, and through proxies",
        "of such an object: shared, one a thread, one a thread from a pool, and one with werkzeug's scope.",
        "Where the code raises, the cell shows the exception.",
        "The objects are Python's own and those of `tests/conformance.py`.",
        "",
        "## Forwarded",
        "",
        *_table(ROWS, reasons=False),
        "",
        "## Left out on purpose",
        "",
        "These are not forwarded. Unwrap the object with `proxy._get_obj()` where they are needed.",
        "",
        *_table(LEFT_OUT, reasons=True),
        "",
        "## Out of reach",
        "",
        "Code that asks for the very type of a thing, most of it written in C, isn't satisfied by any proxy.",
        "Give it the object, `proxy._get_obj()`, or a plain copy, such as `str(proxy)` or `dict(proxy)`.",
        "",
        *_table(LIMITS, reasons=True, first="what"),
        "",
        "## Not looked up on an object",
        "",
        "| name | why |",
        "| --- | --- |",
        *[f"| {_code(name)} | {reason} |" for name, reason in NEVER.items()],
        "",
        "## The proxy's own",
        "",
        "`copy.copy(x)` and `copy.deepcopy(x)` give the proxy itself.",
        "Pickled, a proxy carries its configuration, or the object that it was given.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
