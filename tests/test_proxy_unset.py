"""What a proxy answers before it has an object: unset, not drawn yet, or held by another thread."""

from __future__ import annotations

import copy
import doctest
import inspect
import operator
import os
import pickle
import pprint
import pydoc
import rlcompleter
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import Task, run_python
from proxies import Keep, held_elsewhere, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

# Unset


def test_unset_exception() -> None:
    """`ProxyUnset` is a proxy error and an attribute error."""
    assert issubclass(ppp.ProxyUnset, ppp.ProxyException)
    assert issubclass(ppp.ProxyUnset, AttributeError)


def test_unset_answers() -> None:
    """Text, truth, equality, names, classes, copies: an unset proxy answers for itself."""
    proxy: Any = ppp.Proxy()
    other: Any = ppp.Proxy()
    assert repr(proxy) == f"{proxy!r}" == "<Proxy unset>"
    assert bool(proxy) is False
    assert not proxy
    assert (proxy == proxy, proxy == other, proxy == None, proxy == 1) == (True, False, False, False)  # noqa: E711
    assert (proxy != proxy, proxy != other, proxy != None) == (False, True, True)  # noqa: E711
    assert {"set", "set_obj", "set_fun", "_get_obj"} <= set(dir(proxy))
    assert isinstance(proxy, ppp.Proxy)
    assert not isinstance(proxy, (int, list, type))
    assert proxy.__class__ is ppp.Proxy
    assert copy.copy(proxy) is proxy
    assert copy.deepcopy(proxy) is proxy
    assert copy.deepcopy([proxy])[0] is proxy
    assert proxy._has_obj() is False
    proxy._ret_obj()


def in_place(thing: Any) -> Any:
    """Give what `+=` gives."""
    thing += 1
    return thing


USES: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda p: p.x,
    "underscore attribute": lambda p: p._conn,
    "special attribute": lambda p: p.__version__,
    "writing": lambda p: setattr(p, "x", 1),
    "deleting": lambda p: delattr(p, "x"),
    "str": str,
    "hash": hash,
    "len": len,
    "iter": iter,
    "call": lambda p: p(),
    "getitem": lambda p: p[0],
    "setitem": lambda p: operator.setitem(p, 0, 1),
    "delitem": lambda p: operator.delitem(p, 0),
    "in": lambda p: 1 in p,
    "add": lambda p: p + 1,
    "reflected add": lambda p: 1 + p,
    "in place": in_place,
    "negation": operator.neg,
    "less": lambda p: p < 1,
    "int": int,
    "format": lambda p: format(p, "x"),
    "enter": lambda p: p.__enter__(),
    "get": lambda p: p._get_obj(),
    "get with timeout": lambda p: p._get_obj(0),
    "block": lambda p: p._obj().__enter__(),
}


@pytest.mark.parametrize("what", USES)
def test_unset_uses(what: str) -> None:
    """Every use of the object that is not there is `ProxyUnset`."""
    with pytest.raises(ppp.ProxyUnset):
        USES[what](ppp.Proxy())


def test_unset_with() -> None:
    """`with` on an unset proxy is `ProxyUnset`, and the body is not run."""
    ran: list[bool] = []
    with pytest.raises(ppp.ProxyUnset), ppp.Proxy():
        ran.append(True)
    assert ran == []


def test_unset_has_no_attributes() -> None:
    """`hasattr` and `getattr` with a default find nothing in an unset proxy but its own names."""
    proxy: Any = ppp.Proxy()
    for name in ("x", "_x", "__x__", "__wrapped__", "__version__", "__html__", "_repr_html_"):
        assert not hasattr(proxy, name)
        assert getattr(proxy, name, "default") == "default"
    assert hasattr(proxy, "_get_obj")


def test_unset_can_be_set_after_all_that() -> None:
    """Having been looked at changes nothing: the proxy can be set, and works."""
    proxy: Any = ppp.Proxy()
    for use in USES.values():
        with pytest.raises(ppp.ProxyUnset):
            use(proxy)
    proxy.set([1, 2])
    assert (repr(proxy), bool(proxy), proxy == [1, 2], len(proxy)) == ("[1, 2]", True, True, 2)


