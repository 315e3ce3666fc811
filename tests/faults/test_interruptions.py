"""Interruptions of pools and proxies, and signal handlers and finalizers that use them, at each point.

Which points these are is told in `helpers_faults.py`. The makers, closers and hooks are functions written in
C, so that an exception strikes the pool's code and not the test's accounts.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import operator
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest import mock

import helpers_faults as faults
import pytest
from conftest import MakePool, Spawn
from helpers import HOUR, Task, eventually, keep_house, run_all, start, waiting
from helpers_faults import Account, Strike, Strikes, Visit, by_both, since_311, struck

import ProxyPatternPool as ppp

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # pools that failing tests leave behind
    pytest.mark.timeout(faults.STRESS + 60),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="where signals are taken is CPython's"),
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers with signals"),
]


def make(account: Account, **parameters: Any) -> ppp.Pool[Any]:
    """Build a pool of things."""
    return ppp.Pool(account.fun, **{"max_size": 3, "closer": account.closer, **parameters})


def use(pool: ppp.Pool[Any]) -> None:
    """Use an object in a block."""
    with pool.obj():
        pass


class Subject:
    """A proxy and its pool, with a lent object and idle ones; what is done with them, and is in hand."""

    def __init__(self, account: Account, idle: int = 1, scope: str = "AUTO", **given: Any) -> None:
        self.account = account
        self.most = 0
        self.kept: list[Any] = []
        live = {name: given.pop(name) for name in list(given) if name[0] == "_"}
        given = {"max_size": 3, "timeout": 0.0, "closer": account.closer, **given}
        self.proxy: Any = ppp.Proxy(fun=account.fun, scope=ppp.Proxy.Scope[scope], **given)
        self.pool: ppp.Pool[Any] = self.proxy._pool
        for name, value in live.items():
            setattr(self.pool, name, value)  # set now, they start no housekeeper
        self.mine, *others = [self.pool.get() for _ in range(1 + idle)]
        for other in others:
            self.pool.ret(other)
        for use in self.pool._uses.values():
            use.last_get -= 10.0
            use.last_ret -= 10.0
        if scope != "AUTO":
            self.draw_and_return()  # its class is that of its object from now on

    def do(self, deed: Callable[[Subject], object]) -> None:
        """Do something, for which there may be no object."""
        with suppress(ppp.PoolException):
            deed(self)

    def fun(self, number: int) -> Any:
        """Make a thing, and count how many there are."""
        thing = self.account.fun(number)
        self.most = max(self.most, len(self.account.alive))
        return thing

    def keep(self) -> None:
        self.kept.append(self.pool.get())

    def spoil(self) -> None:
        with self.pool.obj() as thing:
            self.pool.invalidate(thing)

    def give_back(self) -> None:
        if self.mine in self.pool._using:
            self.pool.ret(self.mine)

    def turn_over(self) -> None:
        self.give_back()
        self.keep()

    def draw(self) -> bool:
        return isinstance(self.proxy._get_obj(timeout=faults.PATIENCE), faults.Thing)

    def draw_and_return(self) -> None:
        self.draw()
        self.proxy._ret_obj()

    def draw_and_invalidate(self) -> None:
        self.draw()
        self.proxy._invalidate_obj()

    def draw_anew(self) -> None:
        self.proxy._ret_obj()
        self.draw()

    def block(self) -> bool:
        with self.proxy._obj(timeout=faults.PATIENCE) as thing:
            return thing in self.proxy._pool._using

    def nested_blocks(self) -> bool:
        with self.proxy._obj(timeout=faults.PATIENCE) as thing:
            with self.proxy._obj():
                pass
            return thing in self.proxy._pool._using

    def block_of_a_drawn(self) -> bool:
        self.draw()
        return self.block()


NONE = {"idle": 0, "max_size": 2}
STRICT = {"_max_avail_delay": 5.0, "_max_using_delay_kill": 5.0, "_max_use": 2}
ALL: dict[str, Any] = {
    **dict.fromkeys(("opener", "getter", "retter", "reset"), abs),
    **dict.fromkeys(("max_lifetime", "max_using_delay", "delay"), HOUR),
    "health": operator.truth,
    "check_after_idle": 0.0,
    "max_use": 3,
}
REFUSED = ALL | {"health": operator.not_, "min_size": 2}

WORKS: dict[str, tuple[Callable[[Subject], object], dict[str, Any]]] = {
    "get": (Subject.keep, {}),
    "get, none idle": (Subject.keep, NONE),
    "get, strict": (Subject.keep, STRICT),
    "obj": (lambda it: use(it.pool), {}),
    "obj, none idle": (lambda it: use(it.pool), NONE),
    "obj, strict": (lambda it: use(it.pool), STRICT),
    "obj, worn out": (lambda it: use(it.pool), {"max_use": 1}),
    "obj, refused": (lambda it: use(it.pool), REFUSED),
    "obj, all hooks": (lambda it: use(it.pool), ALL),
    "ret": (lambda it: it.pool.ret(it.mine), {}),
    "ret, strict": (lambda it: it.pool.ret(it.mine), STRICT),
    "ret, all hooks": (lambda it: it.pool.ret(it.mine), ALL),
    "invalidate": (lambda it: it.pool.invalidate(it.mine), {}),
    "invalidate in a block": (Subject.spoil, {"min_size": 3}),
    "round, strict": (lambda it: keep_house(it.pool), STRICT),
    "round, refused": (lambda it: keep_house(it.pool), REFUSED),
    "drain": (lambda it: it.pool.drain(), {"idle": 2}),
    "resize up": (lambda it: it.pool.resize(3, 4), {}),
    "resize down": (lambda it: it.pool.resize(0, 1), {"idle": 2}),
    "delete": (lambda it: it.pool.__delete__(), {"min_size": 2}),
    "stats": (lambda it: it.pool.stats(), NONE),
    "shutdown": (lambda it: it.pool.shutdown(), {}),
}
OF_PROXIES = [
    Subject.draw,
    Subject.draw_and_return,
    Subject.draw_and_invalidate,
    Subject.block,
    Subject.nested_blocks,
    Subject.block_of_a_drawn,
]
WORKS |= {
    f"{scope} {work.__name__}{', hooks' if hooks else ''}": (work, {"scope": scope, "min_size": 0, **hooks})
    for work in OF_PROXIES
    for scope in ("THREAD", "VERSATILE")
    for hooks in ({}, {"getter": abs, "retter": abs, "max_use": 1})
}

GUESTS: dict[str, Callable[[Subject], object]] = {
    "keeps": Subject.keep,
    "gives back": Subject.give_back,
    "turns over": Subject.turn_over,
    "keeps house": lambda it: keep_house(it.pool),
    "closes all": lambda it: it.pool.__delete__(),
    "shuts down": lambda it: it.pool.shutdown(),
}
GUESTS_OF_PROXIES: dict[str, Callable[[Subject], object]] = {
    "block": Subject.block,
    "draw": Subject.draw,
    "return": lambda it: it.proxy._ret_obj(),
    "draw anew": Subject.draw_anew,
    "invalidate": lambda it: it.proxy._invalidate_obj(),
    "set anew": lambda it: it.proxy._set_fun(it.proxy._fun),
}


@by_both
@pytest.mark.parametrize("what", WORKS)
@struck
def test_interrupted(strike: Strike, account: Account, what: str, strikes: Strikes) -> None:
    """Whatever a pool or proxy does, an interruption at whichever moment loses no permit, object or lock.

    An interrupted `get` has lent nothing, and a `ret` that has begun is done. What is still the thread's
    own object of a proxy goes back with its next block.
    """
    work, parameters = WORKS[what]
    it = Subject(account, **parameters)
    strike(lambda: it.do(work))
    if it.proxy._has_obj():
        assert it.proxy._get_obj() in it.pool._using
        it.block()
    assert not it.proxy._has_obj()
    assert all(thing in [it.mine, *it.kept] for thing in it.pool._using), "lent to nobody"
    if what.startswith("ret") and it.mine in it.pool._using and strikes is faults.each_point:
        assert strike.at is not None
        assert strike.at[:2] == ("ret", "call"), "it has begun"
    for thing in it.pool._using:
        it.pool.ret(thing)
    faults.check_usable(it.pool, account)


@pytest.mark.parametrize(
    ("what", "guest"),
    [
        (what, guest)
        for what, (_, parameters) in WORKS.items()
        for guest in GUESTS
        if not {"delay", "scope"} & parameters.keys()
        # what is being returned would be somebody else's by then
        if not (guest == "turns over" and what.startswith(("ret", "invalidate")))
    ],
)
@struck
def test_guest_at_each_point(visit: Visit, account: Account, what: str, guest: str) -> None:
    """Whatever a signal handler does to the pool, whatever that is doing, nothing is lost."""
    work, parameters = WORKS[what]
    it = Subject(account, **parameters)
    it.pool._fun = it.fun
    visit.deed = lambda: it.do(GUESTS[guest])
    visit(lambda: it.do(work))
    if what not in ("delete", "shutdown") and guest not in ("closes all", "shuts down"):
        assert not set(it.kept) & set(account.closed), "closed while lent"
    assert guest == "turns over" or len(set(it.kept)) == len(it.kept)
    for thing in it.pool._using:
        assert thing in [it.mine, *it.kept], "lent to nobody"
        it.pool.ret(thing)
    assert it.most <= (it.pool._max_size or 0)
    faults.check_usable(it.pool, account)


@pytest.mark.parametrize(
    ("guest", "scope"), [*((guest, "THREAD") for guest in GUESTS_OF_PROXIES), ("draw anew", "VERSATILE")]
)
@pytest.mark.parametrize("work", OF_PROXIES)
@struck
def test_guest_of_a_proxy_at_each_point(
    visit: Visit, account: Account, work: Callable[[Subject], object], guest: str, scope: str
) -> None:
    """Whatever a signal handler does to a proxy, in whatever draw, block or return, nothing is lost."""
    it = Subject(account, scope=scope, min_size=0, max_size=2)
    it.give_back()
    visit.deed = lambda: GUESTS_OF_PROXIES[guest](it)
    held: list[object] = []
    visit(lambda: held.append(work(it)))
    assert held != [False] or (guest not in ("block", "draw") and work is not Subject.draw), "not lent"
    pool = it.proxy._pool
    if pool is not it.pool and work not in (Subject.block, Subject.nested_blocks):
        it.pool.shutdown()  # what no block holds stays lent
    assert not it.proxy._has_obj() or it.proxy._get_obj() in pool._using, "current, though idle"
    it.proxy._ret_obj()
    assert not it.proxy._has_obj()
    faults.check_usable(pool, account)


@pytest.mark.parametrize("work", [Subject.draw_and_return, Subject.nested_blocks])
@struck
def test_guest_waits_for_another_thread(
    visit: Visit, account: Account, work: Callable[[Subject], object]
) -> None:
    """A signal handler may wait for a thread that uses another proxy, whatever its own does with this one."""
    it = Subject(account, scope="THREAD", min_size=0)
    it.give_back()
    other = Subject(account, scope="THREAD", min_size=0)
    other.give_back()
    visit.deed = lambda: run_all(other.block)
    visit(lambda: work(it))
    other.pool.shutdown()
    it.proxy._ret_obj()
    faults.check_usable(it.pool, account)


@pytest.mark.parametrize("make", [lambda it: it.pool.obj(), lambda it: it.proxy._obj()])
@struck
def test_block_whose_entry_was_interrupted(
    strike: Visit, account: Account, make: Callable[[Subject], Any]
) -> None:
    """A block that somebody keeps, and whose entry was interrupted at whatever moment, can be left."""
    it = Subject(account, min_size=0)
    it.give_back()
    block = make(it)
    strike(block.__enter__)
    block.__exit__(None, None, None)
    faults.check_usable(it.pool, account)


@pytest.mark.parametrize("make", [lambda it: it.pool.obj(), lambda it: it.proxy._obj()])
def test_no_finalizer(account: Account, make: Callable[[Subject], Any]) -> None:
    """When a block goes that was left, no finalizer runs, in which a signal handler's error would be lost."""
    it = Subject(account)
    it.give_back()
    blocks, called = [make(it)], list[str]()
    with blocks[0]:
        pass
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_filename))
    blocks.clear()
    sys.setprofile(None)
    assert ppp.__file__ not in called


