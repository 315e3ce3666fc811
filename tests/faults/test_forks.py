"""Forks: the child has a pool of its own, whatever the parent's threads were doing; the parent goes on.

The children are those of multiprocessing. `test_storm.py` forks in the midst of traffic.
"""

from __future__ import annotations

import gc
import os
import re
import threading
from pathlib import Path

import pytest
from conftest import MakePool, Spawn
from helpers import HOUR, Stop, eventually, run_python, wait_for, waiting
from helpers_faults import PATIENCE, in_child

import ProxyPatternPool as ppp

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.untraced,
]


class Thing:
    """A pooled object that knows which process has made it and which ones have closed it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = os.getpid()
        self.closers: list[int] = []

    def close(self) -> None:
        """Be closed, in this process."""
        self.closers.append(os.getpid())


def own(pool: ppp.Pool[Thing]) -> bool:
    """See, in a child, that the pool lends objects of this process, as many as it may, and closes them."""
    me = os.getpid()
    stats = pool.stats()
    assert stats["nusing"] == stats["navail"] == stats["nwaiting"] == 0
    things = [pool.get(timeout=1.0) for _ in range(pool._max_size or 3)]
    assert len({id(thing) for thing in things}) == len(things)
    assert {thing.pid for thing in things} == {me}
    for thing in things:
        pool.ret(thing)
    again = pool.get(timeout=1.0)
    assert again in things
    pool.ret(again)
    pool.shutdown()
    stats = pool.stats()
    assert (stats["ncreated"], stats["ndestroys"], stats["nobjs"]) == (len(things), len(things), 0)
    return all(thing.closers == [me] for thing in things)


@pytest.mark.parametrize("delay", [0.0, HOUR], ids=["no housekeeper", "housekeeper"])
@pytest.mark.parametrize("meanwhile", ["lock held", "being made", "lent and awaited"])
def test_fork_in_the_midst_of_work(make_pool: MakePool, spawn: Spawn, meanwhile: str, delay: float) -> None:
    """Whatever threads do at the fork is the parent's: the child has all permits and its own objects."""
    stop, parent, made = Stop(), os.getpid(), list[Thing]()

    def fun(number: int) -> Thing:
        if meanwhile == "being made" and os.getpid() == parent:
            stop()
        made.append(Thing(number))
        return made[-1]

    def hold() -> None:
        with pool._lock:
            stop.reached.set()
            stop.go.wait(0.2)  # not longer: a fork may wait for a lock that is held for a moment only

    def use() -> None:
        pool.ret(pool.get(PATIENCE))

    pool = make_pool(fun, max_size=2, min_size=0, delay=delay, closer=Thing.close)
    if meanwhile == "lock held":
        use()
    held = [pool.get(), pool.get()] if meanwhile == "lent and awaited" else []
    task = spawn(hold if meanwhile == "lock held" else use)
    waiting(pool, 1) if held else wait_for(stop.reached)
    theirs = made.copy()
    assert in_child(lambda: own(pool) and all(thing.closers == [] for thing in theirs)) == 0
    assert not held or pool.stats()["nwaiting"] == 1
    stop.go.set()
    for thing in held:
        pool.ret(thing)
    task.result()
    with pool.obj(timeout=1.0) as thing:
        assert thing.pid == parent
    pool.shutdown()
    assert {tuple(thing.closers) for thing in made} == {(parent,)}


@pytest.mark.parametrize("how", ["ret", "block", "broken block"])
def test_child_gives_back_what_its_parent_holds(make_pool: MakePool, how: str) -> None:
    """A child that returns its parent's object, or leaves the block, neither keeps nor uses it."""
    pool = make_pool(Thing, max_size=1, closer=Thing.close, tracer=Thing.close, invalidate_on=ConnectionError)
    block = pool.obj()
    thing = block.__enter__()

    def child() -> bool:
        if how == "ret":
            pool.ret(thing)
        else:
            error = ConnectionError() if how == "broken block" else None
            block.__exit__(error and type(error), error, None)
        assert thing.closers == []
        assert (pool._nobjs, pool.stats()["sem"]["value"]) == (0, 1)
        with pool.obj(timeout=1.0) as new:
            return bool(new.pid == os.getpid() and thing not in pool._avail)

    assert in_child(child) == 0
    block.__exit__(None, None, None)
    assert pool.get(timeout=0) is thing