def test_unset_subclass_names_itself() -> None:
    """The text of an unset proxy is the same for a subclass whose names are its own."""

    class Reference(ppp.Proxy[Any]):
        label = "books"

    proxy: Any = Reference()
    assert proxy.label == "books"
    assert repr(proxy).endswith(" unset>")
    with pytest.raises(ppp.ProxyUnset):
        _ = proxy.other


# Not drawn yet


class Connection:
    """A connection with special methods and annotations, which is what probes like to find."""

    timeout: float = 1.0

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __call__(self) -> str:
        return "called"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __html__(self) -> str:
        return "<b>connection</b>"

    def __repr__(self) -> str:
        return "Connection()"

    def query(self) -> str:
        """Answer."""
        return "answer"


class Undrawn:
    """A proxy with a function that counts its calls; this thread has no object."""

    def __init__(self, proxy: Any, calls: list[int]) -> None:
        self.proxy = proxy
        self.calls = calls
        self.before = self._state()

    def _state(self) -> tuple[list[int], bool, list[int] | None]:
        pool = self.proxy._pool
        stats = {} if pool is None else pool.stats()
        counters = ("nuses", "ncreating", "ntimeouts", "nwaits", "navail", "nusing")
        return list(self.calls), self.proxy._has_obj(), [stats[name] for name in counters] if stats else None

    def check(self) -> None:
        """Assert that nothing was made, taken or waited for since."""
        assert self._state() == self.before


STATES = ["not drawn", "held elsewhere", "drawn and returned", "shared, not made"]


@pytest.fixture(params=STATES)
def undrawn(request: pytest.FixtureRequest, keep: Keep) -> Iterator[Undrawn]:
    """A proxy of one object, in each state in which this thread has none."""
    calls: list[int] = []

    def connect(number: int) -> Connection:
        calls.append(number)
        return Connection()

    if request.param == "shared, not made":
        yield Undrawn(ppp.Proxy(fun=connect, scope=ppp.Proxy.Scope.SHARED), calls)
        return
    proxy = keep(ppp.Proxy(fun=connect, max_size=1, timeout=0.2))
    if request.param == "held elsewhere":
        with held_elsewhere(proxy):
            yield Undrawn(proxy, calls)
        return
    if request.param == "drawn and returned":
        with proxy._obj():
            pass
    yield Undrawn(proxy, calls)


