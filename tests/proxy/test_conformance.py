"""Every special method of the data model, through a proxy beside the object itself."""

from __future__ import annotations

import helpers_conformance
import pytest
from helpers_conformance import LEFT_OUT, LIMITS, MODES, ROWS, Row, direct, through

import ProxyPatternPool as ppp

CELLS = [pytest.param(row, mode, id=f"{row} [{mode}]") for row in ROWS for mode in MODES]
NOT_DRAWING = """
repr(x) | f'{x!r}' | bool(x) | 'yes' if x else 'no' | dir(x) | isinstance(x, Thing) | x.__class__.__name__
vars(x) | x.__doc__ | (x.__name__, x.__qualname__) | (x.__bases__, x.__mro__) | issubclass(x, int)
match x: case Thing(a, b): r = a, b | class C(metaclass=x): pass; r = C.prepared
x.x = 3; r = vars(x) | del x.x; r = vars(x) | x.colour = 3; r = x.log | del x.colour; r = x.log
"""
LOOKS = {code.strip() for line in NOT_DRAWING.splitlines() for code in line.split("|")}
"""Code that draws nothing: before there is an object it tells of the proxy, and changes that."""


@pytest.mark.parametrize(("row", "mode"), CELLS)
def test_same_through_the_proxy(row: Row, mode: str) -> None:
    """The result through the proxy is the object's own, also where this code is the first to need it."""
    expected = direct(row)
    assert through(row, mode) == expected
    if row.shown not in LOOKS:
        assert through(row, mode, drawn=False) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", LEFT_OUT, ids=str)
def test_left_out(row: Row, mode: str) -> None:
    """What is left out on purpose is absent from the class, and doesn't reach the object."""
    for kind in (ppp.Proxy, type(MODES[mode](row))):
        assert not any(name in vars(base) for name in row.names for base in kind.__mro__)
    assert through(row, mode) != direct(row)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", LIMITS, ids=str)
def test_out_of_reach(row: Row, mode: str) -> None:
    """What no proxy can satisfy is as the page says: it works on the object alone."""
    assert through(row, mode) != direct(row)
    assert "Error" not in direct(row) or row.names == ("raise",)


def test_every_special_method_has_its_row() -> None:
    """Each special name of the language reference is forwarded, left out with a reason, or neither."""
    named = {name for row in [*ROWS, *LEFT_OUT] for name in row.names} | set(helpers_conformance.NEVER)
    assert helpers_conformance.DATA_MODEL - named == set()
    assert all(row.reason for row in [*LEFT_OUT, *LIMITS])


def test_page_is_up_to_date() -> None:
    """The page of the docs shows what the code does; `python tests/helpers_conformance.py` writes it anew."""
    assert helpers_conformance.PAGE.read_text(encoding="utf-8") == helpers_conformance.render()
