"""Faults that a third review has found, one by one: each test is the promise that was broken."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn, Stop, Task, wait_for
from test_edges import Strike
from test_fork import in_child, pytestmark

import ProxyPatternPool as ppp

needs_fork = pytestmark


# The pool: guests, such as signal handlers and finalizers, between any two steps


def test_returned_while_its_thread_begins_to_wait(
    make_pool: MakePool, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that returns the object just before its thread joins the queue: no need to wait."""
    pool = make_pool(max_size=1)
    held = pool.get()
    may_wait = ppp.Pool._may_wait

    def interrupted(*args: Any) -> bool:
        answer = may_wait(*args)
        pool.ret(held)
        return answer

    monkeypatch.setattr(ppp.Pool, "_may_wait", interrupted)
    assert spawn(pool.get).result() is held


def test_shut_down_while_its_thread_begins_to_wait(
    make_pool: MakePool, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that shuts the pool down there: it is not waited for, either."""
    pool = make_pool(max_size=1)
    pool.get()
    may_wait = ppp.Pool._may_wait

    def interrupted(*args: Any) -> bool:
        answer = may_wait(*args)
        pool.shutdown()
        return answer

    monkeypatch.setattr(ppp.Pool, "_may_wait", interrupted)
    with pytest.raises(ppp.PoolException, match="shutting down"):
        spawn(pool.get).result()


class Visited:
    """A pool for each visit of a guest, and what must hold after it."""

    def __init__(self, guest: Callable[[Visited], Any], **parameters: Any) -> None:
        self.guest = guest
        self.parameters = parameters
        self.clock = Clock()
        self.kept: list[Resource] = []

    def build(self) -> None:
        """Make a pool with one lent object and some idle ones."""
        self.kept.clear()
        self.factory = Factory()
        with mock.patch.object(ppp.Pool, "_clock", self.clock):
            self.pool = ppp.Pool(self.factory, closer=Resource.close, delay=3600.0, **self.parameters)
        self.mine, *others = [self.pool.get() for _ in range((self.pool._max_size or 1) - 1)]
        for other in others:
            self.pool.ret(other)
        self.clock.advance(10.0)

    def come(self) -> None:
        """Do what the guest does."""
        with contextlib.suppress(ppp.PoolException):
            self.guest(self)

    def keep(self) -> None:
        """Get an object and keep it."""
        self.kept.append(self.pool.get(timeout=0))

    def give_back(self) -> None:
        """Return what is lent."""
        if self.mine in self.pool._using:
            self.pool.ret(self.mine)

    def turn_over(self) -> None:
        """Return what is lent, and get it anew."""
        self.give_back()
        self.keep()

    def check(self) -> None:
        """See that nothing is lost, closed under its holder, or more than the limit."""
        if self.guest is not GUESTS["closes all"]:
            assert all(resource.alive for resource in self.kept), "closed while lent"
        for resource in {id(it): it for it in self.kept if it in self.pool._using}.values():
            self.pool.ret(resource)
        self.give_back()
        stats = self.pool.stats()
        assert stats["sem"] == {"value": self.pool._max_size, "init": self.pool._max_size}
        assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
        assert self.factory.most_alive <= (self.pool._max_size or 0)
        assert len(self.factory.alive) == stats["nobjs"]
        self.pool.shutdown()

    def visit(self, work: Callable[[Visited], Any]) -> int:
        """Let the guest come at each call, and at each return from a call into C; how many there were."""
        for wanted in itertools.count(1):
            points = 0

            def profile(frame: FrameType, event: str, _: object, wanted: int = wanted) -> None:
                nonlocal points
                if frame.f_code.co_filename == ppp.__file__ and event in ("call", "c_return"):
                    points += 1
                    if points == wanted:
                        self.come()

            self.build()
            sys.setprofile(profile)
            try:
                with contextlib.suppress(ppp.PoolException):
                    work(self)
            finally:
                sys.setprofile(None)
            self.check()
            if points < wanted:
                return points
        raise AssertionError


WORKS: dict[str, Callable[[Visited], Any]] = {
    "get": lambda it: it.kept.append(it.pool.get(timeout=0)),
    "ret": lambda it: it.pool.ret(it.mine),
    "round": lambda it: it.pool._hkRound(),
    "drain": lambda it: it.pool.drain(),
    "invalidate": lambda it: it.pool.invalidate(it.mine),
}


def borrow(it: Visited) -> None:
    """Get an object and return it."""
    with it.pool.obj(timeout=0):
        pass


GUESTS: dict[str, Callable[[Visited], Any]] = {
    "borrows": borrow,
    "keeps": Visited.keep,
    "gives back": Visited.give_back,
    "turns over": Visited.turn_over,
    "closes all": lambda it: it.pool.__delete__(),
}


@pytest.mark.parametrize(
    ("work", "guest"),
    [
        (work, guest)
        for work in WORKS
        for guest in GUESTS
        # what is being returned would be somebody else's by then
        if not (work in ("ret", "invalidate") and guest == "turns over")
    ],
)
@pytest.mark.parametrize(
    "parameters",
    [
        {"max_size": 2},
        {"max_size": 4, "min_size": 1, "max_avail_delay": 5.0, "max_use": 5, "max_lifetime": 1000.0},
        {"max_size": 2, "min_size": 2, "max_using_delay_kill": 5.0, "max_use": 2},
    ],
    ids=["bare", "strict", "kills"],
)
def test_guest_at_each_point(
    guest: str, work: str, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a signal handler does to the pool, at whatever point of whatever it is doing."""
    monkeypatch.setattr(ppp.Pool, "_start_housekeeper", lambda _: None)  # what misses is made at once
    assert Visited(GUESTS[guest], **parameters).visit(WORKS[work]) > 5


# The pool: filling


def test_rounds_are_made_however_often_the_housekeeper_is_woken(make_pool: MakePool) -> None:
    """Returns that wake the housekeeper to fill, one after another, do not keep it from its rounds."""
    pool = make_pool(delay=3600.0)
    rounds: list[None] = []

    class AlwaysRinging:
        def wait(self, seconds: float) -> bool:
            time.sleep(0.001)
            return True

        def ring(self) -> None:
            """It does."""

    def end() -> None:
        rounds.append(None)
        pool.shutdown()

    pool._hkRound = end  # type: ignore[method-assign]
    task = Task(ppp._keep_house, weakref.ref(pool), AlwaysRinging(), 0.01)
    task.start()
    try:
        task.result()
    finally:
        pool.shutdown()
    assert rounds == [None]


def test_filling_ends_when_objects_do_not_last(
    make_pool: MakePool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that are too old as soon as they have been opened are not made for ever."""
    monkeypatch.setattr(ppp.Pool, "_start_housekeeper", lambda _: None)
    opened: list[Resource] = []

    def opener(resource: Resource) -> None:
        opened.append(resource)
        clock.advance(10.0)
        if len(opened) > 20:
            raise SystemExit

    pool = make_pool(min_size=2, max_size=4, max_lifetime=5.0, opener=opener)
    assert len(opened) == 2
    pool.drain()
    assert len(opened) == 4


# The pool: one by one


def test_registry_is_read_while_others_add_to_it(make_pool: MakePool) -> None:
    """A pool built by another thread at the interpreter's end does not stop the closing of others."""

    class Busy(weakref.WeakValueDictionary[int, Any]):
        def values(self) -> Any:
            raise RuntimeError("dictionary changed size during iteration")

    pool = make_pool(delay=0.0)
    registry = ppp._Registry()
    registry.pools = Busy({1: pool})
    registry.at_exit()
    assert pool.stats()["shutdown"]


@needs_fork[0]
@needs_fork[1]
@pytest.mark.parametrize("how", ["ret", "block"])
def test_tracer_is_not_given_the_parents_objects(make_pool: MakePool, how: str) -> None:
    """In the child of a fork, an object of the parent is named by type and address: a tracer may use it."""
    traced: list[object] = []

    def trace(resource: object) -> str:
        traced.append(resource)
        return "traced"

    pool = make_pool(tracer=trace)
    block = pool.obj()
    lent = block.__enter__()

    def child() -> bool:
        if how == "ret":
            pool.ret(lent)
        else:
            block.__exit__(None, None, None)
        return not traced

    assert in_child(lambda: child() or 1 / 0) == 0
    block.__exit__(None, None, None)


class OwnGet(ppp.Pool[Any]):
    """A pool with its own `get`."""

    def get(self, timeout: float | None = None) -> Any:
        return super().get(timeout)


class OwnRet(ppp.Pool[Any]):
    """A pool with its own `ret`."""

    def ret(self, obj: Any) -> None:
        super().ret(obj)


@pytest.mark.parametrize("kind", [ppp.Pool, OwnGet, OwnRet])
def test_block_does_not_end_the_next_holders_lending(kind: type[ppp.Pool[Any]]) -> None:
    """What is returned within its block, and lent anew, is not returned at the end of the block."""
    with kind(lambda number: [number], 1, 1) as pool:
        with pool.obj() as mine:
            pool.ret(mine)
            assert pool.get(timeout=0) is mine
        assert mine in pool._using


@pytest.mark.parametrize("kind", [ppp.Pool, OwnGet, OwnRet])
def test_interrupted_end_of_a_block_loses_nothing(kind: type[ppp.Pool[Any]]) -> None:
    """Interrupted at any point of a block, `with pool.obj()` of a subclass gives its token back."""
    for number in range(1, 300):
        pool = kind(lambda number: [number], 1, 1)
        strike = Strike(number)

        def work(pool: ppp.Pool[Any] = pool) -> None:
            with pool.obj():
                pass

        struck = strike(work)
        gc.collect()
        stats = pool.stats()
        assert stats["sem"] == {"value": 1, "init": 1}, strike.struck
        pool.shutdown()
        if not struck:
            break
    assert number > 5


def test_resize_counts_what_is_being_made(make_pool: MakePool, spawn: Spawn) -> None:
    """With one object idle and one being made, a new limit of one closes the idle one at once."""
    stop = Stop()

    def fun(number: int) -> list[int]:
        if number > 0:
            stop()
        return [number]

    pool = make_pool(fun, max_size=2, min_size=1)
    mine = pool.get()
    task = spawn(pool.get)
    wait_for(stop.reached)
    pool.ret(mine)
    assert list(pool._avail) == [mine]
    pool.resize(min_size=0, max_size=1)
    assert list(pool._avail) == []
    stop.go.set()
    assert task.result() != mine


@pytest.mark.parametrize(
    ("parameters", "delay"),
    [
        ({"health": bool, "max_lifetime": 36_000.0}, 60.0),
        ({"health": bool, "max_lifetime": 60.0}, 30.0),
        ({"max_avail_delay": 600.0, "max_lifetime": 3_600.0}, 300.0),
        ({"max_avail_delay": 600.0, "max_lifetime": 60.0}, 30.0),
        ({"max_lifetime": 3_600.0}, 1_800.0),
    ],
)
def test_a_lifetime_makes_no_rounds_rare(
    make_pool: MakePool, parameters: dict[str, Any], delay: float
) -> None:
    """A long lifetime does not put off health checks; a short one is kept to."""
    assert make_pool(**parameters)._delay == delay


def test_check_keeps_to_the_timeout(make_pool: MakePool) -> None:
    """When examinations have taken all the time, `get` gives up, and says for how long it was asked."""
    asked: list[object] = []

    def refuse(obj: object) -> bool:
        asked.append(obj)
        time.sleep(0.02)
        return False

    pool = make_pool(max_size=5, min_size=5, health=refuse, check_after_idle=0.0, delay=3600.0)
    with pytest.raises(ppp.TimeOut, match=r"timeout after 0\.01 s \(0 of 5 in use, 0 waiting\)"):
        pool.get(timeout=0.01)
    assert len(asked) == 1
    assert len(pool._avail) == 4
    pool.ret(pool.get(timeout=0))  # which waits for nothing, but tries them all
    assert len(asked) == 5


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_message_tells_the_time_that_was_asked_for(make_pool: MakePool, timeout: float) -> None:
    """When a getter takes its time and gives the object back, the message does not tell what was left."""
    others: list[Any] = []

    def lose(obj: Any) -> None:
        time.sleep(0.05)
        pool.ret(obj)
        others.append(spawned(pool, obj))

    def spawned(pool: ppp.Pool[Any], obj: Any) -> Any:
        pool._getter = None
        return pool._checkout(0).obj

    pool = make_pool(max_size=1, getter=lose)
    with pytest.raises(ppp.TimeOut, match=rf"timeout after {timeout} s"):
        pool.get(timeout=timeout)


def test_health_is_not_asked_about_what_was_closed(make_pool: MakePool, spawn: Spawn) -> None:
    """An object handed to a waiter, and closed before it wakes, is not examined."""
    pool = make_pool(max_size=1, health=Resource.check, check_after_idle=0.0, delay=3600.0)
    mine = pool.get()
    task = spawn(pool.get)
    while pool.stats()["nwaiting"] == 0:
        time.sleep(0.001)
    before = pool.stats()
    with pool._lock:  # the waiter sleeps on for a moment
        pool.ret(mine)
        pool.__delete__()
    assert task.result() is not mine
    after = pool.stats()
    for key in ("nhealth", "hc_errors", "bad_health", "nchecks"):
        assert after[key] == before[key]


# Pickling


class Counted(ppp.Pool[Any]):
    """A pool with an attribute."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = 7


def arrived(pool: ppp.Pool[Any]) -> Any:
    """Pickle a pool, and load it as another process would."""
    text = pickle.dumps(pool)
    with mock.patch.object(ppp._registry, "unpickled", weakref.WeakValueDictionary()):
        return pickle.loads(text)


def test_pickled_pool_has_its_sizes_and_attributes() -> None:
    """A pool that was resized travels with its sizes, one of a subclass with its attributes."""
    with Counted(list, max_size=8, min_size=0) as pool:
        pool.resize(min_size=1, max_size=2)
        copy = arrived(pool)
        assert (copy._max_size, copy._min_size) == (2, 1)
        assert copy.calls == 7
        copy.shutdown()


def forget(number: int) -> list[int]:
    """Make an object."""
    return [number]


LOCKED: list[bool] = []


def note_lock(obj: object) -> None:
    """Note whether another thread could take the registry's lock now."""

    def take() -> None:
        taken = ppp._registry.lock.acquire(timeout=0.2)
        if taken:
            ppp._registry.lock.release()
        LOCKED.append(not taken)

    task = Task(take)
    task.start()
    task.result()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_arrival_of_a_pool_closes_others_without_the_lock() -> None:
    """When a pool that came by pickle goes because many more have come, its closers hold nobody up."""
    LOCKED.clear()
    ppp._registry.recent.clear()
    for _ in range(17):
        pool = ppp.Pool(forget, 1, 0, closer=note_lock)
        text = pickle.dumps(pool)
        pool.shutdown()
        with mock.patch.object(ppp._registry, "unpickled", weakref.WeakValueDictionary()):
            copy = pickle.loads(text)
        copy.ret(copy.get())
        del copy
        gc.collect()
    assert LOCKED == [False]
    ppp._registry.recent.clear()


# The proxy: blocks


class Conn:
    """What a proxy stands for."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextlib.contextmanager
def block(proxy: Any) -> Iterator[Any]:
    """A block in a generator, as a dependency of a web framework is."""
    with proxy._obj() as obj:
        yield obj


def test_block_left_in_another_thread(spawn: Spawn) -> None:
    """A block that is entered in one thread and left in another one does not end a block of that one."""
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=3, min_size=0)
    first = block(proxy)
    assert spawn(first.__enter__).result().number == 0
    with proxy._obj() as mine:
        first.__exit__(None, None, None)
        assert proxy._has_obj()
        assert mine in proxy._pool._using
    assert mine in proxy._pool._avail
    # without a block, here neither: it was drawn by another thread than entered the block
    second = block(proxy)
    spawn(second.__enter__).result()
    drawn = proxy._get_obj()
    second.__exit__(None, None, None)
    assert drawn in proxy._pool._using
    proxy._pool.shutdown()


def test_block_left_late() -> None:
    """A block that outlives its lending, as an abandoned stream's may, does not end the next one's block."""
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=2, min_size=0)
    stream = block(proxy)
    stream.__enter__()
    proxy._ret_obj()
    with proxy._obj() as mine:
        stream.__exit__(None, None, None)
        assert mine in proxy._pool._using
    assert mine in proxy._pool._avail
    proxy._pool.shutdown()


def test_proxy_set_anew_while_a_block_is_entered(spawn: Spawn) -> None:
    """A block counts where the object was drawn, though another thread has set the proxy anew meanwhile."""
    once = [True]

    class Racy(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            if once:  # the block has begun
                once.clear()
                spawn(self._set_fun, Conn).result()
            return super()._get_obj(timeout)

    proxy: Any = Racy(fun=Conn, max_size=2, min_size=0)
    with proxy._obj() as outer:
        with proxy._obj() as inner:
            assert inner is outer
        assert proxy._has_obj()
        assert outer in proxy._pool._using
    assert outer in proxy._pool._avail
    proxy._pool.shutdown()


@pytest.mark.parametrize("error", [ConnectionError, ValueError])
def test_invalidate_on_in_a_block_of_a_proxy(error: type[Exception]) -> None:
    """What leaves `with proxy._obj()` destroys the object if the pool's `invalidate_on` says so."""
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=1, min_size=0, invalidate_on=ConnectionError)
    seen = []

    def work() -> None:
        with proxy._obj() as outer:
            seen.append(outer)
            with contextlib.suppress(error), proxy._obj():
                raise error  # caught within: the outermost block decides
            assert proxy._has_obj()
            raise error

    with pytest.raises(error):
        work()
    with proxy._obj() as next_one:
        assert (next_one is seen[0]) == (error is ValueError)
    assert proxy._pool.stats()["ninvalidated"] == (error is ConnectionError)
    proxy._pool.shutdown()


# The proxy: setting


def test_draw_overtaken_by_a_set(spawn: Spawn) -> None:
    """A draw that has begun goes on with the function that was set then."""
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=None)
    core = ppp._core_of(proxy)
    lock: Any = core.lock

    class Overtaken:
        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()
            core.lock = lock
            spawn(proxy._set_obj, "other").result()

    core.lock = Overtaken()  # type: ignore[assignment]
    assert isinstance(proxy._get_obj(), Conn)
    assert proxy == "other"