@struck
def test_guest_sets_one_object(visit: Visit, account: Account) -> None:
    """A proxy which is given one object at whatever moment of draws is not said to be unset."""
    it = Subject(account)
    it.give_back()
    visit.deed = lambda: it.proxy._set_obj(account)

    def work() -> None:
        it.draw_and_return()
        with it.proxy._obj():
            pass

    visit(work)
    assert it.proxy._has_obj() == (visit.at is not None)
    it.pool.shutdown()


@pytest.mark.parametrize(("deed", "gets"), [("ret", 2), ("shutdown", 1)])
@struck
def test_guest_ends_the_wait_of_its_own_thread(
    visit: Visit, make_pool: MakePool, deed: str, gets: int
) -> None:
    """A signal handler that returns the object, or shuts down, ends the wait that its thread begins."""
    pool = make_pool(max_size=1)
    held = [pool.get()]

    def come() -> None:
        for resource in held:
            pool.ret(resource) if deed == "ret" else pool.shutdown()
        held.clear()

    def wait() -> None:
        with suppress(ppp.PoolException):
            pool.ret(pool.get(timeout=faults.PATIENCE))

    late = threading.Timer(0.02, come)
    late.start()
    visit.deed = come
    start = time.monotonic()
    visit(wait)
    assert time.monotonic() - start < faults.PATIENCE / 2
    assert pool._nuses == gets
    late.cancel()
    late.join()