def within(function: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Call a function in this thread's stead in one that is waited for so long at most."""
    task = Task(function)
    task.start()
    return task.result(seconds)


def test_undrawn_answers(undrawn: Undrawn) -> None:
    """Text, truth, names, classes and copies of a proxy that has no object yet draw none."""
    proxy = undrawn.proxy
    assert repr(proxy).startswith("<Proxy of ")
    assert repr(proxy).endswith(">")
    assert bool(proxy) is True
    assert {"set", "_get_obj", "_ret_obj"} <= set(dir(proxy))
    assert isinstance(proxy, ppp.Proxy)
    assert not isinstance(proxy, (int, list, type))
    assert copy.copy(proxy) is proxy
    assert copy.deepcopy([proxy])[0] is proxy
    assert proxy._has_obj() is False
    proxy._ret_obj()
    undrawn.check()


PROBED = """
__wrapped__ __nothing__ __array__ __array_interface__ __array_struct__ __dataframe__
__cuda_array_interface__ __await__ __fspath__ __get__ __set__ __set_name__ __signature__
__text_signature__ __func__ __self__ __code__ __test__ __unittest_skip__ __tracebackhide__
__isabstractmethod__ __clause_element__ __name__ __qualname__ __file__ __path__ __spec__ __rich__
__rich_repr__ __rich_console__ __pretty__ __deepcopy_me__ __objclass__ _ipython_display_
_ipython_key_completions_ _ipython_canary_method_should_not_exist_ _ipython_custom_completer_ _repr_html_
_repr_pretty_ _repr_svg_ _repr_png_ _repr_jpeg_ _repr_latex_ _repr_markdown_ _repr_mimebundle_ _repr_json_
_repr_javascript_ _repr_pdf_ _mock_name _mock_methods _mock_self _mock_return_value pytestmark
_pytestfixturefunction pytest_mock_example_attribute_that_shouldnt_exist
"""
"""Names that tools look for on whatever they meet."""


def test_undrawn_special_names(undrawn: Undrawn) -> None:
    """Special names that the object's class doesn't define, and names that tools look for, draw nothing."""
    for name in PROBED.split():
        assert not hasattr(undrawn.proxy, name), name
        undrawn.check()


def test_undrawn_special_methods_by_name(undrawn: Undrawn) -> None:
    """Reading a forwarded special method by its name draws nothing: only calling it does."""
    for name in (
        "__len__",
        "__iter__",
        "__call__",
        "__enter__",
        "__exit__",
        "__getitem__",
        "__add__",
        "__eq__",
    ):
        assert callable(getattr(undrawn.proxy, name))
        undrawn.check()
    assert callable(undrawn.proxy)
    undrawn.check()


def test_undrawn_descriptors(undrawn: Undrawn) -> None:
    """Binding what the class has for special names, as `inspect.signature` does since 3.13, draws nothing."""
    for name in ("__call__", "__len__", "__iter__", "__enter__"):
        declared = inspect.getattr_static(type(undrawn.proxy), name)
        assert callable(declared.__get__(undrawn.proxy, type(undrawn.proxy)))
        undrawn.check()


def test_undrawn_exit(undrawn: Undrawn) -> None:
    """Leaving a block draws nothing, whatever became of the object."""
    undrawn.proxy.__exit__(None, None, None)
    undrawn.check()


def test_exit_after_return(keep: Keep) -> None:
    """A `with` block in which the object was given back ends without drawing another."""
    calls: list[int] = []

    def connect(number: int) -> Connection:
        calls.append(number)
        return Connection()

    proxy = keep(ppp.Proxy(fun=connect, max_size=1, min_size=0, max_use=1))
    with proxy as connection:
        assert connection.query() == "answer"
        proxy._ret_obj()
    assert not proxy._has_obj()
    assert calls == [0]


def test_special_method_of_a_known_class_is_drawn(keep: Keep) -> None:
    """Once an object was made, a special name which its class defines is found, in every thread."""
    proxy = keep(ppp.Proxy(fun=lambda _: Connection(), max_size=2))
    proxy._get_obj()
    assert within(lambda: proxy.__html__()) == "<b>connection</b>"
    assert not within(lambda: hasattr(proxy, "__nothing__"))


# What looks at things


def _module(proxy: Any) -> types.ModuleType:
    module = types.ModuleType("application")
    module.__doc__ = "An application.\n\n>>> 1 + 1\n2\n"
    module.db = proxy  # type: ignore[attr-defined]
    return module


def _copy(proxy: Any) -> None:
    assert copy.copy(proxy) is proxy
    assert copy.deepcopy({"db": proxy})["db"] is proxy


def _pickle(proxy: Any) -> None:
    if proxy._fun is None:
        clone = pickle.loads(pickle.dumps(proxy))
        assert repr(clone) == "<Proxy unset>"
    else:  # a local function can't be pickled, and says so
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError), match="connect"):
            pickle.dumps(proxy)


def _members(proxy: Any) -> None:
    names = dict(inspect.getmembers(proxy))
    assert "_get_obj" in names
    inspect.getmembers(proxy, callable)


def _inspect(proxy: Any) -> None:
    assert inspect.unwrap(proxy) is proxy
    for name, question in vars(inspect).items():
        if name.startswith("is") and inspect.isfunction(question) and question.__module__ == "inspect":
            assert not question(proxy), name
    inspect.getdoc(proxy)
    inspect.getmodule(proxy)
    inspect.getcomments(proxy)
    for ask in (inspect.getfile, inspect.getsource):
        with pytest.raises(TypeError):
            ask(proxy)