@needs_fork[0]
@needs_fork[1]
def test_fork_while_a_proxy_is_set(monkeypatch: pytest.MonkeyPatch, spawn: Spawn) -> None:
    """A child forked in the midst of `set_obj` has all of the former setting."""
    stop = Stop()
    new_local = ppp._new_local
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=2, min_size=0)

    def slow(scope: Any) -> Any:
        if threading.current_thread() is task:
            stop()
        return new_local(scope)

    monkeypatch.setattr(ppp, "_new_local", slow)
    task = Task(proxy._set_obj, "text")
    task.start()
    wait_for(stop.reached)
    try:
        assert in_child(lambda: isinstance(proxy._get_obj(), Conn) or 1 / 0) == 0
    finally:
        stop.go.set()
        task.result()


def test_refused_pool_parameters_change_nothing() -> None:
    """`_set_pool` with a wrong parameter leaves all as it was."""
    proxy: Any = ppp.Proxy[Any](fun=Conn, max_size=1)
    with pytest.raises(ppp.ProxyException, match="tiemout=3"):
        proxy._set_pool(max_size=50, tiemout=3)
    assert proxy._pool_max_size == 1


# The proxy: subclasses


def test_constructors_of_several_bases() -> None:
    """Each constructor of a diamond runs, once, in Python's own order; also one that is patched later."""
    ran: list[str] = []

    class Base(ppp.Proxy[Any]):
        def __init__(self, **kwargs: Any) -> None:
            ran.append("Base")
            super().__init__(**kwargs)

    class Logging(Base):
        """It has none of its own."""

    class Caching(Base):
        def __init__(self, **kwargs: Any) -> None:
            ran.append("Caching")
            self.cache: dict[str, int] = {}
            super().__init__(**kwargs)

    class Both(Logging, Caching):
        """It has none of its own, either."""

    proxy = Both(obj="text")
    assert ran == ["Caching", "Base"]
    assert proxy.cache == {}
    with mock.patch.object(Base, "__init__", return_value=None) as patched:
        Logging()
    assert patched.call_count == 1


