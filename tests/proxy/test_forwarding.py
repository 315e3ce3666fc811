"""Forwarding: every special method beside the object itself, the rules of operands, and kinds of objects."""

from __future__ import annotations

from typing import Any

import helpers_conformance
import pytest
from helpers_conformance import LEFT_OUT, LIMITS, MODES, REASONS, ROWS, Row, direct, through
from helpers_proxy import of_each_kind

import ProxyPatternPool as ppp

NOT_DRAWING = """
repr(x) | f'{x!r}' | bool(x) | 'yes' if x else 'no' | dir(x) | isinstance(x, Thing) | x.__class__.__name__
vars(x) | x.__doc__ | (x.__name__, x.__qualname__) | (x.__bases__, x.__mro__) | issubclass(x, int)
match x: case Thing(a, b): r = a, b | class C(metaclass=x): pass; r = C.prepared | (x.__name__, x.__doc__)
x.x = 3; r = vars(x) | del x.x; r = vars(x) | x.colour = 3; r = x.log | del x.colour; r = x.log
str(inspect.signature(x)) | (x.__array_priority__, hasattr(x, '__nothing__'))
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