@pytest.mark.parametrize("first", ["the child", "the parent"])
def test_shutdown_and_fork(make_pool: MakePool, first: str) -> None:
    """A child that shuts a pool down leaves its parent's objects open; one shut before the fork stays so."""
    pool = make_pool(Thing, max_size=3, min_size=3, delay=HOUR, closer=Thing.close)
    things = list(pool._avail)
    if first == "the parent":
        pool.shutdown()
    closers = [thing.closers.copy() for thing in things]

    def child() -> bool:
        assert pool._shutdown is (first == "the parent")
        pool.__delete__()
        pool.shutdown()
        gc.collect()
        with pytest.raises(ppp.PoolException, match="shutting down"):
            pool.get(timeout=0)
        return [thing.closers for thing in things] == closers

    assert in_child(child) == 0
    assert first == "the parent" or pool.get(timeout=0) in things


def test_housekeeper_of_the_child_starts_with_its_first_object(make_pool: MakePool) -> None:
    """The child has no housekeeper until it uses the pool; then its own one makes rounds."""
    pool = make_pool(Thing, max_size=3, min_size=2, delay=0.01, closer=Thing.close)
    eventually(lambda: pool.stats()["hk_rounds"] > 1)

    def child() -> bool:
        asleep = threading.active_count() == 1
        pool.ret(pool.get(timeout=1.0))
        rounds = pool.stats()["hk_rounds"]
        eventually(lambda: pool.stats()["hk_rounds"] > rounds)
        eventually(lambda: pool.stats()["navail"] == 2)
        return asleep and all(thing.pid == os.getpid() for thing in pool._avail)

    assert in_child(child) == 0


def test_fork_while_a_shared_object_is_made(spawn: Spawn) -> None:
    """A fork during the making of a shared object leaves no lock behind: the child makes its own."""
    stop = Stop()

    def make(number: int) -> list[int]:
        stop()
        return [os.getpid()]

    proxy = ppp.Proxy[list[int]](fun=make, scope=ppp.Proxy.Scope.SHARED)
    task = spawn(proxy._get_obj)
    wait_for(stop.reached)
    assert in_child(lambda: proxy._get_obj() == [os.getpid()]) == 0
    stop.go.set()
    assert task.result() == [os.getpid()]


def test_exit_of_the_child(tmp_path: Path) -> None:
    """A child that ends as a program does closes its own objects, and writes nothing to the parent's."""
    done = run_python(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import ProxyPatternPool as ppp
        parent = os.getpid()

        def fun(number):
            file = open(os.path.join(sys.argv[1], f"{number}-{os.getpid() == parent}"), "w")
            file.write("unflushed")
            return file

        def close(file):
            print("close", os.path.basename(file.name), flush=True)
            file.close()

        pool = ppp.Pool(fun, max_size=3, min_size=2, delay=30.0, closer=close)
        held = pool.get()
        for use in (False, True):
            pid = os.fork()
            if pid == 0:
                if use:
                    pool.ret(pool.get())
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            print("child has ended", flush=True)
        for name in ("0-True", "1-True"):
            assert os.path.getsize(os.path.join(sys.argv[1], name)) == 0
        pool.ret(held)
        pool.shutdown()
        """,
        str(tmp_path),
    )
    assert (done.stderr, done.returncode) == ("", 0)
    unused, used, parent = done.stdout.split("child has ended\n")
    assert unused == ""
    assert set(re.findall("True|False", used)) == {"False"}, "the child's own"
    assert sorted(parent.splitlines()) == ["close 0-True", "close 1-True"]