def test_own_setter_of_a_subclass() -> None:
    """A subclass's own `set` and `set_fun` are called; those of an instance can be patched, and removed."""

    class Loud(ppp.Proxy[Any]):
        def set_fun(self, fun: Any) -> Any:
            return self._set_fun(lambda number: ("loud", fun(number)))

    proxy: Any = Loud(max_size=None)
    proxy.set_fun(lambda number: number)
    assert proxy == ("loud", 0)
    plain: Any = ppp.Proxy[Any]()
    with mock.patch.object(plain, "set_obj") as patched:
        plain.set_obj(3)
    patched.assert_called_once_with(3)
    assert repr(plain) == "<Proxy unset>"
    plain.set = 5
    assert plain.set == 5
    del plain.set
    plain.set("text")
    assert plain == "text"
    del plain._local.obj
    with pytest.raises(AttributeError):
        del plain.set


def test_cached_properties_of_bases() -> None:
    """One that overrides another uses it, and one of a mixin keeps its value in the proxy."""

    class Parent(ppp.Proxy[Any]):
        @functools.cached_property
        def values_seen(self) -> list[int]:
            return [1]

    class Child(Parent):
        @functools.cached_property
        def values_seen(self) -> list[int]:
            return [*super().values_seen, 2]

    assert Child(obj="text").values_seen == [1, 2]

    class Mixin:
        @functools.cached_property
        def token(self) -> object:
            return object()

    class Mixed(Mixin, ppp.Proxy[Any]):
        """It has it from the mixin."""

    thing = Conn(0)
    one, other = Mixed(obj=thing), Mixed(obj=thing)
    assert one.token is one.token
    assert one.token is not other.token
    assert vars(thing) == {"number": 0}


