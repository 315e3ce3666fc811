"""Without the GIL: no thread is slower than another one."""

from __future__ import annotations

import time

import pytest
from conftest import MakePool
from helpers import start
from helpers_faults import GIL

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.skipif(GIL, reason="this build has the GIL"),
]

TURNS = 2_000


@pytest.mark.parametrize("max_size", [0, 4], ids=["no limit", "limit"])
def test_other_threads_are_as_fast_as_the_makers(make_pool: MakePool, max_size: int) -> None:
    """A block takes in another thread at most twice the time that it takes in the maker's."""
    pool = make_pool(lambda number: object(), max_size=max_size)

    def seconds() -> float:
        begin = time.perf_counter()
        for _ in range(TURNS):
            with pool.obj():
                pass
        return time.perf_counter() - begin

    here, there = zip(*((seconds(), start(seconds).result(60.0)) for _ in range(15)), strict=True)
    assert min(there) <= 2 * min(here)
