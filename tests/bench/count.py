"""Count what the hot paths execute: bytecode instructions and function calls.

Unlike seconds, these numbers are the same on every machine, for a version of Python. Run as a program
it prints them as JSON; it runs in a process of its own so that no other tracer is disturbed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

Work = Callable[[], object]
WARM = 50
REPEATS = 5


def nothing() -> None:
    """Do nothing: what this takes is taken off."""


def _traced(work: Work) -> int:
    seen = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal seen
        frame.f_trace_opcodes = True
        seen += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return seen


def _monitored(work: Work) -> int:
    monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    seen = 0

    def count(_code: object, _offset: int) -> None:
        nonlocal seen
        seen += 1

    monitoring.use_tool_id(tool, "count")
    monitoring.register_callback(tool, event, count)
    try:
        monitoring.set_events(tool, event)
        work()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
    return seen


def _profiled(work: Work) -> int:
    seen = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return seen


def measure(work: Work) -> dict[str, int]:
    """Return the instructions and the calls, Python's and C's, of a piece of work that is warm."""
    for _ in range(WARM):
        work()
    instructions = _monitored if hasattr(sys, "monitoring") else _traced
    result = {}
    for key, counter in (("instructions", instructions), ("calls", _profiled)):
        least = min(counter(work) for _ in range(REPEATS))
        result[key] = least - min(counter(nothing) for _ in range(REPEATS))
    return result


class Thing:
    """What stands behind the proxies."""

    x = 1


def report() -> dict[str, dict[str, int]]:
    """Count each hot path."""
    import ProxyPatternPool as ppp

    pool = ppp.Pool(lambda _number: Thing(), max_size=4, min_size=4)
    get, ret, obj = pool.get, pool.ret, pool.obj
    shared: Any = ppp.Proxy(obj=Thing())
    thread: Any = ppp.Proxy(fun=lambda _number: Thing(), max_size=None)
    pooled: Any = ppp.Proxy(fun=lambda _number: Thing(), max_size=4)

    def get_and_ret() -> None:
        ret(get())

    def managed() -> None:
        with obj():
            pass

    def proxied() -> None:
        with pooled._obj():
            pass

    try:
        counted = {"get and return": measure(get_and_ret), "with pool.obj()": measure(managed)}
        for name, proxy in (("shared", shared), ("thread", thread), ("thread with pool", pooled)):
            if proxy is pooled:
                counted["with proxy._obj()"] = measure(proxied)
            counted[f"proxy.x, {name}"] = measure(lambda proxy=proxy: proxy.x)  # type: ignore[misc]
    finally:
        pool.shutdown()
        pooled._ret_obj()
        if pooled._pool is not None:
            pooled._pool.shutdown()
    return counted


if __name__ == "__main__":
    print(json.dumps(report()))