class Repository(ppp.Proxy[Any]):
    """A proxy with attributes, one of which refers to it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label = "main"
        self.users = Users(self)


class Users:
    """A part of a repository."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Named(ppp.Proxy[Any]):
    """A proxy with its own way of travelling."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Named, ("by its own",)


@pytest.mark.parametrize("parameters", [{"fun": Conn, "max_size": 2}, {"obj": "text"}])
def test_pickled_attributes_that_refer_back(parameters: dict[str, Any]) -> None:
    """A subclass's own attributes arrive, also those that refer to the proxy."""
    text = pickle.dumps(Repository(**parameters))
    with mock.patch.object(ppp._registry, "unpickled", weakref.WeakValueDictionary()):
        copy = pickle.loads(text)
    assert copy.label == "main"
    assert copy.users.repository is copy


def test_pickled_by_its_own_reduce() -> None:
    """A subclass's `__reduce__` is asked."""
    assert pickle.loads(pickle.dumps(Named(obj=1))) == "by its own"


def test_proxies_of_proxies_as_operands() -> None:
    """What stands for something that stands for something is unwrapped to the end."""

    def twice(obj: Any) -> Any:
        return ppp.Proxy[Any](obj=ppp.Proxy[Any](obj=obj))

    assert twice("a") in ppp.Proxy[Any](obj="abc")
    rows: Any = ppp.Proxy[Any](obj=[1])
    rows += twice((2,))
    assert rows == [1, 2]
    assert ppp.Proxy[Any](obj="%s-%s") % twice((1, 2)) == "1-2"
    base: Any = twice(dict)

    class Derived(base):  # type: ignore[misc]
        """A subclass of what it stands for."""

    assert issubclass(Derived, dict)
