"""Faults that a second review has found, one by one: each test is the promise that was broken."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import threading
import types
from fractions import Fraction
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Spawn, eventually, run_python, wait_for
from proxies import Keep, held_elsewhere, keep_fixture

import ProxyPatternPool as ppp

__all__ = ["keep_fixture"]


def free(pool: ppp.Pool[Any]) -> int:
    """Count the free tokens."""
    return int(pool.stats()["sem"]["value"])


# The pool


@pytest.mark.parametrize("wait", ["jobs.get()", "before.wait()"], ids=["asks at the end", "waits already"])
def test_thread_joined_after_the_end(wait: str) -> None:
    """A thread that needs an object while the interpreter ends gets its error; who joins it does not hang."""
    done = run_python(
        """
        import atexit, queue, sys, threading
        jobs, before = queue.Queue(), threading.Event()

        @atexit.register
        def flush():
            jobs.put("last")
            thread.join(15)
            print(thread.is_alive())

        import ProxyPatternPool as ppp
        pool = ppp.Pool(lambda number: object(), 1)
        lent = pool.get()

        def work():
            if sys.argv[1] == "jobs.get()":
                jobs.get()
            before.set()
            try:
                pool.get()
            except ppp.PoolException:
                print("told")

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if sys.argv[1] != "jobs.get()":
            before.wait()
            while pool.stats()["nwaiting"] == 0:
                pass
        """,
        wait,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("told\nFalse\n", "", 0)


class Counting(ppp.Pool[Any]):
    """A pool with its own `get` and `ret`."""

    def __init__(self, *args: Any, **parameters: Any) -> None:
        self.calls: list[str] = []
        super().__init__(*args, **parameters)

    def get(self, timeout: float | None = None) -> Any:
        """Count it."""
        self.calls.append("get")
        return super().get(timeout)

    def ret(self, obj: Any) -> None:
        """Count it."""
        self.calls.append("ret")
        super().ret(obj)


def test_obj_of_a_subclass(factory: Factory, messages: Messages) -> None:
    """Where a subclass has its own `get` and `ret`, `obj` calls them, and keeps its other promises."""
    errors: Any = ((OSError, KeyError), EOFError)
    with Counting(factory, 1, min_size=0, closer=Resource.close, invalidate_on=errors) as pool:
        with pool.obj() as first:
            assert list(pool._using) == [first]
        assert pool.calls == ["get", "ret"]
        with pytest.raises(ValueError, match="other"), pool.obj(timeout=0):
            raise ValueError("other")
        assert pool.calls == ["get", "ret"] * 2
        with pytest.raises(KeyError), pool.obj() as same:
            raise KeyError
        assert same is first
        assert not first.alive
        with pool.obj() as second:
            pool.invalidate(second)
        assert pool.calls == [*["get", "ret"] * 2, "get", "get"]
        assert (pool._nobjs, free(pool)) == (0, 1)
    assert messages() == []


def test_obj_of_a_subclass_that_gives_something_else(factory: Factory) -> None:
    """A subclass may wrap what it gives; it gets the wrapper back."""

    class Wrapping(ppp.Pool[Any]):
        def get(self, timeout: float | None = None) -> Any:
            return [super().get(timeout)]

        def ret(self, obj: Any) -> None:
            super().ret(obj[0])

    with Wrapping(factory, 1) as pool:
        with pool.obj() as wrapper:
            assert isinstance(wrapper, list)
        assert len(pool._avail) == 1


def test_obj_of_a_subclass_stays_its_own(factory: Factory) -> None:
    """A subclass with its own `obj` keeps it."""

    class Own(Counting):
        def obj(self, timeout: float | None = None) -> Any:
            return "mine"

    with Own(factory, 1) as pool:
        assert [pool.obj()] == ["mine"]


@pytest.mark.parametrize("delay", [0.0, 1000.0], ids=["alone", "housekeeper"])
@pytest.mark.parametrize("how", ["drain", "resize"])
def test_fills_at_once_after_failures(make_pool: MakePool, factory: Factory, delay: float, how: str) -> None:
    """New credentials and `drain` (or `resize`) fill the pool at once, however lately a creation failed."""
    factory.fails["make"] = OSError("bad password")
    pool = make_pool(max_size=4, min_size=1, delay=delay)
    assert pool._nobjs == 0
    del factory.fails["make"]
    getattr(pool, how)(**({} if how == "drain" else {"min_size": 2}))
    eventually(lambda: pool._nobjs == pool._min_size)


def test_opening_is_not_holding(make_pool: MakePool, clock: Clock) -> None:
    """The time that the opener takes counts neither as holding nor as idling."""
    pool = make_pool(
        max_size=1,
        min_size=0,
        opener=lambda resource: clock.advance(5.0),
        max_using_delay_kill=2.0,
        max_avail_delay=2.0,
        delay=1000.0,
    )
    for make, counter in ((pool._create, "_nkilled"), (pool._new, "_nrecycled")):
        thing = make()
        pool._hkRound()
        assert thing.alive
        clock.advance(2.0)
        pool._hkRound()
        assert not thing.alive
        assert getattr(pool, counter) == 1


@pytest.mark.parametrize("what", ["ret", "invalidate"])
@pytest.mark.parametrize("default", [True, False], ids=["default", "given"])
def test_getter_that_always_ends_the_lending(
    make_pool: MakePool, clock: Clock, what: str, default: bool
) -> None:
    """A getter that gives back all that it gets makes `get` give up in time."""

    def getter(resource: Resource) -> None:
        clock.advance(0.3)
        getattr(pool, what)(resource)

    pool = make_pool(max_size=2, min_size=0, getter=getter, timeout=1.0 if default else None)
    with pytest.raises(ppp.TimeOut, match=r"timeout after 1\.0"):
        pool.get(None if default else 1.0)
    assert pool._ncreating <= 5
    assert free(pool) == 2


NUMBERS: list[tuple[str, Any, Any]] = [
    ("max_use", 1e6, 1_000_000),
    ("max_size", 4.0, 4),
    ("health_freq", Fraction(2), 2),
    ("timeout", Fraction(1, 3), 1 / 3),
    ("max_avail_delay", 60, 60),
    ("timeout", float("inf"), float("inf")),
]


@pytest.mark.parametrize(("name", "given", "shown"), NUMBERS)
def test_numbers_of_other_types(make_pool: MakePool, name: str, given: Any, shown: Any) -> None:
    """A number is a number, whatever its type, and a whole one may be a float."""
    pool = make_pool(**{name: given})
    value = pool.stats()[name]
    assert (value, type(value)) == (shown, type(shown))


BAD: list[tuple[str, Any]] = [
    ("max_size", 4.5),
    ("max_use", float("inf")),
    ("max_use", float("nan")),
    ("min_size", "1"),
    ("delay", "1"),
    ("delay", b"1"),
    ("delay", 1j),
    ("delay", [1]),
    ("delay", 10**400),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name} {str(value)[:8]}" for name, value in BAD])
def test_what_is_no_number(name: str, value: Any) -> None:
    """What is no number, or none that can be meant, is refused by name."""
    with pytest.raises(ppp.PoolException, match=f"{name} must be a"):
        ppp.Pool(lambda number: number, **{name: value})


def test_timeout_beyond_all_time(make_pool: MakePool) -> None:
    """A timeout that no clock can reach is refused by name, not by an `OverflowError` of `float`."""
    pool = make_pool(max_size=1)
    with pytest.raises(ppp.PoolException, match="timeout must be"):
        pool.get(10**400)


def test_uses_set_by_a_program(make_pool: MakePool, messages: Messages) -> None:
    """A test may wear a lent object out by hand: it goes on return, and its token comes back."""
    pool = make_pool(max_size=1, min_size=0, max_use=5)
    with pool.obj() as worn:
        info = pool._uses[worn]
        assert info.uses == 1
        info.uses = 5
        assert (info.uses, pool.stats()["using"][0]["uses"]) == (5, 5)
    assert (free(pool), pool._nwornout, worn.alive) == (1, 1, False)
    assert messages() == []


def test_use_info_tells_itself() -> None:
    """The text of a record has its three fields."""
    text = repr(ppp.Pool.UseInfo(3))
    assert text.startswith("UseInfo(uses=3, last_get=")
    assert "last_ret=" in text


def test_resize_serves_before_it_warns(make_pool: MakePool, spawn: Spawn, messages: Messages) -> None:
    """A new token goes to the oldest waiter, even if a log handler asks for an object meanwhile."""
    pool = make_pool(max_size=1, min_size=0)
    lent = pool.get()
    waiter = spawn(lambda: pool.get(timeout=5.0))
    eventually(lambda: pool.stats()["nwaiting"] == 1)

    def ask(record: Any) -> bool:
        if "cut to" in record.getMessage():
            with pytest.raises(ppp.TimeOut):
                pool.get(0)
        return True

    ppp.log.addFilter(ask)
    try:
        pool.resize(min_size=3, max_size=2)
    finally:
        ppp.log.removeFilter(ask)
    assert waiter.result() is not lent
    assert len(messages()) == 1


def test_many_waiting_come_first(make_pool: MakePool, spawn: Spawn) -> None:
    """With `max_waiting` waiting already, `get(0)` says so, too."""
    pool = make_pool(max_size=1, max_waiting=1)
    lent = pool.get()
    waiter = spawn(lambda: pool.get(timeout=5.0))
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    with pytest.raises(ppp.TooManyRequests):
        pool.get(0)
    pool.ret(lent)
    assert waiter.result() is lent


def test_invalidated_before_the_error(make_pool: MakePool, messages: Messages) -> None:
    """An object invalidated in its block, which is then left by such an error, is no unexpected return."""
    pool = make_pool(max_size=1, min_size=0, invalidate_on=OSError)

    def work() -> None:
        with pool.obj() as lent:
            pool.invalidate(lent)
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        work()
    assert (pool._ninvalidated, free(pool)) == (1, 1)
    assert messages() == []


def test_keeping_house_after_shutdown(make_pool: MakePool, spawn: Spawn) -> None:
    """`_houseKeeping` of a pool that was shut down ends at once, beside a housekeeper or after it."""
    pool = make_pool(delay=1000.0)
    beside = spawn(pool._houseKeeping)
    pool.shutdown(delay=5.0)
    beside.result()
    spawn(pool._houseKeeping).result()


def test_refused_object_is_not_kept(make_pool: MakePool, factory: Factory) -> None:
    """A pool that makes the successor of an object has no reference left to the one that it has closed."""
    import gc
    import weakref

    refs: list[weakref.ref[Any]] = []
    alive: list[int] = []

    class Thing:
        pass

    def fun(number: int) -> Thing:
        alive.append(sum(ref() is not None for ref in refs))
        thing = Thing()
        refs.append(weakref.ref(thing))
        return thing

    pool = make_pool(fun=fun, max_size=1, min_size=0, health=lambda thing: False, check_after_idle=0.0)
    pool.ret(pool.get())
    gc.disable()
    try:
        pool.ret(pool.get())
    finally:
        gc.enable()
    assert alive == [0, 0]


# The proxy


def test_first_object_is_made_outside_the_lock(keep: Keep, factory: Factory, spawn: Spawn) -> None:
    """While one thread makes the first object, `get(0)` of another does not wait for it."""
    making, go = threading.Event(), threading.Event()
    waits: list[bool] = []

    def fun(number: int) -> Resource:
        making.set()
        waits.append(go.wait(3.0))
        return factory(number)

    proxy = keep(ppp.Proxy(fun=fun, max_size=1))
    first = spawn(proxy._get_obj)
    wait_for(making)
    with pytest.raises(ppp.TimeOut):
        proxy._get_obj(0)
    go.set()
    assert isinstance(first.result(), Resource)
    assert proxy._pool.stats()["ntimeouts"] == 1
    assert waits == [True]


def test_first_objects_are_made_together(keep: Keep, factory: Factory, spawn: Spawn) -> None:
    """Eight threads that come first make their objects at the same time."""
    barrier = threading.Barrier(8)

    def fun(number: int) -> Resource:
        barrier.wait(10.0)
        return factory(number)

    proxy = keep(ppp.Proxy(fun=fun, max_size=8))
    tasks = [spawn(proxy._get_obj) for _ in range(8)]
    assert len({id(task.result()) for task in tasks}) == 8
    assert proxy._nobjs == 8


def test_handler_draws_while_the_pool_is_built(
    keep: Keep, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever interrupts the building of the pool and draws first is joined: there is one pool."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    build = ppp.Pool._build
    pools: list[Any] = []

    def interrupted(self: ppp.Pool[Any], parameters: dict[str, Any]) -> None:
        if not pools:
            pools.append(self)
            proxy._get_obj()
            proxy._ret_obj()
            pools.append(proxy._pool)
        build(self, parameters)

    monkeypatch.setattr(ppp.Pool, "_build", interrupted)
    drawn = proxy._get_obj()
    assert proxy._pool is pools[1]
    assert list(proxy._pool._using) == [drawn]
    assert (proxy._nobjs, len(factory.made)) == (1, 1)


def test_interrupted_first_fill(keep: Keep, factory: Factory) -> None:
    """Whoever is interrupted while the first objects are made leaves a pool that works."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    factory.fails["make"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        proxy._get_obj()
    del factory.fails["make"]
    assert isinstance(proxy._get_obj(), Resource)
    assert free(proxy._pool) == 1


