"""Forks: the child has a pool of its own, whatever the parent's threads were doing; the parent goes on."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from conftest import Factory, MakePool, Resource, Spawn, Stop, eventually, run_python, wait_for

import ProxyPatternPool as ppp

FORKS = 200
PATIENCE = 10
SLOW = 1.0
"""Seconds within which a child has to have its object."""

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
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


def in_child(work: Callable[[], object]) -> int:
    """Fork, let the child do something, and give its status: 0 for true, negative if it was killed."""
    tracer = sys.gettrace()
    sys.settrace(
        None
    )  # a tracer's own lock may be held in another thread, and would be for ever in the child
    pid = os.fork()
    if pid:
        sys.settrace(tracer)
    else:
        status = 70
        try:
            threading.settrace(None)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)  # whoever is stuck for so long dies of it
            status = 0 if work() else 1
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def own(pool: ppp.Pool[Any]) -> bool:
    """Say, in a child, whether the pool lends objects of this process, as many as it may, and closes them."""
    me = os.getpid()
    size = pool._max_size or 3
    things = [pool.get(timeout=1.0) for _ in range(size)]
    good = len({id(thing) for thing in things}) == size and all(thing.pid == me for thing in things)
    for thing in things:
        pool.ret(thing)
    again = pool.get(timeout=1.0)
    good = good and again in things
    pool.ret(again)
    pool.shutdown()
    stats = pool.stats()
    good = good and stats["ncreated"] == stats["ndestroys"] == size and stats["nobjs"] == 0
    return good and all(thing.closers == [me] for thing in things)


def test_fork_under_traffic() -> None:
    """Forked 200 times while threads use it and hold its lock, the pool works in child and parent."""
    lock = threading.Lock()
    closed: list[int] = []  # the processes which made what this one has closed

    def fun(number: int) -> Thing:
        if random.random() < 0.2:
            stop.wait(0.001)
        return Thing(number)

    def closer(thing: Thing) -> None:
        closed.append(thing.pid)
        thing.close()

    pool: ppp.Pool[Thing] = ppp.Pool(
        fun, max_size=4, min_size=2, max_use=3, delay=0.005, health=lambda thing: True, closer=closer
    )
    stop = threading.Event()
    errors: list[str] = []
    done: Counter[str] = Counter()

    def traffic() -> None:
        mine = 0
        try:
            while not stop.is_set():
                with pool.obj(timeout=PATIENCE) as thing:
                    if thing.pid != os.getpid() or thing.closers:
                        errors.append(f"{thing.number} of {thing.pid} closed by {thing.closers}")
                    if random.random() < 0.3:
                        stop.wait(0.0005)
                mine += 1
                pool.stats()
        except BaseException as error:
            errors.append(repr(error))
        with lock:
            done["traffic"] += mine

    def locker() -> None:
        while not stop.is_set():
            with pool._lock:
                stop.wait(0.0005)
            stop.wait(0.0005)
            done["locked"] += 1

    def child() -> bool:
        closed.clear()
        start = time.monotonic()
        thing = pool.get(timeout=PATIENCE)
        late = time.monotonic() - start > SLOW
        running = pool._housekeeper is not None and pool._housekeeper.is_alive()
        mine = thing.pid == os.getpid()
        pool.ret(thing)
        pool.shutdown()
        if late:
            os._exit(2)
        return running and mine and thing.closers == [os.getpid()] and set(closed) == {os.getpid()}

    threads = [threading.Thread(target=traffic, daemon=True) for _ in range(5)]
    threads.append(threading.Thread(target=locker, daemon=True))
    for thread in threads:
        thread.start()
    outcomes = Counter(in_child(child) for _ in range(FORKS))
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    print(f"\nforks: {dict(outcomes)} by status, meanwhile {dict(done)} in the parent")
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)
    late = outcomes.pop(2, 0)  # a machine with every core busy may be late for once
    assert late <= FORKS // 20
    assert outcomes == {0: FORKS - late}
    assert done["traffic"] > FORKS
    eventually(lambda: pool.stats()["sem"] == {"value": 4, "init": 4})
    pool.shutdown(delay=PATIENCE)
    stats = pool.stats()
    assert stats["ncreated"] == stats["ndestroys"] == len(closed)
    assert set(closed) == {os.getpid()}


def locks_of(*owners: object) -> dict[str, Any]:
    """Find everything that can be held, in the attributes of those objects."""
    found: dict[str, Any] = {}
    for owner in owners:
        for name in dir(owner):
            if name.startswith("__"):
                continue
            value = getattr(owner, name, None)
            if (
                all(callable(getattr(value, method, None)) for method in ("acquire", "release"))
                and not isinstance(value, type | threading.Semaphore)
                and value not in found.values()
            ):
                found[f"{type(owner).__name__}.{name}"] = value
    return found


@pytest.mark.parametrize("delay", [0.0, 60.0], ids=["no housekeeper", "housekeeper"])
def test_fork_while_a_lock_is_held(spawn: Spawn, delay: float) -> None:
    """Whichever lock of the pool another thread holds at the fork, the child gets its own objects."""
    pool: ppp.Pool[Thing] = ppp.Pool(Thing, max_size=3, min_size=2, delay=delay, closer=Thing.close)
    locks = locks_of(pool, pool._sem, ppp)
    assert locks
    for name, lock in locks.items():
        holding, go = threading.Event(), threading.Event()

        def hold(lock: Any = lock, holding: threading.Event = holding, go: threading.Event = go) -> None:
            lock.acquire()
            try:
                holding.set()
                go.wait(0.2)  # not longer: a fork may wait for a lock that is held for a moment only
            finally:
                lock.release()

        holder = spawn(hold)
        wait_for(holding)
        status = in_child(lambda: own(pool))
        go.set()
        holder.result()
        assert status == 0, name
    pool.ret(pool.get(timeout=1.0))
    pool.shutdown()


def test_fork_while_an_object_is_being_made(make_pool: MakePool, spawn: Spawn) -> None:
    """A creation that was under way in another thread at the fork counts in the parent alone."""
    entered, go = threading.Event(), threading.Event()
    parent = os.getpid()

    def fun(number: int) -> Thing:
        if os.getpid() == parent:
            entered.set()
            wait_for(go)
        return Thing(number)

    pool = make_pool(fun, max_size=2, min_size=0, closer=Thing.close)
    getter = spawn(pool.get)
    wait_for(entered)
    assert in_child(lambda: own(pool)) == 0
    go.set()
    thing = getter.result()
    assert thing.pid == parent
    pool.ret(thing)
    pool.shutdown()
    assert thing.closers == [parent]


def test_fork_while_objects_are_lent_and_awaited(make_pool: MakePool, spawn: Spawn) -> None:
    """Objects lent and threads waiting at the fork are the parent's: the child has all its tokens at once."""
    pool = make_pool(Thing, max_size=2, min_size=2, closer=Thing.close)
    held = [pool.get(), pool.get()]
    waiter = spawn(pool.get, PATIENCE)
    eventually(lambda: pool.stats()["nwaiting"] == 1)

    def child() -> bool:
        stats = pool.stats()
        fresh = stats["nusing"] == stats["navail"] == stats["nwaiting"] == 0
        return fresh and own(pool) and all(thing.closers == [] for thing in held)

    assert in_child(child) == 0
    assert pool.stats()["nwaiting"] == 1
    pool.ret(held.pop())
    held.append(waiter.result())
    for thing in held:
        pool.ret(thing)


