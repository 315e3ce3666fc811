"""The proxies that are compared, and the operations through each."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from . import pools, timing
from .pools import Contender


class Thing(tuple[int, ...]):
    """What stands behind each proxy: its own part of an operation is done in C where it can be."""

    x: int

    def f(self) -> None:
        pass

    __call__ = f


def thing() -> Thing:
    """Make one."""
    made = Thing((1, 2, 3))
    made.x = 1
    return made


OPERATIONS = {
    "x": "proxy.x",
    "f": "proxy.f()",
    "len": "len(proxy)",
    "item": "proxy[0]",
    "call": "proxy()",
    "eq": "proxy == other",
    "hash": "hash(proxy)",
    "bool": "bool(proxy)",
    "set": "proxy.x = 1",
}


def outcome(statement: str, proxy: Any, it: Thing) -> tuple[Any, int]:
    """Return what an operation through a proxy gives, and what it makes of the thing."""
    it.x = 0
    names = {"proxy": proxy, "other": thing()}
    exec(f"found = {statement}", names)
    return names["found"], it.x


def per_thread(size: int | None) -> Callable[[Any, Thing], Any]:
    def build(module: Any, it: Thing) -> Any:
        proxy = module.Proxy(fun=lambda _number: it, max_size=size)
        proxy._get_obj()
        return proxy

    return build


def _werkzeug(module: Any, it: Thing) -> Any:
    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("thing")
    variable.set(it)
    return module.LocalProxy(variable)


def _wrapt(module: Any, it: Thing) -> Any:
    return module.CallableObjectProxy(it)


def _lazy(module: Any, it: Thing) -> Any:
    return module.Proxy(lambda: it)


BARE = """
class Slot:
    __slots__ = ("_local",)

class Bare(Slot):
    __slots__ = ()
    def {lookup}(self, name): return getattr({it}, name)
    def __setattr__(self, name, value): setattr({it}, name, value)
    def __call__(self, *args, **kwargs): return {it}(*args, **kwargs)
    def __len__(self): return len({it})
    def __getitem__(self, key): return {it}[key]
    def __eq__(self, other): return {it} == other
    def __hash__(self): return hash({it})
    def __bool__(self): return bool({it})
"""
"""The least that looks its object up for each thread: it checks nothing, and has no names of its own."""


def _bare(lookup: str, obj: str) -> Callable[[Any, Thing], Any]:
    def build(_module: Any, it: Thing) -> Any:
        scope: dict[str, Any] = {}
        exec(BARE.format(lookup=lookup, it=obj), scope)
        proxy, local = scope["Bare"](), threading.local()
        local.obj = it
        object.__setattr__(proxy, "_local", local)
        return proxy

    return build


OURS = SHARED, THREAD, POOLED = [f"{pools.THIS}, {kind}" for kind in ("shared", "thread", "thread with pool")]
WRAPT = "wrapt (C)"
PEERS = ("werkzeug LocalProxy", "lazy-object-proxy (slots)", "Django SimpleLazyObject")
"""Those that this module sets itself to be ahead of in every operation."""
FLOORS = ("bare __getattr__", "bare __getattribute__", "no proxy")
"""No libraries: what nothing of their kind can be faster than."""

CONTENDERS = [
    Contender(SHARED, pools.THIS, lambda module, it: module.Proxy(obj=it)),
    Contender(THREAD, pools.THIS, per_thread(None)),
    Contender(POOLED, pools.THIS, per_thread(4)),
    Contender(PEERS[0], "werkzeug.local", _werkzeug),
    Contender(WRAPT, "wrapt._wrappers", _wrapt),
    Contender("wrapt (Python)", "wrapt.wrappers", _wrapt),
    Contender("lazy-object-proxy (C)", "lazy_object_proxy.cext", _lazy),
    Contender(PEERS[1], "lazy_object_proxy.slots", _lazy),
    Contender("lazy-object-proxy (simple)", "lazy_object_proxy.simple", _lazy),
    Contender(PEERS[2], "django.utils.functional", lambda module, it: module.SimpleLazyObject(lambda: it)),
    Contender(FLOORS[0], "threading", _bare("__getattr__", "self._local.obj")),
    Contender(FLOORS[1], "threading", _bare("__getattribute__", "super()._local.obj")),
    Contender(FLOORS[2], "threading", lambda _module, it: it),
]


def operations(settings: timing.Settings) -> timing.Table:
    """Measure each operation through each proxy, if it gives what the object itself gives."""
    columns = [timing.Column(key, statement) for key, statement in OPERATIONS.items()]
    table = timing.Table("proxy", "Operations through a proxy", columns)
    jobs: dict[str, timing.Job] = {}
    for contender, module in table.installed(CONTENDERS):
        it = thing()
        proxy = contender.build(module, it)
        supported = dict(OPERATIONS)
        for key, statement in OPERATIONS.items():
            try:
                if outcome(statement, proxy, it) != outcome(statement, it, it):
                    raise TypeError("another result than the object's own")
            except (TypeError, AttributeError) as error:
                table.notes[f"{contender.name}: {statement}"] = f"not supported ({error})"
                del supported[key]
        names = {"proxy": proxy, "other": thing()}
        jobs[contender.name] = timing.loops(supported, settings.loop_seconds, **names)
    table.fill(jobs, settings.proxy_rounds)
    return table