def test_shared_object_that_needs_itself() -> None:
    """A function that uses the proxy for which it makes the object is told so."""

    def fun(number: int) -> object:
        return proxy._get_obj()

    proxy: Any = ppp.Proxy(fun=fun, scope=ppp.Proxy.Scope.SHARED)
    with pytest.raises(ppp.ProxyException, match="the object of the proxy is needed to make it"):
        proxy._get_obj()
    proxy._set_fun(lambda number: [number])
    assert proxy == [0]


class Mix:
    """Something that proxies of an application have in common."""

    label = "none"

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        super().__init__(**parameters)

    def hello(self) -> str:
        """Say it."""
        return f"hello from {self.label}"


class Before(Mix, ppp.Proxy[Any]):
    """It comes first."""


class After(ppp.Proxy[Any], Mix):
    """It comes last."""

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        ppp.Proxy.__init__(self, **parameters)


@pytest.mark.parametrize("cls", [Before, After])
def test_mixins(cls: Any) -> None:
    """What a subclass of `Proxy` inherits from elsewhere is the proxy's own, too."""
    thing = types.SimpleNamespace(label="the thing's", size=3)
    proxy = cls("the proxy", obj=thing)
    assert proxy.hello() == "hello from the proxy"
    assert (proxy.label, proxy.size, thing.label) == ("the proxy", 3, "the thing's")
    proxy.label = "mine"
    assert (proxy.hello(), thing.label) == ("hello from mine", "the thing's")
    assert cls("unset").hello() == "hello from unset"


