"""The end of a pool: shutdown, abandonment, the end of the program; a failed construction; a fork."""

from __future__ import annotations

import gc
import logging
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import (
    SECONDS,
    Factory,
    MakePool,
    Messages,
    Resource,
    eventually,
    run_python,
    wait_for,
)

import ProxyPatternPool as ppp

LONG = 3600.0


def newer(before: set[threading.Thread]) -> list[threading.Thread]:
    """List the threads that came since then and live."""
    return [thread for thread in threading.enumerate() if thread not in before]


# shutdown


def test_shutdown(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A shutdown closes idle and lent objects, and counts the latter in a warning."""
    pool = make_pool(max_size=5, min_size=3, name="db")
    lent = [pool.get(), pool.get()]
    pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1, 1, 1]
    (warning,) = messages()
    assert warning.startswith("pool 'db': ")
    assert "2" in warning
    stats = pool.stats()
    keys = ("shutdown", "min_size", "nobjs", "navail", "nusing", "ntodel", "ncreated", "ndestroys", "sem")
    assert [stats[key] for key in keys] == [True, 0, 0, 0, 0, 0, 3, 3, {"value": 5, "init": 5}]
    for each in lent:
        pool.ret(each)
    assert len(messages()) == 1


def test_shutdown_of_idle_pool(make_pool: MakePool, messages: Messages) -> None:
    """A shutdown with nothing lent gives no warning."""
    pool = make_pool(min_size=3)
    pool.ret(pool.get())
    pool.shutdown()
    assert messages() == []


@pytest.mark.parametrize("call", ["get", "obj"])
def test_get_after_shutdown(make_pool: MakePool, call: str) -> None:
    """After a shutdown nothing is lent."""
    pool = make_pool(min_size=3)
    pool.shutdown()
    with pytest.raises(ppp.PoolException, match="shutting down") as raised:
        getattr(pool, call)(timeout=0).__enter__()
    assert not isinstance(raised.value, ppp.TimeOut)


def test_shutdown_twice(factory: Factory, make_pool: MakePool) -> None:
    """A second shutdown is harmless."""
    pool = make_pool(min_size=2, delay=LONG)
    pool.get()
    pool.shutdown()
    pool.shutdown()
    pool.shutdown(delay=1.0, grace=1.0)
    assert [resource.closings for resource in factory.made] == [1, 1]


def test_return_after_shutdown(make_pool: MakePool, messages: Messages) -> None:
    """Returning an object after the shutdown, even twice, is harmless and silent."""
    pool = make_pool(max_size=2, retter=Resource.take_back)
    lent = pool.get()
    pool.shutdown()
    known = len(messages())
    pool.ret(lent)
    pool.ret(lent)
    assert len(messages()) == known
    assert (lent.closings, lent.rets, pool.stats()["sem"]["value"]) == (1, 0, 2)


def test_shutdown_inside_with(factory: Factory, make_pool: MakePool) -> None:
    """A shutdown within the body of `with pool.obj()` does not make its end fail."""
    pool = make_pool(max_size=2)
    with pool.obj():
        pool.shutdown()
    assert [resource.closings for resource in factory.made] == [1]


def test_round_after_shutdown(factory: Factory, make_pool: MakePool) -> None:
    """A round after the shutdown makes nothing and fails on nothing."""
    pool = make_pool(min_size=2, health=Resource.check, delay=LONG)
    pool.shutdown()
    pool._hkRound()
    assert len(factory.made) == 2
    assert factory.alive == []


def test_shutdown_is_prompt(make_pool: MakePool) -> None:
    """The housekeeper is woken from its long sleep, and ends."""
    before = set(threading.enumerate())
    pool = make_pool(delay=60.0)
    (thread,) = newer(before)
    start = time.monotonic()
    pool.shutdown(delay=30.0)
    assert time.monotonic() - start < 5.0
    assert not thread.is_alive()


def test_shutdown_does_not_wait_for_a_busy_thread(make_pool: MakePool) -> None:
    """A shutdown does not wait for the check in which the housekeeper is, unless asked to."""
    begun, go_on = threading.Event(), threading.Event()

    def check(resource: Resource) -> bool:
        begun.set()
        wait_for(go_on)
        return True

    before = set(threading.enumerate())
    pool = make_pool(health=check, delay=0.001)
    (thread,) = newer(before)
    wait_for(begun)
    start = time.monotonic()
    pool.shutdown()
    pool.shutdown(delay=0.01)
    assert time.monotonic() - start < 4.0
    assert thread.is_alive()
    go_on.set()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_shutdown_from_the_housekeeper(factory: Factory, make_pool: MakePool) -> None:
    """A hook that runs in the housekeeper may shut the pool down, even wait for it."""
    before = set(threading.enumerate())
    done = threading.Event()

    def check(resource: Resource) -> bool:
        if ready.is_set():
            pool.shutdown(delay=0.01)
            done.set()
        return True

    ready = threading.Event()
    pool = make_pool(min_size=2, health=check, delay=0.001)
    ready.set()
    wait_for(done)
    eventually(lambda: newer(before) == [])
    assert [resource.closings for resource in factory.made] == [1, 1]


@pytest.mark.parametrize("hook", ["opener", "getter", "retter", "reset", "tracer"])
def test_shutdown_from_a_hook(factory: Factory, make_pool: MakePool, hook: str) -> None:
    """A hook may shut its pool down, and everything is closed once."""

    def end(resource: Resource) -> str:
        if built:
            built[0].shutdown()
        return "ended"

    built: list[ppp.Pool[Any]] = []
    hooks: dict[str, Any] = {hook: end}
    pool = make_pool(max_size=3, min_size=1, **hooks)
    built.append(pool)
    taken: list[Any] = []
    try:
        taken.extend([pool.get(), pool.get()])
        pool.stats()
        pool.ret(taken[0])
    except ppp.PoolException as error:
        assert "shutting down" in str(error)  # noqa: PT017
    assert pool.stats()["shutdown"] is True
    assert factory.alive == []
    assert pool.stats()["sem"] == {"value": 3, "init": 3}


# abandonment


class Thing:
    """A thing that tells when it is closed, kept alive by nobody here."""

    def __init__(self, number: int) -> None:
        self.number = number


def abandoned(pools: list[ppp.Pool[Any]], closed: list[int], cycle: bool) -> None:
    """Let go of the only reference to a pool, and see to its end."""
    before = {thread for thread in threading.enumerate() if not thread.name.startswith("ppp")}
    reference = weakref.ref(pools[0])
    if cycle:
        pools[0].loop = pools[0]  # type: ignore[attr-defined]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pools.clear()
        gc.collect()
        eventually(lambda: reference() is None)
        eventually(lambda: len(closed) == 3)
        eventually(lambda: len(warned) >= 1)
    assert {each.category for each in warned} == {ResourceWarning}
    assert sorted(closed) == [0, 1, 2]
    assert any("pool 'left'" in str(each.message) for each in warned)
    eventually(lambda: not any("left" in thread.name for thread in newer(before)))


@pytest.mark.parametrize("cycle", [False, True])
@pytest.mark.parametrize("delay", [0.0, 0.001, LONG])
def test_abandoned_pool_goes_away(delay: float, cycle: bool) -> None:
    """A pool without references is collected, its thread ends, its objects are closed, a warning says so."""
    closed: list[int] = []
    pools = [
        ppp.Pool(
            Thing,
            max_size=4,
            min_size=3,
            delay=delay,
            name="left",
            closer=lambda thing: closed.append(thing.number),
        )
    ]
    pools[0].ret(pools[0].get())
    if 0.0 < delay < 1.0:
        eventually(lambda: pools[0].stats()["hk_rounds"] > 2)
    abandoned(pools, closed, cycle)


def test_abandoned_with_hooks_bound_to_it() -> None:
    """A hook that refers to its own pool does not keep it."""
    closed: list[int] = []
    pools: list[ppp.Pool[Any]] = []

    def build() -> None:
        def get(thing: Thing) -> None:
            assert pool.stats()

        pool = ppp.Pool(
            Thing,
            min_size=3,
            delay=LONG,
            name="left",
            getter=get,
            closer=lambda thing: closed.append(thing.number),
        )
        pools.append(pool)

    build()
    pools[0].ret(pools[0].get())
    abandoned(pools, closed, cycle=True)


def test_abandoned_without_objects() -> None:
    """A pool left with nothing to close still ends its thread."""
    before = set(threading.enumerate())
    pool = ppp.Pool(Thing, min_size=0, delay=LONG)
    reference = weakref.ref(pool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del pool
        gc.collect()
        eventually(lambda: reference() is None)
        eventually(lambda: newer(before) == [])


def test_no_warning_after_shutdown() -> None:
    """A pool that was shut down goes away without a word."""
    closed: list[int] = []
    pool = ppp.Pool(Thing, min_size=3, delay=LONG, closer=lambda thing: closed.append(thing.number))
    pool.shutdown(delay=SECONDS)
    reference = weakref.ref(pool)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del pool
        gc.collect()
    assert reference() is None
    assert warned == []
    assert sorted(closed) == [0, 1, 2]


def test_abandoned_with_failing_closer() -> None:
    """A closer that fails while an abandoned pool is cleared away spares no other object."""
    closed: list[int] = []

    def close(thing: Thing) -> None:
        closed.append(thing.number)
        raise ValueError("no luck")

    # an error that is logged here is kept, and its traceback with it
    pools = [ppp.Pool(Thing, min_size=3, name="left", closer=close, log_level=logging.CRITICAL)]
    abandoned(pools, closed, cycle=False)


def test_many_abandoned_pools() -> None:
    """Pools made and left one after the other leave no thread and no open object."""
    before = set(threading.enumerate())
    closed: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(50):
            pool = ppp.Pool(Thing, min_size=2, delay=LONG, closer=lambda thing: closed.append(thing.number))
            del pool
        gc.collect()
        eventually(lambda: len(closed) == 100)
        eventually(lambda: newer(before) == [])


DOORS: dict[str, Callable[[ppp.Pool[Any]], None]] = {
    "worn out": lambda pool: pool.ret(pool.get()),
    "invalidated": lambda pool: pool.invalidate(pool.get()),
    "drained": lambda pool: pool.drain(),
    "closed": lambda pool: pool.__delete__(),
    "shut down": lambda pool: pool.shutdown(),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_reference_to_closed_objects(door: str) -> None:
    """A pool keeps no reference to an object that it has closed."""
    references: list[weakref.ref[Thing]] = []

    def make(number: int) -> Thing:
        thing = Thing(number)
        references.append(weakref.ref(thing))
        return thing

    with ppp.Pool(make, max_size=2, min_size=1, max_use=1, tracer=lambda thing: "thing") as pool:
        first = references[0]
        DOORS[door](pool)
        gc.collect()
        assert first() is None


def test_no_reference_to_failed_objects() -> None:
    """A pool keeps no reference to an object whose opener, getter, retter and closer failed."""
    references: list[weakref.ref[Thing]] = []

    def make(number: int) -> Thing:
        thing = Thing(number)
        references.append(weakref.ref(thing))
        return thing

    def fail(thing: Thing) -> None:
        raise ValueError("no luck")

    hooks: dict[str, Any] = dict.fromkeys(("opener", "getter", "retter", "reset", "closer"), fail)
    # an error that is logged here is kept, and its traceback with it
    with ppp.Pool(make, max_size=2, min_size=0, log_level=logging.CRITICAL, **hooks) as pool:
        pool.ret(pool.get())
        gc.collect()
        assert references[0]() is None


def test_no_reference_to_foreign_objects() -> None:
    """A pool keeps no reference to what was returned by mistake."""
    with ppp.Pool(Thing, max_size=2) as pool:
        stranger = Thing(7)
        reference = weakref.ref(stranger)
        pool.ret(stranger)
        del stranger
        gc.collect()
        assert reference() is None


# construction


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_construction(error: type[BaseException]) -> None:
    """A constructor that is interrupted leaves no thread and no open object."""
    before = set(threading.enumerate())
    made: list[int] = []
    closed: list[int] = []

    def make(number: int) -> Thing:
        if number == 2:
            raise error
        made.append(number)
        return Thing(number)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(error):
            ppp.Pool(make, min_size=4, delay=LONG, closer=lambda thing: closed.append(thing.number))
        gc.collect()
        eventually(lambda: sorted(closed) == made == [0, 1])
        eventually(lambda: newer(before) == [])


@pytest.mark.parametrize(("main", "useless"), [(None, True), ("false", True), ("true", False)])
def test_werkzeug_workaround(
    factory: Factory,
    make_pool: MakePool,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
    main: str | None,
    useless: bool,
) -> None:
    """In the useless first process of `flask --debug` nothing is made ahead, and a warning says so."""
    monkeypatch.setenv("PPP_WERKZEUG_WORKAROUND", "1")
    if main is not None:
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", main)
    before = set(threading.enumerate())
    pool = make_pool(min_size=2, delay=LONG)
    assert len(factory.made) == (0 if useless else 2)
    assert len(newer(before)) == (0 if useless else 1)
    assert len(messages()) == (1 if useless else 0)
    assert pool.get().number in (0, 1)


@pytest.mark.parametrize("main", [None, "true"])
def test_no_werkzeug_workaround(
    factory: Factory, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, main: str | None
) -> None:
    """Without the workaround's variable the other one means nothing."""
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", main or "false")
    make_pool(min_size=2)
    assert len(factory.made) == 2


# the end of the program

PROGRAM = """
import sys, threading, time
import ProxyPatternPool as ppp

busy = threading.Event()

def stuck(thing):
    busy.set()
    time.sleep(30.0)
    return True

def make(number):
    if number and sys.argv[1] == "creating":
        stuck(None)
    return f"thing {number}"

def close(thing):
    print("closed", thing, flush=True)

health = {"checking": stuck, "refusing": lambda thing: False}.get(sys.argv[1])
delay = {"idle": 0.0, "creating": 0.0}.get(sys.argv[1], 0.001)
pool = ppp.Pool(make, max_size=4, min_size=1, delay=delay, closer=close, health=health)
if sys.argv[1] == "creating":
    first = pool.get()
    threading.Thread(target=pool.get, daemon=True).start()
    busy.wait(10.0)
    pool.ret(first)
if sys.argv[1] == "checking":
    busy.wait(10.0)
if sys.argv[1] == "waiting":
    lent = [pool.get() for _ in range(4)]
    threading.Thread(target=pool.get, daemon=True).start()
    while not pool.stats()["nwaiting"]:
        time.sleep(0.001)
    for each in lent:
        pool.invalidate(each)
"""


@pytest.mark.parametrize("state", ["idle", "sleeping", "refusing", "checking", "creating", "waiting"])
def test_end_of_program(state: str) -> None:
    """A program that just ends does so at once, quietly and with status 0, whatever its pool is busy with."""
    start = time.monotonic()
    run = run_python(PROGRAM, state)
    assert (run.returncode, run.stderr) == (0, "")
    assert time.monotonic() - start < 10.0
    if state in ("idle", "sleeping", "creating"):
        assert run.stdout == "closed thing 0\n"


def test_end_of_program_closes_idle() -> None:
    """Idle objects of every pool are closed at the end of the program, lent ones are not needed."""
    run = run_python(
        """
        import ProxyPatternPool as ppp
        pools = [
            ppp.Pool(lambda number, rank=rank: (rank, number), min_size=2, delay=60.0 * rank, closer=print)
            for rank in range(3)
        ]
        """
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(run.stdout.splitlines()) == [
        str((rank, number)) for rank in range(3) for number in range(2)
    ]


def test_end_of_program_by_error() -> None:
    """A program that ends by an exception tells that one alone."""
    run = run_python(
        """
        import ProxyPatternPool as ppp
        pool = ppp.Pool(lambda number: f"thing {number}", delay=0.001, closer=print)
        raise SystemExit(3)
        """
    )
    assert (run.returncode, run.stdout, run.stderr) == (3, "thing 0\n", "")


# fork

FORK = """
import os, sys, threading, time
import ProxyPatternPool as ppp

class Thing:
    def __init__(self, number):
        self.number, self.process, self.closings = number, os.getpid(), []

made = []

def make(number):
    if number == 2 and os.getpid() == parent:
        making.set()
        go_on.wait(10.0)
    made.append(Thing(number))
    return made[-1]

def close(thing):
    thing.closings.append(os.getpid())

ppp.log.setLevel("ERROR")
parent = os.getpid()
making, go_on = threading.Event(), threading.Event()
pool = ppp.Pool(make, max_size=4, min_size=2, delay=0.005, closer=close, max_use=3)
inherited = list(made)

def in_child():
    # whatever the parent had, the child has an empty pool and all tokens
    stats = pool.stats()
    assert (stats["nobjs"], stats["navail"], stats["nusing"]) == (0, 0, 0), stats
    assert stats["sem"] == {"value": 4, "init": 4}, stats
    assert threading.active_count() == 1, threading.enumerate()
    mine = [pool.get(timeout=1.0) for _ in range(4)]
    assert all(each.process == os.getpid() for each in mine)
    assert len({each.number for each in mine}) == 4
    try:
        pool.get(timeout=0)
    except ppp.TimeOut:
        pass
    else:
        raise AssertionError("more than max_size")
    # the housekeeper has started with the first object
    rounds = pool.stats()["hk_rounds"]
    limit = time.monotonic() + 5.0
    while pool.stats()["hk_rounds"] <= rounds:
        assert time.monotonic() < limit, "no housekeeper"
        time.sleep(0.002)
    for each in mine:
        pool.ret(each)
    if sys.argv[1] == "lent":
        pool.ret(lent)
    pool.shutdown(delay=5.0)
    assert all(each.closings == [os.getpid()] for each in mine)
    assert all(each.closings == [] for each in inherited)

def child():
    process = os.fork()
    if process == 0:
        status = 1
        try:
            in_child()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc(file=sys.stdout)
        finally:
            sys.stdout.flush()
            os._exit(status)
    limit = time.monotonic() + 10.0
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            break
        if time.monotonic() > limit:
            os.kill(process, 9)
            os.waitpid(process, 0)
            raise SystemExit("the child hangs")
        time.sleep(0.005)
    if status:
        raise SystemExit("the child failed")

if sys.argv[1] == "idle":
    child()
elif sys.argv[1] == "lent":
    lent = pool.get()
    child()
    pool.ret(lent)
elif sys.argv[1] == "locked":
    held, release = threading.Event(), threading.Event()
    def hold():
        with pool._lock:
            held.set()
            release.wait(15.0)
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10.0)
    child()
    release.set()
    holder.join(10.0)
elif sys.argv[1] == "making":
    lent = [pool.get(), pool.get()]
    maker = threading.Thread(target=lambda: lent.append(pool.get()))
    maker.start()
    making.wait(10.0)
    child()
    go_on.set()
    maker.join(10.0)
    for each in lent:
        pool.ret(each)
elif sys.argv[1] == "waiting":
    go_on.set()
    lent = [pool.get() for _ in range(4)]
    waiter = threading.Thread(target=lambda: lent.append(pool.get()))
    waiter.start()
    while not pool.stats()["nwaiting"]:
        time.sleep(0.001)
    child()
    pool.ret(lent.pop(0))
    waiter.join(10.0)
    for each in lent:
        pool.ret(each)
elif sys.argv[1] == "grandchild":
    once, in_child_once = child, in_child
    def in_child():
        global inherited
        inherited = inherited + made
        mine = pool.get(timeout=1.0)
        inherited.append(mine)
        globals()["in_child"] = in_child_once
        once()
        assert mine.closings == []
        pool.ret(mine)
        pool.shutdown()
        assert mine.closings == [os.getpid()]
    child()
# the parent goes on undisturbed
go_on.set()
with pool.obj(timeout=1.0) as thing:
    assert thing.process == parent
stats = pool.stats()
assert (stats["nusing"], stats["sem"]) == (0, {"value": 4, "init": 4}), stats
assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"], stats
pool.shutdown(delay=5.0)
assert all(each.closings == [parent] for each in made)
print("fine")
"""


@pytest.mark.parametrize("state", ["idle", "lent", "locked", "making", "waiting", "grandchild"])
def test_fork(state: str) -> None:
    """A forked child has an empty pool of its own, and neither uses nor closes what its parent has."""
    run = run_python(FORK, state, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert (run.stdout, run.returncode, run.stderr) == ("fine\n", 0, "")


def test_fork_after_shutdown() -> None:
    """A pool that was shut down is so in a child too."""
    run = run_python(
        """
        import os
        import ProxyPatternPool as ppp
        pool = ppp.Pool(lambda number: [number], delay=60.0)
        pool.shutdown(delay=5.0)
        process = os.fork()
        if process == 0:
            try:
                pool.get()
            except ppp.PoolException as error:
                os._exit(0 if "shutting down" in str(error) else 1)
            os._exit(2)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        """
    )
    assert (run.stdout, run.returncode, run.stderr) == ("0\n", 0, "")


def test_child_drops_nothing_inherited() -> None:
    """A child lets go of none of its parent's objects, whose finalizers would end what is the parent's."""
    run = run_python(
        """
        import gc, os
        import ProxyPatternPool as ppp

        class Thing:
            def __init__(self, number):
                self.number = number
            def __del__(self):
                print(os.getpid(), self.number, flush=True)

        pool = ppp.Pool(Thing, max_size=4, min_size=2)
        process = os.fork()
        if process == 0:
            mine = pool.get()
            gc.collect()
            os._exit(mine.number)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        print("waited")
        pool.shutdown()
        """
    )
    assert (run.returncode, run.stderr) == (0, "")
    waited, *dropped = run.stdout.splitlines()
    assert (waited, len(dropped)) == ("waited", 2)


def test_unused_pool_in_child() -> None:
    """A child that never uses the pool starts no thread, and ends without closing anything."""
    run = run_python(
        """
        import os, sys, threading
        import ProxyPatternPool as ppp
        def close(thing):
            print(os.getpid(), thing)
        pool = ppp.Pool(lambda number: f"thing {number}", delay=60.0, closer=close)
        process = os.fork()
        if process == 0:
            sys.exit(threading.active_count() - 1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        print(os.getpid())
        """,
        PYTHONWARNINGS="ignore::DeprecationWarning",
    )
    assert (run.returncode, run.stderr) == (0, "")
    process, closed = run.stdout.splitlines()
    assert closed == f"{process} thing 0"