def test_fork_inside_with_obj(make_pool: MakePool) -> None:
    """A child forked within `with pool.obj()` does not give the parent's object to its own pool."""
    pool = make_pool(Thing, max_size=1, closer=Thing.close)

    def child(mine: Thing) -> bool:
        pool.ret(mine)  # what leaving the block does
        thing = pool.get(timeout=1.0)
        return thing.pid == os.getpid() and mine.closers == [] and mine not in pool._avail

    with pool.obj() as thing:
        assert in_child(lambda: child(thing)) == 0
        assert thing.closers == []
    with pool.obj(timeout=0) as again:
        assert again is thing


@pytest.mark.parametrize("error", [None, ConnectionError()], ids=["well", "broken"])
def test_child_leaves_the_block(make_pool: MakePool, error: Exception | None) -> None:
    """A child that leaves the block of its parent neither keeps nor closes the parent's object."""
    pool = make_pool(Thing, max_size=1, closer=Thing.close, invalidate_on=ConnectionError)
    block = pool.obj()
    thing = block.__enter__()

    def child() -> bool:
        block.__exit__(type(error) if error else None, error, None)
        assert (pool._nobjs, thing.closers) == (0, [])
        assert pool._sem is not None
        assert pool._sem._value == 1
        new: Thing = pool.get(timeout=1.0)
        return new.pid == os.getpid()

    assert in_child(child) == 0
    block.__exit__(None, None, None)
    assert pool.get(timeout=0) is thing


