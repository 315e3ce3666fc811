"""Subclasses of `Proxy`: their own methods, properties and constructors, and the seams that they override."""

from __future__ import annotations

import functools
from types import MethodType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from conftest import Keep
from helpers_proxy import Conn
from werkzeug.utils import cached_property

import ProxyPatternPool as ppp


class Mixin:
    """Brings an attribute and a method of its own."""

    calls = 0

    def hello(self) -> int:
        self.calls += 1
        return self.calls

    @functools.cached_property
    def token(self) -> object:
        return object()


class Reference(Mixin, ppp.Proxy[Any]):
    """In the manner of programs: declares names in its body and its constructor, and assigns in a method."""

    label = "none"
    annotated: int

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        self.number = "before"
        super().__init__(set_name="configure", **parameters)
        self._finish()

    def _finish(self) -> None:
        self.size = "after"

    def describe(self) -> str:
        return f"{self.label}: {self.x}"

    @property
    def shout(self) -> str:
        return self.label.upper()

    @shout.setter
    def shout(self, value: str) -> None:
        self.label = value.lower()

    def __html__(self) -> str:
        return f"<b>{self.label}</b>"


def test_names_of_a_subclass_are_its_own(keep: Keep) -> None:
    """What a subclass declares, annotates, inherits or assigns in its `__init__` is its own alone."""
    names = "label number size annotated calls".split()
    mine = [*names, "hello", "shout"]
    thing = SimpleNamespace(x=1, other=2, **dict.fromkeys(mine, "object's"))
    before = dict(vars(thing))
    proxy: Any = Reference("books", obj=thing)
    proxy.annotated = 5
    assert (proxy.describe(), proxy.hello(), proxy.other) == ("books: 1", 1, 2)
    assert [getattr(proxy, name) for name in names] == ["books", "before", "after", 5, 1]
    for name in names:
        setattr(proxy, name, "changed")
    proxy.shout = "SHELF"
    assert (proxy.label, proxy.shout, vars(thing)) == ("shelf", "SHELF", before)
    del proxy.label
    assert proxy.label == "none"
    plain: Any = ppp.Proxy(thing)
    assert [getattr(plain, name) for name in mine] == ["object's"] * len(mine)
    assert not hasattr(plain, "__html__")
    pooled = keep(Reference("books", fun=Conn, max_size=1))
    assert (pooled.number, pooled.size, pooled._has_obj()) == ("before", "after", False)
    for each in (pooled, Reference("books"), Reference("books", fun=list, max_size=None)):
        assert each.__html__() == "<b>books</b>"


def test_name_that_is_only_annotated() -> None:
    """An annotated name that is assigned is the proxy's own; before that, it is the object's."""
    proxy: Any = Reference("books", obj=SimpleNamespace(annotated="object's"))
    assert proxy.annotated == "object's"
    proxy.annotated = 5
    assert (proxy.annotated, proxy._get_obj().annotated) == (5, "object's")
    del proxy.annotated
    assert proxy.annotated == "object's"


def test_own_getattr_and_setattr() -> None:
    """A subclass's `__getattr__` and `__setattr__` see what is not the proxy's own, and may pass it on."""
    seen: list[str] = []

    class Noting(ppp.Proxy[Any]):
        def __getattr__(self, item: str) -> Any:
            seen.append(item)
            return super().__getattr__(item)

        def __setattr__(self, name: str, value: Any) -> None:
            seen.append(f"{name} = {value}")
            super().__setattr__(name, value)

    thing = SimpleNamespace(x=1)
    proxy: Any = Noting(thing)
    proxy.x = 3
    proxy.extra = 4
    assert (vars(thing), proxy.extra, proxy.x, hasattr(proxy, "nothing")) == ({"x": 3}, 4, 3, False)
    assert seen == ["x = 3", "extra = 4", "x", "nothing"]


def test_cached_properties() -> None:
    """A cached property, be it a mixin's, keeps its value in the proxy, once for each."""
    thing = SimpleNamespace(x=1)
    one, two = Reference("one", obj=thing), Reference("two", obj=thing)
    before = one.token
    assert one.token is before is not two.token
    del one.token
    assert (one.token is before, vars(thing)) == (False, {"x": 1})

    class Other(ppp.Proxy[Any]):
        token = cached_property(vars(Mixin)["token"].func)

    other: Any = Other(thing)
    assert (other.token is other.token, vars(thing)) == (True, {"x": 1})


