"""Forwarding: every special method beside the object itself, the rules of operands, and kinds of objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers_conformance import DATA_MODEL, MODES, ROWS, Row, direct, through
from helpers_proxy import of_each_kind

import ProxyPatternPool as ppp

NOT_DRAWING = """
repr(x) | f'{x!r}' | bool(x) | 'yes' if x else 'no' | dir(x) | (isinstance(x, Thing), x.__class__.__name__)
vars(x) | x.__doc__ | (x.__name__, x.__qualname__) | (x.__bases__, x.__mro__) | issubclass(x, int)
match x: case Thing(a, b): r = a, b | class C(metaclass=x): pass; r = C.prepared | (x.__name__, x.__doc__)
x.x = 3; r = vars(x) | del x.x; r = vars(x) | x.colour = 3; r = x.log | del x.colour; r = x.log
str(inspect.signature(x)) | (x.__html__, hasattr(x, '__nothing__'))
"""
LOOKS = {code.strip() for line in NOT_DRAWING.splitlines() for code in line.split("|")}
"""Code that draws nothing: before there is an object it tells of the proxy, and changes that."""
PAGE = (Path(__file__).parents[2] / "docs" / "pages" / "conformance.md").read_text(encoding="utf-8")
DIFFERENT = re.findall(
    r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \| .+ \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_same_through_the_proxy(row: Row, mode: str) -> None:
    """The result through the proxy is the object's own, also where this code is the first to need it."""
    expected = direct(row)
    assert through(row, mode) == expected
    if row.shown not in LOOKS:
        assert through(row, mode, drawn=False) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("names", "thing", "code", "on_object", "on_proxy"), DIFFERENT)
def test_as_the_page_says(
    names: str, thing: str, code: str, on_object: str, on_proxy: str, mode: str
) -> None:
    """What the page of the docs lists is absent from the class, and gives what the page says."""
    row = Row(names.replace("`", ""), thing, code.replace(" case", "\n  case"))
    assert (direct(row), through(row, mode)) == (on_object, on_proxy)
    for kind in (ppp.Proxy, type(MODES[mode](row))):
        assert not any(name in vars(base) for name in row.names for base in kind.__mro__)


def test_every_special_method_has_its_row() -> None:
    """Each special name of the language reference is forwarded, or has its row and reason on the page."""
    forwarded = {name for row in ROWS for name in row.names}
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
