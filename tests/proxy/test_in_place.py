"""In place operators: the proxy is given back where its object changed, else the new value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from helpers_proxy import drawn, in_place, of_each_kind

import ProxyPatternPool as ppp


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


def test_object_that_cannot_change() -> None:
    """Where there is a new value, the name has that, and the proxy stands for its object as before."""
    for thing, other, result in ((7, 1, 8), ((1,), (2,), (1, 2)), ("a", "b", "ab")):
        for proxy in of_each_kind(thing):
            name = in_place(proxy, other)
            assert (type(name), name, proxy) == (type(result), result, thing)
            assert proxy._get_obj() is thing


def test_item_and_attribute() -> None:
    """In place on an item or an attribute of the object changes the object."""
    thing = SimpleNamespace(count=0, items=[0])
    for number, proxy in enumerate(drawn(thing)):
        proxy.count += 5
        proxy.items[0] += 1
        assert (thing.count, thing.items) == (5 * (number + 1), [number + 1])


def test_value_given_back_counts_by_identity() -> None:
    """Another object that is equal is a new value."""

    class Equal:
        def __iadd__(self, other: object) -> Equal:
            return Equal()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    for proxy in of_each_kind(Equal()):
        result = in_place(proxy)
        assert type(result) is Equal
        assert result is not proxy._get_obj()


def test_subclass_s_own() -> None:
    """An in place operator that a subclass defines is its own."""

    class Own(ppp.Proxy[Any]):
        def __iadd__(self, other: object) -> Any:  # type: ignore[misc]
            return f"own {other}"

    assert in_place(Own([1]), 2) == "own 2"