def test_methods_patched_on_one_proxy(keep: Keep) -> None:
    """What a test puts in the place of a proxy's own methods is used, until it takes it away again."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1))
    conn = proxy._get_obj()
    with (
        mock.patch.object(proxy, "_get_obj", return_value="text"),
        mock.patch.object(proxy, "_ret_obj") as ret,
    ):
        assert (proxy.upper(), str(proxy), proxy == "text") == ("TEXT", "text", True)
        with proxy._obj() as obj:
            assert obj == "text"
        ret.assert_called_once_with()
    assert proxy._get_obj() is conn
    with proxy._obj():
        pass
    assert not proxy._has_obj()


def test_each_access_goes_through_get_obj(keep: Keep) -> None:
    """Each access of a subclass that overrides `_get_obj` asks it once, and uses what it gives."""

    class Choosing(ppp.Proxy[Any]):
        asked = 0
        chosen: Any = None

        def _get_obj(self, timeout: float | None = None) -> Any:
            self.asked += 1
            return self.chosen or super()._get_obj(timeout)

    codes = ("p.count", "p[0]", "p == ''", "len(p)", "str(p)", "'t' in p", "p * 2")
    for proxy in (Choosing([1]), Choosing(fun=str, max_size=None), keep(Choosing(fun=str, max_size=1))):
        proxy._get_obj()
        proxy.chosen = "text"
        for code in codes:
            proxy.asked = 0
            assert eval(code, {"p": proxy}) == eval(code, {"p": "text"})
            assert proxy.asked == 1


@pytest.mark.parametrize("name", ["last", "used"])
def test_assignment_within_get_obj(keep: Keep, name: str) -> None:
    """An overridden `_get_obj` may assign: what the object has there, anything else to the proxy."""

    class Noting(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            obj = super()._get_obj(timeout)
            setattr(self, name, "now")
            return obj

    for parameters in ({"obj": SimpleNamespace(used="")}, {"fun": lambda _: SimpleNamespace(used="")}):
        proxy: Any = keep(Noting(**parameters))
        assert proxy.used == ("now" if name == "used" else "")
        assert (getattr(proxy, name), vars(proxy._get_obj())) == ("now", {"used": proxy.used})
        proxy.other = 1
        assert (proxy.other, "other" in vars(proxy._get_obj())) == (1, False)


def test_patched_for_a_while() -> None:
    """A test may replace a constructor, or a method of one proxy, called by its name, which comes back."""
    proxy: Any = ppp.Proxy()
    for name, arguments in (("_get_obj", ()), ("set_obj", (3,))):
        with mock.patch.object(proxy, name, return_value="fake") as patched:
            assert getattr(proxy, name)(*arguments) == "fake"
        patched.assert_called_once_with(*arguments)
    assert repr(proxy) == "<Proxy unset>"
    assert proxy.set_obj([1])._get_obj() == [1]
    with mock.patch.object(Reference, "__init__", return_value=None) as patched:
        assert not Reference("books")._has_obj()
    patched.assert_called_once_with("books")


class Plain(ppp.Proxy[Any]):
    """Overrides nothing."""


@pytest.mark.parametrize("kind", [ppp.Proxy, Plain])
def test_methods_patched_on_the_class(keep: Keep, kind: Any) -> None:
    """A test may patch a class: proxies that are set meanwhile use what it puts there, and not afterwards."""
    first = kind(obj=[], max_size=1)  # so that its class is made before
    with mock.patch.object(kind, "_get_obj", return_value="text"), mock.patch.object(kind, "_ret_obj") as ret:
        proxies = [keep(first._set_fun(lambda n: Conn(n))), keep(kind(fun=lambda n: Conn(n), max_size=1))]
        for proxy in proxies:
            assert (proxy.upper(), str(proxy), proxy[0], len(proxy)) == ("TEXT", "text", "t", 4)
            with proxy._obj() as obj:
                assert obj == "text"
        assert ret.call_count == 2
    for proxy in proxies:
        with proxy._obj() as obj:
            assert (proxy.log is obj.log, proxy._get_obj()) == (True, obj)
        assert not proxy._has_obj()


class OnInstances:
    """A method of a kind of its own: it cannot be looked up on a class, compared or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, function: Any) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        raise TypeError

    def __get__(self, proxy: Any, owner: Any) -> Any:
        return MethodType(self.function, proxy)  # there is none of `None`


def test_overridden_by_something_else(keep: Keep) -> None:
    """A seam may be any descriptor, or another method of proxies."""

    class Never(ppp.Proxy[Any]):
        """Uses no object twice."""

        _get_obj = OnInstances(lambda self, timeout=None: ppp.Proxy._get_obj(self, timeout))
        _ret_obj = ppp.Proxy._invalidate_obj

    proxy = keep(Never(fun=Conn, max_size=1))
    for number in range(3):
        with proxy._obj() as conn:
            assert (conn.number, proxy.number) == (number, number)
    assert proxy._pool.stats()["ninvalidated"] == 3


def test_another_of_its_own_class() -> None:
    """A method makes another one by `type(self)(…)`, which runs the whole constructor."""
    kinds: list[dict[str, Any]] = [{}, {"obj": {"x": 1}}, {"fun": list, "max_size": None}]
    for first in [Reference("one", **kind) for kind in kinds]:
        for obj in ([1, 2], print):
            other = type(first)("two", obj=obj)
            assert (isinstance(other, Reference), other.label, other._get_obj()) == (True, "two", obj)
            assert (callable(other), hasattr(other, "__len__")) == (obj is print, obj is not print)
    assert type(ppp.Proxy[Any]("text"))(3) + 1 == 4


class Session(ppp.Proxy[Any]):
    """Has a `with` of its own where the object has none, and a property that can be deleted, not read."""

    ended = False

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)

    def __enter__(self) -> Any:
        return super().__enter__() if hasattr(super(), "__enter__") else "own"

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def token(self) -> object:
        raise RuntimeError("not to be read")

    @token.deleter
    def token(self) -> None:
        self.ended = True


def test_super_looks_at_what_the_object_has() -> None:
    """In a subclass, `super()` has the special methods of the object's class, and no others."""
    with Session(obj=object()) as entered:
        assert entered == "own"
    with Session(obj=mock.MagicMock()) as entered:
        assert entered != "own"


def test_deletion_runs_no_getter() -> None:
    """To delete an attribute of its own, an unset proxy does not read it."""
    session = Session()
    del session.token
    assert session.ended


def test_constructor_of_a_proxied_class() -> None:
    """`__init__` is that of a proxied class, for classes derived from it, also where a subclass has one."""
    model = Session(obj=Conn)
    conn = object.__new__(Conn)
    model.__init__(conn, 3)  # type: ignore[misc]
    assert conn.number == 3
