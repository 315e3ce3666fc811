"""Without the GIL: no thread is slower than another one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import MakePool, Task
from helpers_faults import GIL

import ProxyPatternPool as ppp

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.skipif(GIL, reason="this build has the GIL"),
]

TURNS = 2_000


def get_and_ret(pool: ppp.Pool[Any]) -> None:
    for _ in range(TURNS):
        pool.ret(pool.get())


def use_in_blocks(pool: ppp.Pool[Any]) -> None:
    for _ in range(TURNS):
        with pool.obj():
            pass


@pytest.mark.parametrize("use", [get_and_ret, use_in_blocks])
@pytest.mark.parametrize("max_size", [0, 4], ids=["no limit", "limit"])
def test_other_threads_are_as_fast_as_the_makers(
    make_pool: MakePool, use: Callable[[ppp.Pool[Any]], None], max_size: int
) -> None:
    """Get and ret take in another thread at most twice the time that they take in the maker's."""
    pool = make_pool(lambda number: object(), max_size=max_size)

    def seconds() -> float:
        start = time.perf_counter()
        use(pool)
        return time.perf_counter() - start

    here, there = [], []
    for _ in range(15):
        here.append(seconds())
        task = Task(seconds)
        task.start()
        there.append(task.result(60.0))
    print(f"\nmaker's thread {min(here) / TURNS * 1e6:.2f} µs, another {min(there) / TURNS * 1e6:.2f} µs")
    assert min(there) <= 2 * min(here)