def test_forgotten_block_in_the_child(make_pool: MakePool) -> None:
    """In a child, too, a block whose end was missed gives its object back when it is dropped."""
    pool = make_pool(Thing, max_size=1)

    def child() -> bool:
        block = pool.obj()
        thing = block.__enter__()
        del block
        return pool.get(timeout=0) is thing

    assert in_child(child) == 0


def test_child_drops_nothing_of_a_proxy() -> None:
    """What the parent's thread holds through a proxy without a pool is not finalized in the child."""
    dropped: list[int] = []

    class Held:
        def __del__(self) -> None:
            dropped.append(os.getpid())

    proxy = ppp.Proxy[Held](fun=lambda number: Held(), max_size=None)
    mine = id(proxy._get_obj())

    def child() -> bool:
        other = proxy._get_obj()
        gc.collect()
        return id(other) != mine and dropped == []

    assert in_child(child) == 0
    proxy._set(mandatory=False)
    gc.collect()
    assert dropped == [os.getpid()]


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


def test_forgotten_pool_in_the_child(make_pool: MakePool) -> None:
    """A child that drops the pool, and one that closes it, leaves the parent's objects open."""
    pool: ppp.Pool[Thing] | None = make_pool(Thing, max_size=3, min_size=3, delay=60.0, closer=Thing.close)
    assert pool is not None
    things = list(pool._avail)
    assert len(things) == 3

    def drop() -> bool:
        pool.__delete__()
        pool.shutdown()
        gc.collect()
        return all(thing.closers == [] for thing in things)

    assert in_child(drop) == 0
    assert pool.get(timeout=0) in things


def test_grandchildren(make_pool: MakePool) -> None:
    """A child's child has its own objects too."""
    pool = make_pool(Thing, max_size=2, min_size=1, delay=60.0, closer=Thing.close)

    def child() -> bool:
        thing = pool.get(timeout=1.0)
        grandchild = in_child(lambda: own(pool))
        pool.ret(thing)
        return grandchild == 0 and own_after(pool, thing)

    def own_after(pool: ppp.Pool[Any], thing: Thing) -> bool:
        return pool.get(timeout=0) is thing and thing.closers == []

    assert in_child(child) == 0


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


def test_pool_after_a_fork_in_a_hook(make_pool: MakePool) -> None:
    """A hook that forks, as `fun` of a pool of processes does, harms neither side."""
    statuses: list[int] = []
    parent = os.getpid()

    def retter(thing: Thing) -> None:
        if os.getpid() == parent:
            statuses.append(in_child(lambda: own(pool)))

    pool = make_pool(Thing, max_size=2, retter=retter, closer=Thing.close)
    thing = pool.get()
    pool.ret(thing)
    assert statuses == [0]
    assert pool.get(timeout=0) is thing
    pool.ret(thing)