class Special(ppp.Proxy[Any]):
    """Special names of its own."""

    __test__ = False

    def __len__(self) -> int:
        return 77

    def __html__(self) -> str:
        return "<b>proxy</b>"


def test_special_names_of_a_subclass() -> None:
    """Names with double underscores that a subclass declares are its own; other proxies' are the object's."""
    for proxy in (Special([1]), Special(), Special(fun=lambda number: [1])):
        assert (len(proxy), proxy.__len__()) == (77, 77)
        assert (proxy.__html__(), proxy.__test__) == ("<b>proxy</b>", False)
    plain: Any = ppp.Proxy([1])
    assert (len(plain), plain.__len__()) == (1, 1)
    assert not hasattr(plain, "__html__")
    drawn: list[int] = []
    other: Any = ppp.Proxy(fun=lambda number: drawn.append(number), max_size=None)
    assert not hasattr(other, "__html__")
    assert drawn == []


def test_cached_property_of_a_subclass() -> None:
    """A cached property keeps its value in the proxy, once for each, and not in the object."""
    calls = itertools.count()

    class Reference(ppp.Proxy[Any]):
        @functools.cached_property
        def helper(self) -> int:
            """Help."""
            return next(calls)

    thing = types.SimpleNamespace()
    one, two = Reference(thing), Reference(thing)
    assert (one.helper, one.helper, two.helper, one.helper) == (0, 0, 1, 0)
    assert vars(thing) == {}
    assert inspect.getdoc(Reference.helper) == "Help."
    del one.helper
    assert one.helper == 2


