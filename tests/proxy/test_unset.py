"""An unset proxy says so: what it answers, what is an error, and that it can be set afterwards."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from helpers_proxy import USES, is_instance

import ProxyPatternPool as ppp


def proxies() -> list[Any]:
    """Give proxies that are unset: from the beginning, and again."""
    return [ppp.Proxy(), ppp.Proxy(set_name="put", max_size=2), ppp.Proxy[Any]([1])._set_obj(None)]


def test_answers() -> None:
    """Text, formatting, truth, equality, names, classes and copies: an unset proxy answers for itself."""
    other: Any = ppp.Proxy()
    for proxy in proxies():
        texts = {repr(proxy), str(proxy), f"{proxy}", f"{proxy!r}", format(proxy), f"{proxy!s}", "%s" % proxy}  # noqa: UP031
        assert texts == {"<Proxy unset>"}
        assert bool(proxy) is False
        assert [proxy == thing for thing in (proxy, other, None, 1)] == [True, False, False, False]
        assert [proxy != thing for thing in (proxy, other, None)] == [False, True, True]
        assert {"_set", "_get_obj"} <= set(dir(proxy))
        assert not is_instance(proxy, (int, list, type))
        assert issubclass(proxy.__class__, ppp.Proxy)
        assert copy.copy(proxy) is copy.deepcopy([proxy])[0] is proxy
        assert repr(pickle.loads(pickle.dumps(proxy))) == "<Proxy unset>"
        assert proxy._has_obj() is False
        proxy._ret_obj()
        proxy._invalidate_obj()


@pytest.mark.parametrize("use", USES)
def test_uses(use: str) -> None:
    """Every use of the object that is not there is `ProxyUnset`, without context; then it can be set."""
    for proxy in proxies():
        with pytest.raises(ppp.ProxyUnset) as raised:
            USES[use](proxy)
        assert (raised.value.__context__, raised.value.__cause__) == (None, None)
        proxy._set([1, 2])
        assert (repr(proxy), bool(proxy), proxy == [1, 2], len(proxy)) == ("[1, 2]", True, True, 2)


def test_no_attributes() -> None:
    """`hasattr` and `getattr` with a default find nothing in an unset proxy but its own names."""
    proxy: Any = ppp.Proxy()
    for name in "x _x __x__ __wrapped__ __version__ __html__ _repr_html_ mro __name__".split():
        assert not hasattr(proxy, name)
        assert getattr(proxy, name, "default") == "default"
    assert hasattr(proxy, "_get_obj")
    assert issubclass(ppp.ProxyUnset, ppp.ProxyException)
    assert issubclass(ppp.ProxyUnset, AttributeError)


def test_subclass() -> None:
    """A subclass's names are its own while it is unset, also before it has called the proxy's `__init__`."""

    class Hasty(ppp.Proxy[Any]):
        label = "books"

        def __init__(self) -> None:
            self.seen = self._has_obj(), bool(self), "_get_obj" in dir(self), hasattr(self, "x")
            self.text = repr(self)
            super().__init__()

    hasty: Any = Hasty()
    assert hasty.seen == (False, False, True, False)
    assert hasty.text.endswith(" unset>")
    assert hasty.label == "books"
    with pytest.raises(ppp.ProxyUnset):
        _ = hasty.other


def test_proxy_of_an_unset_proxy() -> None:
    """A proxy of a proxy which is set later is unset until then."""
    inner: Any = ppp.Proxy()
    outer: Any = ppp.Proxy(inner)
    assert not hasattr(outer, "append")
    with pytest.raises(ppp.ProxyUnset):
        len(outer)
    inner.set([1])
    outer.append(2)
    assert (inner, outer[1]) == ([1, 2], 2)