def _pydoc(proxy: Any) -> None:
    assert "Proxy" in pydoc.plain(pydoc.render_doc(proxy))
    assert "db" in pydoc.plain(pydoc.render_doc(_module(proxy)))
    pydoc.html.page("db", pydoc.html.document(_module(proxy)))
    pydoc.describe(proxy)


def _doctest(proxy: Any) -> None:
    module = _module(proxy)
    tests = doctest.DocTestFinder().find(module, "application")
    assert [test.name for test in tests if test.examples] == ["application"]
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False) == (0, 1)


def _mock(proxy: Any) -> None:
    module = _module(proxy)
    for options in ({}, {"spec": True}, {"autospec": True}, {"new": 5}):
        with mock.patch.object(module, "db", **options):
            assert module.db is not proxy
        assert module.db is proxy
    with mock.patch.dict(vars(module), db=1):
        assert module.db == 1
    assert module.db is proxy
    mock.create_autospec(proxy)
    mock.MagicMock(spec=proxy)
    mock.NonCallableMagicMock(spec_set=proxy)
    mock.seal(mock.MagicMock(db=proxy))
    mock.MagicMock(name="caller")(proxy)
    mock.Mock(return_value=proxy, side_effect=None, wraps=proxy)


def _print(proxy: Any) -> None:
    assert pprint.pformat({"db": proxy}) == f"{{'db': {proxy!r}}}"
    assert f"{[proxy]}" == f"[{proxy!r}]"


def _ipython(proxy: Any) -> None:
    from IPython.core.formatters import DisplayFormatter
    from IPython.lib.pretty import pretty as print_pretty

    pretty: Any = print_pretty
    formatter: Any = DisplayFormatter

    assert pretty(proxy) == repr(proxy)
    assert pretty({"db": [proxy]})
    data, _ = formatter().format(proxy)
    assert data == {"text/plain": repr(proxy)}


def _ipython_completer(proxy: Any) -> None:
    from IPython.core.completer import IPCompleter, provisionalcompleter

    make: Any = IPCompleter
    for jedi in (False, True):
        completer = make(namespace={"db": proxy}, global_namespace={}, use_jedi=jedi)
        completer.jedi_compute_type_timeout = 5000
        completer.disable_matchers = [
            f"IPCompleter.magic_{kind}matcher" for kind in ("", "config_", "color_")
        ]
        found = []
        for text in ("db.", "db._", "db['", "db[", "str(db", "db._get_o", "db.set_o"):
            with provisionalcompleter():
                found = [completion.text for completion in completer.completions(text, len(text))]
        assert any("set_obj" in text for text in found)


def _rlcompleter(proxy: Any) -> None:
    completer = rlcompleter.Completer({"db": proxy})
    assert str(completer.complete("db._get_o", 0)).startswith("db._get_obj")


PROBES: dict[str, Callable[[Any], None]] = {
    "copy": _copy,
    "pickle": _pickle,
    "getmembers": _members,
    "inspect": _inspect,
    "pydoc": _pydoc,
    "doctest": _doctest,
    "mock": _mock,
    "print": _print,
    "IPython printer": _ipython,
    "IPython completer": _ipython_completer,
    "rlcompleter": _rlcompleter,
}


@pytest.mark.parametrize("what", PROBES)
def test_probes_of_an_unset_proxy(what: str) -> None:
    """Tools that look at an unset proxy meet no error."""
    proxy: Any = ppp.Proxy()
    within(lambda: PROBES[what](proxy))
    assert repr(proxy) == "<Proxy unset>"


@pytest.mark.parametrize("what", PROBES)
def test_probes_draw_nothing(what: str, undrawn: Undrawn) -> None:
    """Tools that look at a proxy make no object, take none, and wait for none that another thread has."""
    within(lambda: PROBES[what](undrawn.proxy))
    undrawn.check()


