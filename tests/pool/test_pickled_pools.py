"""Pools that travel: a pickled pool is its configuration, and makes its own objects where it arrives."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from conftest import HOUR, MakePool, numbers, run_python

import ProxyPatternPool as ppp

PICKLED: dict[str, Any] = {
    "max_size": 3,
    "min_size": 2,
    "timeout": 0.5,
    "max_use": 7,
    "max_avail_delay": 30.0,
    "max_using_delay_kill": 40.0,
    "health_freq": 5,
    "delay": HOUR,
    "name": "traveller",
}

UNPICKLE = """
import json, pickle, sys, threading
pools = [pickle.loads(bytes.fromhex(sys.argv[1])) for _ in range(2)]
pool = pools[0]
before = {**pool.stats(), "threads": threading.active_count()}
with pools[0].obj() as one, pools[1].obj() as two:
    json.dump([before, pool.stats(), len(one), len(two)], sys.stdout)
pool.shutdown(delay=5.0)
"""


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_elsewhere(make_pool: MakePool, protocol: int) -> None:
    """A pool pickles to its configuration, and makes its own objects elsewhere, at its first use."""
    pool = make_pool(bytearray, tracer=repr, max_lifetime=50.0, max_waiting=6, **PICKLED)
    with pool.obj():
        before = numbers(pool, "nobjs nusing sem nuses")
        pickled = pickle.dumps(pool, protocol)
        assert numbers(pool, "nobjs nusing sem nuses") == before
    run = run_python(UNPICKLE, pickled.hex())
    assert (run.returncode, run.stderr) == (0, "")
    arrived, during, one, two = json.loads(run.stdout)
    assert {key: arrived[key] for key in PICKLED} == PICKLED
    assert (arrived["nobjs"], arrived["threads"], arrived["sem"]) == (0, 1, {"value": 3, "init": 3})
    # unpickled again in the same process it is the same pool, so that the limit holds for the process
    assert (one, two, during["sem"]) == (0, 1, {"value": 1, "init": 3})
    assert sorted(entry["trace"] for entry in during["using"]) == [repr(bytearray(0)), repr(bytearray(1))]


class Counted(ppp.Pool[Any]):
    """A pool with attributes, one of which refers to it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = 7
        self.me = [self]


def test_sizes_and_attributes() -> None:
    """A pool that was resized travels with its sizes, one of a subclass with its attributes."""
    with Counted(str, max_size=8, min_size=0) as pool:
        pool.resize(min_size=0, max_size=2)
        travelling = pickle.dumps(pool)
    with pickle.loads(travelling) as copy:
        assert type(copy) is Counted
        assert (copy._max_size, copy._min_size) == (2, 0)
        assert (copy.calls, copy.me) == (7, [copy])
    with pickle.loads(travelling) as anew:
        assert (anew is copy, anew.get()) == (False, "0")