def test_methods_can_be_patched(keep: Keep, factory: Factory) -> None:
    """A program's test may replace a method of the proxy for a while."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    with mock.patch.object(proxy, "_get_obj", return_value="fake") as patched:
        assert proxy._get_obj() == "fake"
    patched.assert_called_once_with()
    assert isinstance(proxy._get_obj(), Resource)


def test_operators_between_two_proxies() -> None:
    """Where both operands are proxies, the result is that of the objects, and handles stay."""

    def proxy(value: Any) -> Any:
        return ppp.Proxy(value)

    handle = numbers = proxy([1])
    numbers += proxy((2,))
    numbers *= proxy(2)
    assert numbers is handle
    assert handle._get_obj() == [1, 2, 1, 2]
    handle = names = proxy({1})
    names |= proxy({2})
    assert names is handle
    assert handle == {1, 2}
    assert proxy("a") in proxy("abc")
    assert proxy("%s-%s") % proxy((1, 2)) == "1-2"
    with pytest.raises(TypeError):
        proxy("ab") % proxy(5)


def test_looking_at_a_proxy_held_elsewhere(keep: Keep, factory: Factory) -> None:
    """`inspect.signature` and help's search for `getdoc` draw nothing while another thread has the object."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=0.1))
    with held_elsewhere(proxy):
        before = proxy._pool.stats()["ntimeouts"]
        inspect.signature(proxy)
        for name in ("getdoc", "__name__", "__mro__"):
            assert not hasattr(proxy, name)
        assert [proxy == cls for cls in (type, object)] == [False, False]
        assert proxy._pool.stats()["ntimeouts"] == before


