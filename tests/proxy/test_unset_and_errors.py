"""An unset proxy says so, and what a draw raises is the user's error, with nothing of ours before it."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from conftest import Keep
from helpers_proxy import Scope

import ProxyPatternPool as ppp

KINDS: dict[str, dict[str, Any]] = {
    "pool": {"max_size": 1, "min_size": 0, "timeout": 0},
    "THREAD": {"max_size": None},
    "SHARED": {"scope": Scope.SHARED},
    "WERKZEUG": {"scope": Scope.WERKZEUG, "max_size": None},
}
USES = """p.x | p._conn | hash(p) | len(p) | iter(p) | p() | p[0] | p[0] = 1 | del p[0] | 1 in p
    | p + 1 | 1 + p | p += 1 | -p | p < 1 | int(p) | with p: pass
    | p._get_obj() | p._get_obj(0) | p._obj().__enter__()"""
NEEDS = [use.strip() for use in USES.split("|")]
"""Uses of a proxy that need its object."""
ALL_USES = [*NEEDS, "hasattr(p, 'x')", "p == 1", "str(p)"]


def run(use: str, proxy: Any) -> None:
    exec(use, {"p": proxy})


def raised_by(use: str, proxy: Any, kind: type[BaseException]) -> BaseException:
    """Give what a use raises, which has neither cause nor context."""
    with pytest.raises(kind) as raised:
        run(use, proxy)
    assert (raised.value.__context__, raised.value.__cause__) == (None, None)
    return raised.value


def proxies() -> list[Any]:
    """Give proxies that are unset: from the beginning, and again."""
    return [ppp.Proxy(), ppp.Proxy(set_name="put", max_size=2), ppp.Proxy[Any]([1])._set_obj(None)]


def test_answers() -> None:
    """Text, formatting, truth, equality and names: an unset proxy answers for itself."""
    other: Any = ppp.Proxy()
    for proxy in proxies():
        texts = {repr(proxy), str(proxy), f"{proxy}", f"{proxy!r}", format(proxy), f"{proxy!s}", "%s" % proxy}  # noqa: UP031
        assert texts == {"<Proxy unset>"}
        assert bool(proxy) is False
        assert [proxy == thing for thing in (proxy, other, None, 1)] == [True, False, False, False]
        assert [proxy != thing for thing in (proxy, other, None)] == [False, True, True]
        assert proxy._has_obj() is False
        for name in ("x", "_x", "__x__"):
            assert getattr(proxy, name, "default") == "default"
            with pytest.raises(AttributeError):
                delattr(proxy, name)


@pytest.mark.parametrize("use", NEEDS)
def test_uses(use: str) -> None:
    """Every use of the object that is not there is `ProxyUnset`, without context; then it can be set."""
    for proxy in proxies():
        raised_by(use, proxy, ppp.ProxyUnset)
        proxy._set([1, 2])
        assert (repr(proxy), bool(proxy), proxy == [1, 2], len(proxy)) == ("[1, 2]", True, True, 2)


def test_subclass() -> None:
    """A subclass's names are its own while it is unset, also before it has called the proxy's `__init__`."""

    class Hasty(ppp.Proxy[Any]):
        label = "books"

        def __init__(self) -> None:
            self.early = self._has_obj(), bool(self), "_get_obj" in dir(self), hasattr(self, "x")
            self.text = repr(self)
            super().__init__()

    hasty: Any = Hasty()
    assert (hasty.early, hasty.label) == ((False, False, True, False), "books")
    assert hasty.text.endswith(" unset>")
    with pytest.raises(ppp.ProxyUnset):
        _ = hasty.other


# errors of a draw


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ALL_USES)
def test_error_of_the_function(keep: Keep, use: str, kind: str) -> None:
    """An error of `fun` comes out as it is, with neither cause nor context but the user's own."""
    error, mine = OSError("down"), KeyError("mine")
    proxy = keep(ppp.Proxy(fun=mock.Mock(side_effect=error), **KINDS[kind]))
    assert raised_by(use, proxy, OSError) is error
    try:
        raise mine
    except KeyError:
        with pytest.raises(OSError, match="down") as raised:
            run(use, proxy)
    assert (raised.value.__context__, mine.__context__) == (mine, None)


@pytest.mark.parametrize("use", ALL_USES)
def test_time_out(keep: Keep, use: str) -> None:
    """A `TimeOut` comes out with neither cause nor context."""
    proxy = keep(ppp.Proxy(fun=lambda _: mock.MagicMock(), max_size=1, timeout=0))
    proxy._pool.get()
    raised_by(use, proxy, ppp.TimeOut)


@pytest.mark.parametrize("cause", [AttributeError("no driver"), ppp.ProxyUnset("another one")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ALL_USES)
def test_function_raising_attribute_error(keep: Keep, use: str, kind: str, cause: Exception) -> None:
    """An `AttributeError` of `fun` is the cause of another error; the next try is for the same number."""
    proxy = keep(ppp.Proxy(fun=mock.Mock(side_effect=cause), **KINDS[kind]))
    with pytest.raises(ppp.ProxyException) as raised:
        run(use, proxy)
    assert (isinstance(raised.value, AttributeError), raised.value.__cause__) == (False, cause)
    assert not proxy._has_obj()
    proxy._fun.side_effect = lambda number: [number]
    assert proxy == [0]
    assert proxy._nobjs == 1