def test_proxy_in_the_child() -> None:
    """A proxy drawn before the fork stands for an object of its own in the child."""
    proxy: ppp.Proxy[Thing] = ppp.Proxy(fun=Thing, max_size=2, closer=Thing.close)
    parent = proxy._get_obj()

    def child() -> bool:
        mine = proxy._get_obj(timeout=1.0)
        good = mine.pid == os.getpid() and proxy.pid == os.getpid()
        proxy._ret_obj()
        return good and parent.closers == []

    assert in_child(child) == 0
    assert proxy._get_obj() is parent
    proxy._ret_obj()
    assert proxy._pool is not None
    proxy._pool.shutdown()
    assert parent.closers == [os.getpid()]


def test_exit_of_the_child() -> None:
    """A child that ends as a program does leaves the parent's objects open, and says nothing on stderr."""
    done = run_python(
        """
        import os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import ProxyPatternPool as ppp

        def close(pid):
            print("close", "own" if pid == os.getpid() else "foreign", flush=True)

        pool = ppp.Pool(lambda number: os.getpid(), max_size=3, min_size=1, delay=30.0, closer=close)
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print("child without use ended", flush=True)
        pid = os.fork()
        if pid == 0:
            pool.ret(pool.get())
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        print("child with use ended", flush=True)
        """
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "child without use ended",
        "close own",
        "child with use ended",
        "close own",
    ]


POOL: ppp.Pool[Thing] | None = None
"""What a program has at the top of a module."""


def use_global(_: int) -> tuple[int, int]:
    """Use the module's pool in a worker process: give the object's process and one's own."""
    assert POOL is not None
    with POOL.obj(timeout=PATIENCE) as thing:
        return thing.pid, os.getpid()


def use_sent(pool: ppp.Pool[Thing]) -> tuple[int, int, int | None]:
    """Use a pool that was sent to a worker process."""
    with pool.obj(timeout=PATIENCE) as thing:
        return thing.pid, os.getpid(), pool._max_size


def test_multiprocessing_with_fork(monkeypatch: pytest.MonkeyPatch, spawn: Spawn) -> None:
    """Forked workers of multiprocessing each make their own objects with the pool of the parent's module."""
    pool: ppp.Pool[Thing] = ppp.Pool(Thing, max_size=2, min_size=2, delay=60.0, closer=Thing.close)
    monkeypatch.setattr(sys.modules[__name__], "POOL", pool)
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            pool.ret(pool.get())
            stop.wait(0.001)

    task = spawn(traffic)
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(2, mp_context=context) as workers:
            pids = list(workers.map(use_global, range(20), timeout=PATIENCE * 2))
    finally:
        stop.set()
    task.result()
    assert all(made == used for made, used in pids)
    assert os.getpid() not in {used for _, used in pids}
    assert [thing.closers for thing in pool._avail] == [[], []]
    pool.shutdown()


def test_multiprocessing_with_spawn() -> None:
    """A pool sent to spawned workers travels as its configuration, and makes its own objects there."""
    pool: ppp.Pool[Thing] = ppp.Pool(Thing, max_size=2, min_size=1, closer=Thing.close)
    here = pool.get()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        pids = list(workers.map(use_sent, [pool] * 4, timeout=PATIENCE * 3))
    assert all(made == used != os.getpid() for made, used, _ in pids)
    assert {size for _, _, size in pids} == {2}
    assert here.closers == []
    pool.ret(here)
    pool.shutdown()
    assert here.closers == [os.getpid()]


def test_fork_of_a_shut_pool(make_pool: MakePool, factory: Factory) -> None:
    """A pool that was shut down before the fork is shut down in the child."""
    pool = make_pool(max_size=2)
    pool.shutdown()

    def child() -> bool:
        try:
            pool.get(timeout=0)
        except ppp.PoolException as error:
            return "shutting down" in str(error)
        return False

    assert in_child(child) == 0
    assert [resource.closings for resource in factory.made] == [1]
    assert isinstance(factory.made[0], Resource)