@pytest.mark.parametrize("what", ["copy", "doctest", "mock"])
def test_probes_of_a_set_proxy(what: str) -> None:
    """Tools that look at a proxy with an object meet no error either."""
    proxy: Any = ppp.Proxy(Connection())
    within(lambda: PROBES[what](proxy))
    assert repr(proxy) == "Connection()"


def test_tools_see_the_object_of_a_set_proxy() -> None:
    """Tools that look at a proxy with an object see the object."""
    proxy: Any = ppp.Proxy(Connection())
    names = dict(inspect.getmembers(proxy))
    assert names["query"]() == "answer"
    assert {"query", "__html__"} <= set(dir(proxy))
    fake = mock.create_autospec(proxy, instance=True)
    assert fake.query() is not None
    assert not hasattr(fake, "nothing")
    assert pprint.pformat([proxy]) == "[Connection()]"


APPLICATION = """
'''An application.

>>> 1 + 1
2
'''
import threading
import ProxyPatternPool as ppp

def refuse(number):
    raise SystemExit("drawn!")

unset = ppp.Proxy()
never = ppp.Proxy(fun=refuse, max_size=1)
alone = ppp.Proxy(fun=refuse, max_size=None)
lazy = ppp.Proxy(fun=refuse, scope=ppp.Proxy.Scope.SHARED)
held = ppp.Proxy(fun=lambda number: [number], max_size=1)

thread = threading.Thread(target=held._get_obj)
thread.start()
thread.join()
"""

TESTS = """
from application import alone, held, lazy, never, unset

test_tube = unset
test_never = never
test_held = held
TestTube = unset
TestNever = never
TestHeld = held
pytest_plugins = []


def test_one(request):
    assert not unset and never and alone and lazy and held
    assert held._pool.stats()["nuses"] == 1
    assert (never._pool, alone._nobjs, lazy._nobjs) == (None, 0, 0)


def test_patched(monkeypatch):
    import application
    monkeypatch.setattr(application, "never", 1)
    monkeypatch.setattr("application.held", 1)
    assert application.never == application.held == 1
"""


@pytest.mark.parametrize("options", [[], ["--doctest-modules"]], ids=["plain", "doctest-modules"])
def test_pytest_collects_modules_with_proxies(tmp_path: Path, options: list[str]) -> None:
    """pytest collects and runs a module with proxies at its top level, drawing and awaiting nothing."""
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "test_application.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=20"]
    root = Path(ppp.__file__).parent
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{3 if options else 2} passed" in done.stdout
    assert "drawn!" not in done.stdout + done.stderr


def test_debugger_draws_nothing() -> None:
    """The debugger prints, completes and describes proxies without drawing."""
    program = """
    import io, pdb, threading
    import ProxyPatternPool as ppp

    calls = []

    def connect(number):
        calls.append(number)
        return [number]

    unset = ppp.Proxy()
    never = ppp.Proxy(fun=connect, max_size=1)
    held = ppp.Proxy(fun=connect, max_size=1, timeout=0.2)
    thread = threading.Thread(target=held._get_obj)
    thread.start()
    thread.join()

    commands = []
    for name in ("unset", "never", "held"):
        commands += [f"p {name}", f"pp {name}", f"whatis {name}", f"display {name}", f"!type({name})"]
    commands += ["args", "next", "where", "undisplay", "continue"]
    out = io.StringIO()
    script = io.StringIO("\\n".join(commands) + "\\n")
    debugger = pdb.Pdb(stdin=script, stdout=out, nosigint=True, readrc=False)
    debugger.use_rawinput = False

    def look(unset, never, held):
        here = 1
        return here

    debugger.runcall(look, unset, never, held)
    print(out.getvalue())
    assert "<Proxy unset>" in out.getvalue()
    assert out.getvalue().count("<Proxy of ") >= 4
    assert calls == [0], calls
    stats = held._pool.stats()
    assert (stats["nuses"], stats["nwaits"], stats["ntimeouts"]) == (1, 0, 0), stats
    assert never._pool is None
    held._pool.shutdown()
    """
    done = run_python(program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in done.stdout
