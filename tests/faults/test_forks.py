"""Forks: the child has a pool of its own, whatever the parent's threads were doing; the parent goes on.

The children are those of multiprocessing. `test_storm.py` forks in the midst of traffic.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource, Spawn
from helpers import BUSY, Gate, numbers, permits, rounds, run_python, waiting
from helpers_faults import PATIENCE, in_child

import ProxyPatternPool as ppp

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.untraced,
]


def own(pool: ppp.Pool[Any], factory: Factory) -> bool:
    """See, in a child, that the pool lends new objects, as many as it may, and closes them and no others.

    It has no housekeeper until then, and then one of its own.
    """
    theirs = factory.closings
    pool.__delete__()
    assert threading.active_count() == 1
    assert numbers(pool, "nusing navail nwaiting") == [0, 0, 0]
    things = [pool.get(timeout=1.0) for _ in range(pool._max_size or 3)]
    assert things == factory.made[len(theirs) :]
    for thing in things:
        pool.ret(thing)
    with pool.obj(timeout=1.0) as again:
        assert again in things
    if pool._delay:
        rounds(pool)
    pool.shutdown()
    assert numbers(pool, "ncreated ndestroys nobjs") == [len(things), len(things), 0]
    return factory.closings == theirs + [1] * len(things)


@pytest.mark.parametrize("delay", [0.0, BUSY], ids=["no housekeeper", "housekeeper"])
@pytest.mark.parametrize("meanwhile", ["lock held", "being made", "lent and awaited"])
def test_fork_in_the_midst_of_work(
    make_pool: MakePool, factory: Factory, spawn: Spawn, meanwhile: str, delay: float
) -> None:
    """Whatever threads do at the fork is the parent's: the child has all permits and its own objects."""
    gate, parent = Gate(), os.getpid()

    def fun(number: int) -> Resource:
        if os.getpid() == parent:
            gate()
        return factory(number)

    def hold() -> None:
        with pool._lock:
            gate.reached.set()
            gate.go.wait(0.2)  # not longer: a fork may wait for a lock that is held for a moment only

    pool = make_pool(fun, max_size=2, min_size=0, delay=delay, closer=Resource.close)
    if meanwhile == "lent and awaited":
        held = [pool.get(), pool.get()]
        waiter = spawn(pool.get, PATIENCE)
        waiting(pool, 1)
        assert in_child(lambda: own(pool, factory)) == 0
        waiting(pool, 1)
        for thing in held:
            pool.ret(thing)
        assert waiter.result() in held
    else:
        pool.ret(pool.get())
        with gate.holds(hold if meanwhile == "lock held" else lambda: [pool.get(), pool.get()]):
            assert in_child(lambda: own(pool, factory)) == 0
    pool.shutdown()
    assert set(factory.closings) == {1}


@pytest.mark.parametrize("how", ["ret", "block", "broken block"])
def test_child_gives_back_what_its_parent_holds(make_pool: MakePool, how: str) -> None:
    """A child that returns its parent's object, or leaves the block, neither keeps nor uses it."""
    pool = make_pool(max_size=1, tracer=Resource.close, invalidate_on=ConnectionError)
    block = pool.obj()
    thing = block.__enter__()

    def child() -> bool:
        if how == "ret":
            pool.ret(thing)
        else:
            error = ConnectionError() if how == "broken block" else None
            block.__exit__(error and type(error), error, None)
        assert thing.alive
        assert (pool._nobjs, permits(pool)) == (0, (1, 1))
        with pool.obj(timeout=1.0) as new:
            return new is not thing and thing not in pool._avail

    assert in_child(child) == 0
    block.__exit__(None, None, None)
    assert pool.get(timeout=0) is thing


def test_shut_down_before_the_fork(make_pool: MakePool) -> None:
    """A pool that was shut down before the fork stays so in the child."""
    pool = make_pool()
    pool.shutdown()

    def child() -> bool:
        with pytest.raises(ppp.PoolException, match="shutting down"):
            pool.get(timeout=0)
        return pool._shutdown

    assert in_child(child) == 0


def test_fork_while_a_shared_object_is_made() -> None:
    """A fork during the making of a shared object leaves no lock behind: the child makes its own."""
    gate = Gate()
    fun = gate.maker(lambda number: [os.getpid()])
    proxy = ppp.Proxy[list[int]](fun=fun, scope=ppp.Proxy.Scope.SHARED)
    with gate.holds(proxy._get_obj) as task:
        assert in_child(lambda: proxy._get_obj() == [os.getpid()]) == 0
    assert task.result() == [os.getpid()]


def test_exit_of_the_child(tmp_path: Path) -> None:
    """A child that ends as a program does closes its own objects, and writes nothing to the parent's."""
    program = """
    import os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    import ProxyPatternPool as ppp
    parent = os.getpid()
    os.chdir(sys.argv[1])

    def fun(number):
        file = open(f"{number}-{os.getpid() == parent}", "w")
        file.write("unflushed")
        return file

    def close(file):
        print("close", file.name, flush=True)
        file.close()

    proxy = ppp.Proxy(fun=fun, max_size=3, min_size=2, delay=30.0, closer=close)
    status, held = ppp.Proxy([0]), proxy._get_obj()
    for use in (False, True):
        pid = os.fork()
        if pid == 0:
            if use:
                assert proxy.name != held.name
                proxy._ret_obj()
            sys.exit(status[0])
        assert os.waitpid(pid, 0)[1] == 0
        print("child has ended", flush=True)
    assert os.path.getsize("0-True") == os.path.getsize("1-True") == 0
    proxy._ret_obj()
    proxy._pool.shutdown()
    """
    done = run_python(program, str(tmp_path))
    assert (done.stderr, done.returncode) == ("", 0)
    unused, used, parent = done.stdout.split("child has ended\n")
    assert unused == ""
    assert set(re.findall("True|False", used)) == {"False"}, "the child's own"
    assert sorted(parent.splitlines()) == ["close 0-True", "close 1-True"]


@pytest.mark.parametrize("kind", ["pool", "proxy"])
def test_block_of_another_thread(make_pool: MakePool, factory: Factory, spawn: Spawn, kind: str) -> None:
    """The child drops what other threads keep, first of all: of blocks, no hook is run there."""
    gate, kept, returned = Gate(shut=True), threading.local(), list[Resource]()
    hooks: dict[str, Any] = {"max_size": 1, "retter": returned.append, "closer": Resource.close}
    proxy: Any = ppp.Proxy(fun=factory, min_size=0, **hooks)
    pool = make_pool(factory, **hooks) if kind == "pool" else proxy._pool

    def hold() -> None:
        kept.block = pool.obj() if kind == "pool" else proxy._obj()
        kept.block.__enter__()
        gate()
        kept.block.__exit__(None, None, None)

    task = spawn(hold)
    assert gate.reached.wait(PATIENCE)
    (thing,) = pool._using
    assert in_child(lambda: (thing.closings, returned) == (0, [])) == 0
    gate.go.set()
    task.result()
    assert (thing.closings, returned, permits(pool)) == (0, [thing], (1, 1))
    proxy._pool.shutdown()
