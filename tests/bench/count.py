"""Count what the hot paths execute: bytecode instructions and function calls.

Unlike seconds, these numbers are the same on every machine, for a version of Python.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import ProxyPatternPool as ppp

from .proxies import per_thread, thing
from .timing import Column, Table

HOOKS: dict[str, tuple[Callable[[], Any], Callable[[Any], None], set[str]]] = {
    "instructions": (sys.gettrace, sys.settrace, {"opcode"}),
    "calls": (sys.getprofile, sys.setprofile, {"call", "c_call"}),
}
STATEMENTS = {
    "get and return": "ret(get())",
    "with pool.obj()": "\n with obj(): pass",
    "with proxy._obj()": "\n with pooled._obj(): pass",
    "proxy.x, shared": "return shared.x",
    "proxy.x, thread": "return thread.x",
    "proxy.x, thread with pool": "return pooled.x",
}


def count(work: Callable[[], None], kind: str) -> int:
    """Return how often something happens in a piece of work, the middle of some counts."""
    get, install, events = HOOKS[kind]
    seen: list[int] = []

    def hook(frame: FrameType, event: str, _argument: Any) -> Any:
        frame.f_trace_opcodes = kind == "instructions"
        seen[-1] += event in events
        return hook

    for _ in range(5):  # the first count of a process is 0 on Python 3.12
        seen.append(0)
        before = get()
        install(hook)
        try:
            work()
        finally:
            install(before)
    return int(statistics.median(seen))


def compiled(statement: str, **names: Any) -> Callable[[], None]:
    """Return a function that executes a statement, and is warm."""
    scope = {f"_{name}": value for name, value in names.items()}
    exec(f"def work({', '.join(f'{name}=_{name}' for name in names)}): {statement}", scope)
    work: Callable[[], None] = scope["work"]
    for _ in range(50):
        work()
    return work


def counts() -> Table:
    """Count each hot path."""
    columns = [Column(kind, kind, "", ranked=False) for kind in HOOKS]
    table = Table("counts", "Bytecode instructions and function calls", columns)
    pooled = per_thread(4)(ppp, thing())
    names = {"shared": ppp.Proxy(obj=thing()), "thread": per_thread(None)(ppp, thing()), "pooled": pooled}
    with ppp.Pool(lambda _number: thing(), max_size=4, min_size=4) as pool, pooled._pool:
        names |= {"get": pool.get, "ret": pool.ret, "obj": pool.obj}
        works = {name: compiled(statement, **names) for name, statement in STATEMENTS.items()}
        pooled._ret_obj()
        nothing = compiled("pass")

        def counted(work: Callable[[], None]) -> dict[str, float]:
            return {kind: count(work, kind) - count(nothing, kind) for kind in HOOKS}

        table.fill({name: partial(counted, work) for name, work in works.items()}, 1)
        pooled._ret_obj()
    return table