def test_names_of_the_class_are_the_objects() -> None:
    """`Scope`, `Local` and what a metaclass has belong to the object, drawn or not."""
    thing = types.SimpleNamespace(Scope="a scope", Local="here", mro="an order")
    proxy: Any = ppp.Proxy(fun=lambda number: thing, max_size=None)
    assert (proxy.mro, proxy.Scope, proxy.Local) == ("an order", "a scope", "here")
    other: Any = ppp.Proxy(fun=lambda number: thing, max_size=None)
    assert other.Scope == "a scope"
    for name in ("Scope", "mro", "__name__", "__qualname__"):
        with pytest.raises(ppp.ProxyUnset):
            getattr(ppp.Proxy(), name)


def werkzeug_proxy(keep: Keep, factory: Factory) -> Any:
    """Give a proxy of one object, for each context."""
    return keep(ppp.Proxy(fun=factory, max_size=1, scope=ppp.Proxy.Scope.WERKZEUG))


def test_task_returns_its_parents_object(keep: Keep, factory: Factory) -> None:
    """A task that inherited an object and returns it ends it for its parent, too."""
    proxy = werkzeug_proxy(keep, factory)

    async def child() -> None:
        proxy._ret_obj()

    async def main() -> tuple[bool, int]:
        proxy._get_obj()
        await asyncio.create_task(child())
        return proxy._has_obj(), proxy._pool.stats()["nusing"]

    assert asyncio.run(main()) == (False, 0)


def test_blocks_of_two_tasks_overlap(keep: Keep, factory: Factory) -> None:
    """Where tasks share an object, it goes back when the last of their blocks is left, not the first one."""
    proxy = werkzeug_proxy(keep, factory)

    async def child(inside: asyncio.Event, leave: asyncio.Event) -> None:
        with proxy._obj():
            inside.set()
            await leave.wait()

    async def main() -> None:
        inside, leave = asyncio.Event(), asyncio.Event()
        mine = proxy._get_obj()
        task = asyncio.create_task(child(inside, leave))
        await inside.wait()
        with proxy._obj() as same:
            leave.set()
            await task
            assert same is mine
            assert list(proxy._pool._using) == [mine]
        assert proxy._pool.stats()["nusing"] == 0

    asyncio.run(main())


def test_context_is_released(keep: Keep, factory: Factory) -> None:
    """Werkzeug's `release_local` works on the local of a proxy."""
    from werkzeug.local import release_local

    proxy: Any = ppp.Proxy(fun=factory, max_size=None, scope=ppp.Proxy.Scope.WERKZEUG)
    first = proxy._get_obj()
    release_local(proxy._local)
    assert not proxy._has_obj()
    assert proxy._get_obj() is not first


def test_object_taken_away_by_hand(keep: Keep, factory: Factory) -> None:
    """A program that has removed the object from the local itself may still call `_ret_obj`."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    proxy._get_obj()
    del proxy._local.obj
    proxy._ret_obj()
    assert proxy._pool.stats()["nusing"] == 0


def test_numbers_begin_anew() -> None:
    """A new function without a pool is called with 0, 1, 2…, though the former one still makes an object."""
    proxy: Any = ppp.Proxy(fun=lambda number: [number], max_size=None)
    assert proxy == [0]

    def slow(number: int) -> list[int]:
        proxy._set_fun(lambda number: [number + 10])
        raise OSError(number)

    proxy._set_fun(slow)
    with pytest.raises(OSError, match="0"):
        proxy._get_obj()
    assert proxy == [10]
    assert proxy._nobjs == 1
    threading.Thread(target=proxy._get_obj).start()
    eventually(lambda: proxy._nobjs == 2)