class Elsewhere(ppp.Proxy[Any]):
    """Gives another object than the one that it draws."""

    def _get_obj(self, timeout: float | None = None) -> Any:
        super()._get_obj(timeout)
        return self.other

    def __init__(self, **parameters: Any) -> None:
        self.other = SimpleNamespace(note=0)
        super().__init__(**parameters)


@by_both
@struck
def test_interrupted_assignment(strike: Strike, account: Account, strikes: Strikes) -> None:
    """After an interrupted assignment, the next one goes where the program's own `_get_obj` says, too."""
    proxy = Elsewhere(fun=account.fun, max_size=1, closer=account.closer)
    proxy._get_obj()
    strike(lambda: setattr(proxy, "note", 1))
    proxy.note = 2
    proxy._ret_obj()
    proxy._pool.shutdown()
    assert proxy.other.note == 2


@pytest.mark.untraced
def test_finalizer_uses_the_pool(account: Account) -> None:
    """A finalizer run by the garbage collector in the midst of the library's code may use the pool."""
    proxy: Any = ppp.Proxy(fun=account.fun, max_size=4, min_size=2, max_use=3, closer=account.closer)
    pool, seen = proxy._pool, list[int]()

    class Cycle:
        """A piece of garbage."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            with suppress(ppp.TimeOut), pool.obj(timeout=0), proxy._obj(timeout=0):
                seen.append(pool.stats()["nusing"])

    def work() -> None:
        for _ in range(150):
            Cycle()
            with pool.obj(timeout=faults.PATIENCE), proxy._obj(timeout=faults.PATIENCE):
                pool.stats()

    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        run_all(work, work, seconds=faults.PATIENCE)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert seen
    faults.check_usable(pool, account)


@by_both
@struck
def test_interrupted_constructor_leaves_nothing(strike: Strike, account: Account, strikes: Strikes) -> None:
    """A constructor interrupted at whichever moment leaves no open object and no running thread."""
    threads = faults.running_threads()
    pools: list[ppp.Pool[Any]] = []
    strike(lambda: pools.append(make(account, min_size=2, delay=HOUR, opener=abs)))
    for pool in pools:
        pool.shutdown()
    if account.alive:
        gc.collect()
    assert account.alive == []
    eventually(lambda: faults.running_threads() <= threads)


@by_both
@struck
def test_interrupted_shutdown_closes_all(strike: Strike, account: Account, strikes: Strikes) -> None:
    """A shutdown that has begun closes everything, and ends the housekeeper, wherever it is interrupted."""
    pool = make(account, max_size=3, min_size=3, delay=HOUR)
    held, thread = pool.get(), pool._housekeeper
    assert thread is not None
    strike(pool.shutdown)
    if not pool._shutdown or strikes is faults.at_random:
        pool.shutdown()
    assert account.alive == []
    thread.join(faults.PATIENCE / 4)
    assert not thread.is_alive()
    pool.ret(held)
    faults.check_balance(pool, account)


@since_311
@pytest.mark.parametrize("what", ["ret", "invalidate"])
@struck
def test_interrupted_waiter_leaves_all_to_the_next(
    visit: Visit, account: Account, spawn: Spawn, what: str
) -> None:
    """A waiter interrupted before or after its turn has come, with an object or without, loses neither."""

    def give_back(pool: ppp.Pool[Any], thing: Any, over: threading.Event) -> None:
        eventually(lambda: pool.stats()["nwaiting"] == 1 or over.is_set())
        getattr(pool, what)(thing)

    pool = make(account, max_size=1, min_size=0, health=operator.not_, check_after_idle=0.0, delay=HOUR)
    over = threading.Event()
    task = spawn(give_back, pool, pool.get(), over)
    visit(lambda: use(pool))
    over.set()
    task.result()
    faults.check_usable(pool, account)


@by_both
@pytest.mark.parametrize("what", ["refused", "too many", "shut down"])
@struck
def test_interrupted_on_the_way_out(
    strike: Strike, account: Account, spawn: Spawn, what: str, strikes: Strikes
) -> None:
    """An error of `get` that is interrupted on its way out leaves nothing in hand and nobody in the queue."""
    refuse: Any = functools.partial(operator.is_, None)
    pool = make(account, max_size=1, max_waiting=1, check_after_idle=0.0, health=refuse, delay=HOUR)
    if what == "shut down":
        pool._health = lambda _: pool.shutdown()  # and refuses
    expected = ppp.PoolException if what == "shut down" else ppp.TimeOut
    held = pool.get() if what == "too many" else None
    waiter = None if held is None else spawn(pool.get, faults.PATIENCE)
    waiting(pool, int(held is not None))

    def work() -> None:
        with suppress(expected), pool.obj(timeout=1e-9):
            pass

    strike(work)
    pool._health = None
    if waiter is not None:
        pool.ret(held)
        pool.ret(waiter.result())
    faults.check_usable(pool, account)


@since_311
@struck
def test_interrupted_return_ends_no_later_lending(visit: Visit, account: Account, spawn: Spawn) -> None:
    """A return that is interrupted when its object is lent to somebody else leaves that lending alone."""
    pool = make(account, max_size=1, min_size=0)
    mine = pool.get()
    other = spawn(pool.get, faults.PATIENCE)
    waiting(pool, 1)

    def strike() -> None:
        other.join(0.05)
        raise KeyboardInterrupt

    visit.deed = strike
    visit(lambda: pool.ret(mine))
    other.join(1.0)
    if other.is_alive():  # the return had not begun
        pool.ret(mine)
    assert list(pool._using) == [other.result()]
    pool.ret(other.result())
    faults.check_usable(pool, account)


@since_311
@pytest.mark.parametrize("scope", ["THREAD", "VERSATILE", "SHARED"])
@struck
def test_interrupted_draw_without_a_pool(visit: Visit, spawn: Spawn, scope: str) -> None:
    """Without a pool, an interrupted draw leaves a proxy that draws again, a shared one in any thread."""
    proxy: Any = ppp.Proxy(fun=lambda number: [number], scope=ppp.Proxy.Scope[scope], max_size=None)
    visit(proxy._get_obj)
    drawn = spawn(proxy._get_obj).result()
    assert (drawn is proxy._get_obj() is proxy._get_obj()) is (scope == "SHARED")
    assert proxy._nobjs <= 3


@since_311
@struck
def test_interrupted_draw_is_over(visit: Visit, account: Account) -> None:
    """What is drawn after a draw that was interrupted is not taken back when its error is forgotten."""
    proxy: Any = ppp.Proxy(fun=account.fun, max_size=2, closer=account.closer)
    errors: list[BaseException] = []

    def draw() -> None:
        try:
            proxy._get_obj()
        except KeyboardInterrupt as error:
            errors.append(error)
            raise

    visit(draw)
    mine = proxy._get_obj()
    errors.clear()
    assert list(proxy._pool._using) == [mine]
    proxy._pool.shutdown()


@since_311
@pytest.mark.parametrize("before", ["obj", "fun"])
@struck
def test_interrupted_setting(visit: Visit, account: Account, before: str) -> None:
    """A proxy whose setting is interrupted stands for one thing, and can be set anew; nothing stays open."""
    start: dict[str, Any] = {before: {"obj": ["old"], "fun": account.fun}[before]}
    proxy: Any = ppp.Proxy(max_size=2, min_size=2, closer=account.closer, **start)
    visit(lambda: proxy._set_fun(account.fun))
    assert issubclass(proxy.__class__, (ppp.Proxy, type(proxy._get_obj())))
    proxy._ret_obj()
    proxy._set_obj(["new"])
    if account.alive:
        gc.collect()
    assert (proxy[0], account.alive) == ("new", [])


def test_destruction_interrupted_before_the_lock(account: Account) -> None:
    """An interruption while a thread waits for the lock, to destroy an object, leaves that to others."""
    pool, lock = make(account), mock.MagicMock()
    pool._out(pool.get())
    lock.__enter__.side_effect = KeyboardInterrupt
    with mock.patch.object(pool, "_lock", lock), pytest.raises(KeyboardInterrupt):
        pool._empty()
    faults.check_usable(pool, account)


def strike(thread: Task) -> None:
    """Raise an exception in a thread, which ends by it; once more if that was lost, as in a finalizer."""
    ident, error = ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
    while thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
        thread.join(1.0)
    with pytest.raises(KeyboardInterrupt):
        thread.result()


@since_311
@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_exceptions_injected_into_threads(account: Account, through: str) -> None:
    """Exceptions injected into four threads that use two objects in blocks, and time out, lose nothing."""
    proxy: Any = ppp.Proxy(fun=account.fun, max_size=2, min_size=1, max_use=5, closer=account.closer)
    borrow: Callable[[float], Any] = proxy._pool.obj if through == "pool" else proxy._obj

    def work(begun: threading.Event) -> None:
        begun.set()
        while True:
            with suppress(ppp.TimeOut), borrow(random.random() * 0.001):
                time.sleep(random.random() * 50e-6)

    def start_one() -> Task:
        task = start(work, begun := threading.Event())
        assert begun.wait(faults.PATIENCE)
        return task

    limit, struck = time.monotonic() + faults.SHARE, 0
    with faults.untraced(), faults.quiet(KeyboardInterrupt), faults.switching(1e-5):
        victims = [start_one() for _ in range(4)]
        while time.monotonic() < limit or struck < 700:
            strike(victims.pop(random.randrange(4)))
            victims.append(start_one())
            struck += 1
        for victim in victims:
            strike(victim)
    gc.collect()
    faults.check_usable(proxy._pool, account)
