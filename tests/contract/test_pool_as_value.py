"""A pool is a value: copies of it are itself, pickled it is its configuration, and instances shadow it."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from conftest import Factory, MakePool
from helpers import HOUR, numbers, run_python

import ProxyPatternPool as ppp


def test_copies(make_pool: MakePool) -> None:
    """A copy of a pool, by whatever way, is the pool; another pool is not equal to it."""
    pool, other = make_pool(max_size=1, min_size=0), make_pool()
    settings: Any = dataclasses.make_dataclass("Settings", ["pool"])(pool)
    with pool.obj():
        for found in (copy.copy(pool), copy.deepcopy([pool])[0], dataclasses.asdict(settings)["pool"]):
            assert found is pool
    assert len({pool, other, copy.copy(pool)}) == 2
    assert bool(pool) is True


def test_class_attribute(factory: Factory, make_pool: MakePool) -> None:
    """A pool that is a class attribute is shadowed by what an instance has, until that is deleted."""
    shared, own = make_pool(max_size=2), make_pool()

    @dataclasses.dataclass
    class Model:
        name: str
        pool: Any = shared

    one, other = Model("one"), Model("other", own)
    assert (Model.pool, one.pool, other.pool) == (shared, shared, own)
    one.pool = "its own"
    assert (one.pool, Model("another").pool is shared) == ("its own", True)
    del one.pool
    assert one.pool is shared
    with pytest.raises(AttributeError, match="pool"):
        del one.pool
    assert factory.closings == [0, 0]


PICKLED = {"max_size": 3, "min_size": 2, "timeout": 0.5, "max_use": 7, "delay": HOUR, "name": "traveller"}
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


class Own(ppp.Pool[Any]):
    """A pool of a class of one's own."""


def test_sizes_and_attributes() -> None:
    """A pool that was resized travels with its sizes, one of a subclass with its attributes."""
    with Own(str, max_size=8, min_size=0) as pool:
        vars(pool).update(calls=7, me=[pool])
        pool.resize(min_size=0, max_size=2)
        travelling = pickle.dumps(pool)
    with pickle.loads(travelling) as copy:
        assert (type(copy), copy.calls, copy.me) == (Own, 7, [copy])
        assert numbers(copy, "max_size min_size") == [2, 0]
    with pickle.loads(travelling) as anew:
        assert (anew is copy, anew.get()) == (False, "0")
