"""Count what the hot paths execute: bytecode instructions and function calls.

Unlike seconds, these numbers are the same on every machine, for a version of Python. Run as a program
it prints them as JSON; it runs in a process of its own so that no other tracer is disturbed.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ProxyPatternPool as ppp

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
WARM = 50
REPEATS = 5


def count(work: Callable[[], None], kind: str) -> int:
    """Return how often something happens in a piece of work, the middle of some counts."""
    get, install, events = HOOKS[kind]
    seen: list[int] = []

    def hook(frame: FrameType, event: str, _argument: Any) -> Any:
        frame.f_trace_opcodes = kind == "instructions"
        seen[-1] += event in events
        return hook

    for _ in range(REPEATS):  # the first count of a process is 0 on Python 3.12
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
    defaults = ", ".join(f"{name}=_{name}" for name in names)
    exec(f"def work({defaults}): {statement}", scope)
    work: Callable[[], None] = scope["work"]
    for _ in range(WARM):
        work()
    return work


class Thing:
    """What stands behind the proxies."""

    x = 1


def report() -> dict[str, dict[str, int]]:
    """Count each hot path."""
    shared: Any = ppp.Proxy(obj=Thing())
    thread: Any = ppp.Proxy(fun=lambda _number: Thing(), max_size=None)
    pooled: Any = ppp.Proxy(fun=lambda _number: Thing(), max_size=4)
    with ppp.Pool(lambda _number: Thing(), max_size=4, min_size=4) as pool:
        names = {"get": pool.get, "ret": pool.ret, "obj": pool.obj}
        names |= {"shared": shared, "thread": thread, "pooled": pooled}
        works = {name: compiled(statement, **names) for name, statement in STATEMENTS.items()}
        pooled._ret_obj()
        nothing = compiled("pass")
        counted = {
            name: {kind: count(work, kind) - count(nothing, kind) for kind in HOOKS}
            for name, work in works.items()
        }
    pooled._ret_obj()
    pooled._pool.shutdown()
    return counted


if __name__ == "__main__":
    print(json.dumps(report()))
