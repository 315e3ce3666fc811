"""What a draw raises is the user's error, and nothing of ours stands before it in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from helpers_proxy import USES, Keep, Scope, held_elsewhere, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

KINDS = ["pool", "THREAD", "SHARED", "WERKZEUG"]
ALL_USES: dict[str, Callable[[Any], Any]] = {
    **USES,
    "hasattr": lambda p: hasattr(p, "x"),
    "equality": lambda p: p == 1,
    "text": str,
}


def make(kind: str, fun: Callable[[int], Any]) -> Any:
    """Build a proxy that draws by a function."""
    if kind == "pool":
        return ppp.Proxy(fun=fun, max_size=1, min_size=0, timeout=0)
    return ppp.Proxy(fun=fun, max_size=None, scope=Scope[kind])


def raised_by(use: Callable[[Any], Any], proxy: Any, kind: type[BaseException]) -> BaseException:
    """Give what a use raises, which has neither cause nor context."""
    with pytest.raises(kind) as raised:
        use(proxy)
    assert (raised.value.__context__, raised.value.__cause__) == (None, None)
    return raised.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ALL_USES)
def test_error_of_the_function(keep: Keep, use: str, kind: str) -> None:
    """An error of `fun` comes out as it is, with neither cause nor context."""
    error = OSError("down")
    proxy = keep(make(kind, mock.Mock(side_effect=error)))
    assert raised_by(ALL_USES[use], proxy, OSError) is error


@pytest.mark.parametrize("use", ALL_USES)
def test_time_out(keep: Keep, use: str) -> None:
    """A `TimeOut` comes out with neither cause nor context."""
    proxy = keep(ppp.Proxy(fun=lambda _: mock.MagicMock(), max_size=1, timeout=0))
    with held_elsewhere(proxy):
        raised_by(ALL_USES[use], proxy, ppp.TimeOut)


@pytest.mark.parametrize("kind", KINDS)
def test_context_is_the_user_s(keep: Keep, kind: str) -> None:
    """Where the user handles an error already, that is the context, and nothing else."""
    proxy = keep(make(kind, mock.Mock(side_effect=OSError("down"))))
    mine = KeyError("mine")
    for use in ("attribute", "length", "block"):
        try:
            raise mine
        except KeyError:
            with pytest.raises(OSError, match="down") as raised:
                USES[use](proxy)
        assert raised.value.__context__ is mine
        assert mine.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ALL_USES)
def test_function_raising_attribute_error(keep: Keep, use: str, kind: str) -> None:
    """An `AttributeError` of `fun` is the cause of another error: no attribute is missing."""
    cause = AttributeError("no driver")
    fun = mock.Mock(side_effect=cause)
    proxy = keep(make(kind, fun))
    with pytest.raises(ppp.ProxyException) as raised:
        ALL_USES[use](proxy)
    assert not isinstance(raised.value, AttributeError)
    assert raised.value.__cause__ is cause
    assert not proxy._has_obj()
    fun.side_effect = lambda number: [1]
    assert proxy == [1]


def test_attribute_error_of_an_object_is_not_ours(keep: Keep) -> None:
    """A missing attribute is the object's own error, without context."""
    for proxy in (ppp.Proxy([1]), keep(ppp.Proxy(fun=lambda n: [n], max_size=1))):
        error = raised_by(lambda p: p.nothing, proxy, AttributeError)
        assert "'list' object has no attribute 'nothing'" in str(error)


def test_error_of_the_body_has_no_context(keep: Keep) -> None:
    """An error that leaves a block has no context of ours, though its end returns the object."""
    proxy = keep(ppp.Proxy(fun=lambda n: [n], max_size=1))
    with pytest.raises(ValueError, match="no") as raised, proxy._obj(), proxy._obj():
        raise ValueError("no")
    assert raised.value.__context__ is None
