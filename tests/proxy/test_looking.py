"""Looking draws nothing: what a proxy answers before its thread has an object, and to tools."""

from __future__ import annotations

import collections
import contextlib
import copy
import inspect
import io
import pdb
import pprint
import pydoc
import rlcompleter
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import Keep
from helpers import numbers, run_well
from helpers_proxy import Scope, held_elsewhere, in_thread, is_instance

import ProxyPatternPool as ppp


class Connection:
    """A connection with special methods and annotations, which is what probes like to find."""

    timeout: float = 1.0

    def query(self) -> str:
        return "answer"

    __len__ = __call__ = __enter__ = __exit__ = __html__ = query


STATES: dict[str, dict[str, Any]] = {
    "not made": {"max_size": 1, "min_size": 0},
    "idle": {"max_size": 1},
    "held elsewhere": {"max_size": 1, "timeout": 0.2},
    "drawn and returned": {"max_size": 1},
    "without a pool": {"max_size": None},
    "shared, not made": {"scope": Scope.SHARED},
    "unset": {},
}


@pytest.fixture(params=STATES)
def undrawn(request: pytest.FixtureRequest, keep: Keep) -> Iterator[Any]:
    """A proxy in each state in which this thread has no object; after the test nothing was made or taken."""
    make = mock.Mock(side_effect=lambda _: Connection())
    fun = None if request.param == "unset" else make
    proxy = keep(ppp.Proxy(fun=fun, **STATES[request.param]))

    def known() -> Any:
        counted = proxy._pool and numbers(proxy._pool, "nuses ncreating ntimeouts nwaits navail nusing")
        return make.call_count, proxy._has_obj(), counted

    with held_elsewhere(proxy) if request.param == "held elsewhere" else contextlib.nullcontext():
        if request.param == "drawn and returned":
            proxy._get_obj()
            proxy._ret_obj()
        before = known()
        yield proxy
        assert known() == before


PROBED = """
__wrapped__ __nothing__ __array__ __dataframe__ __await__ __fspath__ __get__ __set__ __set_name__ __code__
__test__ __isabstractmethod__ __clause_element__ __name__ __file__ __path__ __spec__ __rich_repr__ __pretty__
_ipython_display_ _ipython_canary_method_should_not_exist_ _repr_html_ _repr_mimebundle_ _mock_name _mock_self
_is_coroutine_marker pytestmark hypothesis _pytestfixturefunction
pytest_mock_example_attribute_that_shouldnt_exist
""".split()
"""Names that tools look for on whatever they meet."""


def test_answers(undrawn: Any) -> None:
    """Text, truth, names, classes, copies, bound special methods and `__exit__` draw no object."""
    unset = undrawn._fun is None
    assert repr(undrawn).startswith("<Proxy")
    assert (repr(undrawn) == "<Proxy unset>") is unset is not bool(undrawn)
    assert f"{[undrawn]}" == pprint.pformat([undrawn]) == f"[{undrawn!r}]"
    assert {"_set", "_get_obj", "_ret_obj"} <= set(dir(undrawn))
    assert is_instance(undrawn, ppp.Proxy)
    assert not is_instance(undrawn, (int, list, type, BaseException))
    assert copy.copy(undrawn) is copy.deepcopy([undrawn])[0] is undrawn
    undrawn._ret_obj()
    undrawn.__exit__(None, None, None)
    for name in ("__len__", "__call__", "__enter__", "__exit__", "__eq__"):
        assert callable(getattr(undrawn, name))


def test_probed_names(undrawn: Any) -> None:
    """Special names that the object's class doesn't define, and names that tools look for, draw nothing."""
    assert [name for name in PROBED if hasattr(undrawn, name)] == []


@pytest.mark.parametrize("name", ["_fields", "_asdict", "x", "count"])
def test_names_that_objects_have_are_used(name: str) -> None:
    """A public name, or one that an object may well have, is real use: it draws."""
    point = collections.namedtuple("point", "x y")
    proxy: Any = ppp.Proxy(fun=lambda _: point(1, 2), max_size=None)
    assert hasattr(proxy, name)
    assert proxy._has_obj()


