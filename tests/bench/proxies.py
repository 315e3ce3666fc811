"""The proxies that are compared, and the operations through each."""

from __future__ import annotations

import contextvars
import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import timing


class Thing(tuple[int, ...]):
    """What stands behind each proxy: its own part of an operation is done in C where it can be."""

    x: int

    def f(self) -> None:
        """Do nothing."""

    def __call__(self) -> None:
        """Do nothing."""


def thing() -> Thing:
    """Make one."""
    made = Thing((1, 2, 3))
    made.x = 1
    return made


OPERATIONS: tuple[tuple[str, str, Callable[[Any, Thing], bool]], ...] = (
    ("x", "proxy.x", lambda proxy, it: proxy.x == 1),
    ("f", "proxy.f()", lambda proxy, it: proxy.f() is None),
    ("len", "len(proxy)", lambda proxy, it: len(proxy) == 3),
    ("item", "proxy[0]", lambda proxy, it: proxy[0] == 1),
    ("call", "proxy()", lambda proxy, it: proxy() is None),
    ("eq", "proxy == other", lambda proxy, it: bool(proxy == thing())),
    ("hash", "hash(proxy)", lambda proxy, it: hash(proxy) == hash(it)),
    ("bool", "bool(proxy)", lambda proxy, it: bool(proxy)),
    ("set", "proxy.x = 1", lambda proxy, it: _assigns(proxy, it)),
)
"""Name, statement, and whether a proxy does it right."""


def _assigns(proxy: Any, it: Thing) -> bool:
    proxy.x = 2
    written = it.x == 2
    it.x = 1
    return written


@dataclass(frozen=True)
class Contender:
    """One proxy: how it is called, where it comes from, how it is built around a thing."""

    name: str
    build: Callable[[Thing], Any]
    distribution: str | None = None
    pure: bool = True


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _thread(it: Thing, size: int | None) -> Any:
    proxy = _module("ProxyPatternPool").Proxy(fun=lambda _number: it, max_size=size)
    proxy._get_obj()
    return proxy


def _werkzeug(it: Thing) -> Any:
    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("thing")
    variable.set(it)
    return _module("werkzeug.local").LocalProxy(variable)


def _keep(proxy: Any, it: Thing) -> Any:
    local = threading.local()
    local.obj = it
    object.__setattr__(proxy, "_local", local)
    return proxy


class _Slot:
    __slots__ = ("_local",)

    _local: Any


class _ByGetattr(_Slot):
    """The least that looks its object up for each thread: it checks nothing and has no names of its own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._local.obj, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._local.obj, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._local.obj(*args, **kwargs)

    def __len__(self) -> int:
        return len(self._local.obj)

    def __getitem__(self, key: Any) -> Any:
        return self._local.obj[key]

    def __eq__(self, other: object) -> bool:
        return bool(self._local.obj == other)

    def __hash__(self) -> int:
        return hash(self._local.obj)

    def __bool__(self) -> bool:
        return bool(self._local.obj)


class _ByGetattribute(_Slot):
    """The same, but all names of its own class, too, are its object's."""

    def __getattribute__(self, name: str) -> Any:
        return getattr(super()._local.obj, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(super()._local.obj, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super()._local.obj(*args, **kwargs)

    def __len__(self) -> int:
        return len(super()._local.obj)

    def __getitem__(self, key: Any) -> Any:
        return super()._local.obj[key]

    def __eq__(self, other: object) -> bool:
        return bool(super()._local.obj == other)

    def __hash__(self) -> int:
        return hash(super()._local.obj)

    def __bool__(self) -> bool:
        return bool(super()._local.obj)


SHARED = "ProxyPatternPool, shared"
THREAD = "ProxyPatternPool, thread"
POOLED = "ProxyPatternPool, thread with pool"
OURS = (SHARED, THREAD, POOLED)
WRAPT = "wrapt (C)"
BARE_GETATTR = "bare, thread, __getattr__"
BARE_GETATTRIBUTE = "bare, thread, __getattribute__"
NO_PROXY = "no proxy"
FLOORS = (BARE_GETATTR, BARE_GETATTRIBUTE, NO_PROXY)
"""No libraries: what nothing of their kind can be faster than."""

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(SHARED, lambda it: _module("ProxyPatternPool").Proxy(obj=it)),
        Contender(THREAD, lambda it: _thread(it, None)),
        Contender(POOLED, lambda it: _thread(it, 4)),
        Contender("werkzeug LocalProxy", _werkzeug, "Werkzeug"),
        Contender(WRAPT, lambda it: _module("wrapt._wrappers").CallableObjectProxy(it), "wrapt", False),
        Contender("wrapt (Python)", lambda it: _module("wrapt.wrappers").CallableObjectProxy(it), "wrapt"),
        Contender(
            "lazy-object-proxy (C)",
            lambda it: _module("lazy_object_proxy.cext").Proxy(lambda: it),
            "lazy-object-proxy",
            False,
        ),
        Contender(
            "lazy-object-proxy (slots)",
            lambda it: _module("lazy_object_proxy.slots").Proxy(lambda: it),
            "lazy-object-proxy",
        ),
        Contender(
            "lazy-object-proxy (simple)",
            lambda it: _module("lazy_object_proxy.simple").Proxy(lambda: it),
            "lazy-object-proxy",
        ),
        Contender(
            "Django SimpleLazyObject",
            lambda it: _module("django.utils.functional").SimpleLazyObject(lambda: it),
            "Django",
        ),
        Contender(BARE_GETATTR, lambda it: _keep(_ByGetattr(), it), None, False),
        Contender(BARE_GETATTRIBUTE, lambda it: _keep(_ByGetattribute(), it), None, False),
        Contender(NO_PROXY, lambda it: it, None, False),
    )
}


def proxy_table(chosen: list[Contender], settings: timing.Settings) -> timing.Table:
    """Measure each operation through each proxy."""
    columns = [timing.Column(key, statement) for key, statement, _ in OPERATIONS]
    table = timing.Table("proxy", "Operations through a proxy", columns)
    built: dict[str, tuple[Any, Thing]] = {}
    for contender in chosen:
        it = thing()
        try:
            built[contender.name] = contender.build(it), it
        except ImportError as error:
            table.notes[contender.name] = f"not installed ({error})"
            continue
        table.rows[contender.name] = {}
    for key, statement, right in OPERATIONS:
        timing.progress(statement)
        loops = {}
        for name, (proxy, it) in built.items():
            table.rows[name][key] = None
            try:
                if not right(proxy, it):
                    raise TypeError("another result than the object's own")
            except (TypeError, AttributeError) as error:
                table.notes[f"{name}: {statement}"] = f"not supported ({error})"
                continue
            loops[name] = timing.Loop(statement, {"proxy": proxy, "other": thing()})
        for name, taken in timing.race(loops, settings).items():
            table.rows[name][key] = timing.figure(taken)
    return table
