"""Objects of numpy and unittest.mock behind a proxy, and what IPython finds when it looks at one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock, call

import numpy as np
import pytest
from conftest import Keep
from helpers import numbers
from IPython.core.completer import IPCompleter, provisionalcompleter
from IPython.core.formatters import DisplayFormatter
from IPython.lib.pretty import pretty

import ProxyPatternPool as ppp


def uses(array: Any, plain: Any) -> list[Any]:
    """Use an array: arithmetic on either side, slicing, comparison, ufuncs, reductions, and its protocols."""
    arithmetic = [1 - array, array @ array.T, plain + array, plain @ array.T, 2**array]
    looks = [array[array > 2], array == plain, plain < array, np.where(array > 2, array, 0)]
    reductions = [np.sin(array), np.add(array, array), np.concatenate([array, plain]), array.sum(axis=0)]
    return [*arithmetic, *looks, *reductions, np.array(array, dtype=int)]


def test_numpy_array() -> None:
    """An array is used as itself, and changed in place through the proxy, which stays."""
    plain = np.arange(6.0).reshape(2, 3)
    array: Any = ppp.Proxy(plain.copy())
    for found, wanted in zip(uses(array, plain), uses(plain, plain), strict=True):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, wanted)
    index: Any = ppp.Proxy(1)
    assert (array.shape, len(array), 5.0 in array, np.ones(2)[index]) == ((2, 3), 2, True, 1.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(array)
    handle = array
    handle += 1
    assert handle is array
    handle[:, 1] *= 2
    np.testing.assert_array_equal(array._get_obj(), [[1, 4, 3], [4, 10, 6]])
    with pytest.raises(TypeError):  # C interfaces want a real array, or a buffer
        memoryview(array)
    with pytest.raises(TypeError):
        np.add(plain, 1, out=array)


def test_magic_mock() -> None:
    """A `MagicMock` is configured and called through the proxy, and asked what was done with it."""
    thing: Any = ppp.Proxy(MagicMock())
    thing.query.return_value = [1]
    thing.__enter__.return_value = "entered"
    with thing as entered:
        assert (entered, thing.query("x", y=2)) == ("entered", [1])
    assert thing(3) is thing.return_value
    assert thing.method_calls == [call.query("x", y=2)]
    del thing.gone
    assert not hasattr(thing, "gone")


@pytest.fixture(params=[{}, {"fun": MagicMock, "min_size": 0}], ids=["unset", "not made"])
def looked_at(request: pytest.FixtureRequest, keep: Keep) -> Iterator[Any]:
    """A proxy without an object, which nobody has asked for at the end."""
    proxy = keep(ppp.Proxy(**request.param))
    yield proxy
    assert not proxy._has_obj()
    assert proxy._pool is None or numbers(proxy._pool, "ncreating nuses") == [0, 0]


def test_ipython_prints(looked_at: Any) -> None:
    """IPython shows a proxy as a plain text, without drawing its object."""
    assert pretty(looked_at) == repr(looked_at)  # type: ignore[no-untyped-call]
    data, _ = DisplayFormatter().format(looked_at)  # type: ignore[no-untyped-call]
    assert data == {"text/plain": repr(looked_at)}


@pytest.mark.parametrize("jedi", [False, True])
def test_ipython_completes(looked_at: Any, jedi: bool) -> None:
    """IPython completes a proxy's own names, without drawing its object."""
    make: Any = IPCompleter
    completer = make(namespace={"db": looked_at}, global_namespace={}, use_jedi=jedi)
    completer.jedi_compute_type_timeout = 5000
    completer.disable_matchers = [f"IPCompleter.magic_{kind}matcher" for kind in ("", "config_", "color_")]
    for text in ("db.", "db._", "db['", "str(db", "db.set_o"):
        with provisionalcompleter():
            found = [completion.text for completion in completer.completions(text, len(text))]
    assert any("set_obj" in text for text in found)