def test_special_name_of_a_known_class_is_used(keep: Keep) -> None:
    """Once an object was made, its class's special names are found in every thread; `__exit__` draws none."""
    proxy = keep(ppp.Proxy(fun=lambda _: Connection(), max_size=2, min_size=0, max_use=1))
    with proxy:
        proxy._ret_obj()
    assert (proxy._has_obj(), proxy._pool._ncreated) == (False, 1)
    assert in_thread(lambda: proxy.__html__()) == "answer"
    assert not in_thread(lambda: hasattr(proxy, "__nothing__"))
    ahead = keep(ppp.Proxy(fun=lambda _: Connection(), max_size=1))  # the pool has made one
    assert (hasattr(ahead, "__nothing__"), ahead._has_obj(), ahead.__html__()) == (False, False, "answer")


def test_signature_of_what_has_none() -> None:
    """Whether there is a signature can be asked of a proxy of anything, as of the object."""
    for obj in ([1], min):
        assert not hasattr(ppp.Proxy(obj), "__signature__")
    with pytest.raises(TypeError, match="not a callable object"):
        inspect.signature(ppp.Proxy([1]))


def _inspect(proxy: Any) -> None:
    assert "_get_obj" in dict(inspect.getmembers(proxy))
    assert inspect.unwrap(proxy) is proxy
    for name, question in vars(inspect).items():
        if name.startswith("is") and inspect.isfunction(question) and question.__module__ == "inspect":
            assert not question(proxy), name
    inspect.getdoc(proxy), inspect.getmodule(proxy), inspect.getcomments(proxy)
    for ask in (inspect.getfile, inspect.getsource, inspect.signature):
        with contextlib.suppress(ValueError, TypeError):
            ask(proxy)
    completer = rlcompleter.Completer({"db": proxy})
    assert str(completer.complete("db._get_o", 0)).startswith("db._get_obj")


def _pydoc(proxy: Any) -> None:
    assert "Proxy" in pydoc.plain(pydoc.render_doc(proxy))
    module: Any = types.ModuleType("application")
    module.db = proxy
    assert "db" in pydoc.plain(pydoc.render_doc(module))
    pydoc.html.page("db", pydoc.html.document(module))


def _mock(proxy: Any) -> None:
    module = types.SimpleNamespace(db=proxy)
    for options in ({}, {"spec": True}, {"autospec": True}, {"new": 5}):
        with mock.patch.object(module, "db", **options):
            assert module.db is not proxy
        assert module.db is proxy
    mock.create_autospec(proxy)
    mock.seal(mock.MagicMock(db=proxy))
    mock.MagicMock(name="caller")(proxy)
    mock.Mock(return_value=proxy, wraps=proxy)


def _pdb(proxy: Any) -> None:
    commands = "p db|pp db|whatis db|display db|!type(db)|args|next|where|continue|".replace("|", "\n")
    out = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO(commands), stdout=out, nosigint=True, readrc=False)
    tracer = sys.gettrace()
    try:
        debugger.runcall(lambda db: 1, proxy)
    finally:
        sys.settrace(tracer)
    assert out.getvalue().count(repr(proxy)) >= 3
    assert "Error" not in out.getvalue()


@pytest.mark.parametrize("probe", [_inspect, _pydoc, _mock, _pdb])
def test_tools_draw_nothing(probe: Callable[[Any], None], undrawn: Any) -> None:
    """Tools that look at a proxy make no object, take none, and wait for none that another thread has."""
    probe(undrawn)


APPLICATION = """
'''An application.

>>> 1 + 1
2
'''
import ProxyPatternPool as ppp

def refuse(number):
    raise SystemExit("drawn!")

test_tube = TestTube = unset = ppp.Proxy()
test_never = TestNever = never = ppp.Proxy(fun=refuse, max_size=1, min_size=0)
test_alone = TestAlone = alone = ppp.Proxy(fun=refuse, max_size=None)
test_empty = TestEmpty = empty = ppp.Proxy(fun=lambda number: [number], max_size=1)
empty._pool.get()


def test_one(monkeypatch):
    assert not unset and never and alone and empty
    assert empty._pool.stats()["nuses"] == 1
    monkeypatch.setattr("test_application.empty", 1)
    assert empty == 1
"""


def test_pytest_collects_modules_with_proxies(tmp_path: Path) -> None:
    """pytest collects and runs a module with proxies at its top level, drawing and awaiting nothing."""
    (tmp_path / "test_application.py").write_text(APPLICATION)
    program = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    options = ["-q", "-p", "no:cacheprovider", "--timeout=20", "--doctest-modules", f"--rootdir={tmp_path}"]
    said = run_well(program, *options, str(tmp_path), PYTEST_ADDOPTS="")
    assert "2 passed" in said
    assert "drawn!" not in said
