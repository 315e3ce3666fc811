"""Construction of a proxy, `set`, the current object, `_obj`, statistics, subclasses, own names."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import threading
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Factory, Messages, Resource, Task, eventually, run_all
from proxies import Keep, held_elsewhere, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

OWN = {
    "_set",
    "_set_obj",
    "_set_fun",
    "_set_pool",
    "_get_obj",
    "_has_obj",
    "_ret_obj",
    "_invalidate_obj",
    "_obj",
    "_nobjs",
    "_pool",
    "_fun",
    "_scope",
    "_local",
    "_pool_max_size",
    "_pool_kwargs",
}
"""The proxy's underscore names: those of the contract, and no other."""


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread that ends, and give its result."""
    task = Task(function, *args)
    task.start()
    return task.result()


class Echo:
    """Has every attribute: its value is the attribute's name."""

    def __getattr__(self, name: str) -> str:
        return name


# Construction and set


def test_object_first_by_position() -> None:
    """The first parameter is the object, shared by everybody."""
    thing = SimpleNamespace(x=1)
    proxy: Any = ppp.Proxy(thing)
    assert proxy.x == 1
    assert proxy._get_obj() is thing
    assert in_thread(proxy._get_obj) is thing
    assert proxy._scope is ppp.Proxy.Scope.SHARED
    assert proxy._pool is None


def test_all_parameters_by_position(keep: Keep, factory: Factory) -> None:
    """Object, function, name of set, scope, logging level and size can be given by position."""
    proxy = keep(ppp.Proxy(None, factory, "put", ppp.Proxy.Scope.THREAD, logging.ERROR, 3, timeout=0.5))
    assert proxy._get_obj() is factory.made[0]
    assert proxy._fun is factory
    assert proxy._scope is ppp.Proxy.Scope.THREAD
    assert proxy._pool_max_size == 3
    assert proxy._pool_kwargs["timeout"] == 0.5
    assert ppp.log.level == logging.ERROR
    assert proxy._pool.stats()["timeout"] == 0.5
    assert proxy._pool.stats()["max_size"] == 3


def test_object_and_function_refused() -> None:
    """An object and a function together are refused, at construction and later."""
    message = "Proxy cannot set both obj and fun"
    with pytest.raises(ppp.ProxyException, match=message):
        ppp.Proxy(obj="1", fun=str)
    proxy: Any = ppp.Proxy()
    with pytest.raises(ppp.ProxyException, match=message):
        proxy._set(obj=1, fun=str)
    with pytest.raises(ppp.ProxyException, match=message):
        proxy.set(1, str)


def test_set_needs_something_unless_told() -> None:
    """Setting nothing is refused, unless it is said not to be mandatory."""
    proxy: Any = ppp.Proxy()
    with pytest.raises(ppp.ProxyException, match="Proxy must set either obj or fun"):
        proxy._set()
    with pytest.raises(ppp.ProxyException, match="Proxy must set either obj or fun"):
        proxy.set()
    assert proxy._set(mandatory=False) is proxy
    assert proxy._set(None, None, False) is proxy
    assert not proxy._has_obj()


@pytest.mark.parametrize("name", ["set", "_set", "set_obj", "_set_obj"])
def test_set_object_later(name: str) -> None:
    """A proxy without anything takes its object later, by any of four names, which give the proxy back."""
    proxy: Any = ppp.Proxy()
    thing = SimpleNamespace(x=1)
    assert getattr(proxy, name)(thing) is proxy
    assert proxy.x == 1
    assert proxy._scope is ppp.Proxy.Scope.SHARED


@pytest.mark.parametrize("name", ["set_fun", "_set_fun"])
def test_set_function_later(name: str, keep: Keep, factory: Factory) -> None:
    """A proxy without anything takes its function later, by two names, which give the proxy back."""
    proxy = keep(ppp.Proxy(max_size=2))
    assert getattr(proxy, name)(factory) is proxy
    assert proxy.number == 0
    assert proxy._scope is ppp.Proxy.Scope.THREAD


@pytest.mark.parametrize("name", ["set", "_set"])
def test_set_function_by_keyword(name: str, keep: Keep, factory: Factory) -> None:
    """`set` takes the function by keyword or as its second parameter."""
    proxy = keep(ppp.Proxy(max_size=2))
    assert getattr(proxy, name)(fun=factory) is proxy
    assert proxy.number == 0
    other = keep(ppp.Proxy(max_size=2))
    assert getattr(other, name)(None, factory) is other
    assert other.number == 1 or other.number == 0
    assert len(factory.made) == 2


def test_another_set_name() -> None:
    """With another name for `set`, the object's own `set`, `set_obj` and `set_fun` are reached."""
    thing = SimpleNamespace(set=lambda value: f"set {value}", set_obj="mine", set_fun="mine too")
    proxy: Any = ppp.Proxy(set_name="put")
    assert proxy.put(thing) is proxy
    assert proxy.set(1) == "set 1"
    assert proxy.set_obj == "mine"
    assert proxy.set_fun == "mine too"
    assert proxy.put_obj(thing) is proxy
    assert proxy._set_obj(thing) is proxy
    assert ppp.Proxy(set_name="put").put_fun(list)._fun is list


def test_set_name_of_one_proxy_is_not_another_s() -> None:
    """The name given to one proxy's `set` is no method of another proxy."""
    first: Any = ppp.Proxy(SimpleNamespace(put="object's", set="object's"), set_name="assign")
    second: Any = ppp.Proxy(SimpleNamespace(assign="object's"), set_name="put")
    assert first.put == first.set == second.assign == "object's"
    assert callable(first.assign)
    assert callable(second.put)


def test_default_scopes() -> None:
    """The scopes have their numbers, and AUTO becomes SHARED or THREAD."""
    scope = ppp.Proxy.Scope
    assert [scope.AUTO.value, scope.SHARED.value, scope.THREAD.value] == [0, 1, 2]
    assert [scope.WERKZEUG.value, scope.GEVENT.value, scope.EVENTLET.value] == [3, 4, 5]
    assert scope["VERSATILE"] is scope["WERKZEUG"]
    assert ppp.Proxy(1)._scope is scope.SHARED
    assert ppp.Proxy(fun=str)._scope is scope.THREAD


def test_local_of_scopes(keep: Keep, factory: Factory) -> None:
    """The current object is the attribute `obj` of `_local`, a `Proxy.Local` or a `threading.local`."""
    thing = SimpleNamespace()
    shared: Any = ppp.Proxy(thing)
    assert shared._local.obj is thing
    assert isinstance(shared._local, ppp.Proxy.Local)
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    assert isinstance(proxy._local, threading.local)
    assert getattr(proxy._local, "obj", None) is None
    drawn = proxy._get_obj()
    assert proxy._local.obj is drawn
    assert in_thread(lambda: getattr(proxy._local, "obj", None)) is None
    proxy._ret_obj()
    assert getattr(proxy._local, "obj", None) is None


@pytest.mark.parametrize("value", [0, "", False, [], {}, 0.0, ()])
def test_falsy_objects(value: Any) -> None:
    """Any object but None can be set, whatever its truth."""
    proxy: Any = ppp.Proxy(value)
    assert proxy._has_obj()
    assert proxy._get_obj() is value
    assert not proxy
    later: Any = ppp.Proxy()
    assert later.set(value)._get_obj() is value
    with pytest.raises(ppp.ProxyException, match="both"):
        ppp.Proxy(value, str)


def test_objects_without_truth(keep: Keep) -> None:
    """An object whose truth raises can be set, and made by a function, and returned."""

    class Vague:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    vague = Vague()
    assert ppp.Proxy(vague)._get_obj() is vague
    assert ppp.Proxy().set(vague)._has_obj()
    proxy = keep(ppp.Proxy(fun=lambda _: vague, max_size=1))
    for _ in range(3):
        with proxy._obj(timeout=0) as thing:
            assert thing is vague
    assert proxy._get_obj() is vague
    with pytest.raises(ValueError, match="neither"):
        bool(proxy)


@pytest.mark.parametrize("max_size", [None, 0, 1])
def test_function_giving_falsy_objects(keep: Keep, max_size: int | None) -> None:
    """A function may give falsy objects: one is made, and kept."""
    made: list[Any] = []

    def make(_: int) -> list[Any]:
        made.append([])
        return made[-1]  # type: ignore[no-any-return]

    proxy = keep(ppp.Proxy(fun=make, max_size=max_size))
    assert len(proxy) == len(proxy) == 0
    assert not proxy
    assert proxy._has_obj()
    assert len(made) == proxy._nobjs == 1


def test_setting_an_object_anew() -> None:
    """An object set anew takes the old one's place for everybody."""
    first, second = SimpleNamespace(x=1), SimpleNamespace(x=2)
    proxy: Any = ppp.Proxy(first)
    assert proxy.x == 1
    proxy.set(second)
    assert proxy.x == in_thread(lambda: proxy.x) == 2


def test_setting_anew_shuts_the_old_pool_down(keep: Keep, factory: Factory) -> None:
    """A proxy that is given something new shuts the pool of what it had before, closing its objects."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, closer=Resource.close))
    assert proxy.number == 0
    old = proxy._pool
    other = Factory()
    proxy.set_fun(other)
    assert old.stats()["shutdown"]
    assert factory.alive == []
    assert proxy._get_obj() is other.made[0]
    assert proxy._pool is not old
    middle = proxy._pool
    proxy.set(SimpleNamespace(x=3))
    assert middle.stats()["shutdown"]
    assert other.alive == []
    assert proxy.x == 3
    assert in_thread(lambda: proxy.x) == 3


def test_setting_anew_reaches_threads_with_an_object(keep: Keep, factory: Factory) -> None:
    """After something new is set, a thread which had drawn an object of the old function gets a new one."""
    other = Factory()
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    first, second = threading.Event(), threading.Event()

    def work() -> tuple[Any, Any]:
        before = proxy._get_obj()
        first.set()
        assert second.wait(5)
        after = proxy._get_obj()
        proxy._ret_obj()
        return before, after

    task = Task(work)
    task.start()
    assert first.wait(5)
    proxy.set_fun(other)
    second.set()
    assert task.result() == (factory.made[0], other.made[0])


def test_log_level() -> None:
    """The logging level given to a proxy is the library's."""
    ppp.Proxy(1, log_level=logging.CRITICAL)
    assert ppp.log.level == logging.CRITICAL
    ppp.Proxy(1)
    assert ppp.log.level == logging.CRITICAL


# The pool behind


def test_pool_is_made_on_first_use(keep: Keep, factory: Factory) -> None:
    """Neither construction nor asking whether there is an object makes the pool or an object."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2, min_size=1))
    assert proxy._pool is None
    assert not proxy._has_obj()
    assert proxy._nobjs == 0
    assert factory.made == []
    assert proxy.number == 0
    assert isinstance(proxy._pool, ppp.Pool)
    assert proxy._has_obj()
    assert proxy._nobjs == 1


def test_pool_parameters_are_passed(keep: Keep, factory: Factory) -> None:
    """What follows the size goes to the pool: here limits and hooks."""
    proxy = keep(
        ppp.Proxy(
            fun=factory,
            max_size=2,
            min_size=0,
            timeout=0.25,
            max_use=1,
            opener=Resource.open,
            getter=Resource.lend,
            retter=Resource.take_back,
            closer=Resource.close,
            name="books",
        )
    )
    with proxy._obj() as resource:
        assert (resource.openings, resource.gets, resource.rets, resource.closings) == (1, 1, 0, 0)
    assert (resource.openings, resource.gets, resource.rets, resource.closings) == (1, 1, 1, 1)
    stats = proxy._pool.stats()
    assert (stats["timeout"], stats["max_use"], stats["nwornout"], stats["name"]) == (0.25, 1, 1, "books")


def test_set_pool_before_and_after(keep: Keep, factory: Factory) -> None:
    """Pool parameters can be changed until the pool exists, and not afterwards."""
    proxy = keep(ppp.Proxy(max_size=5, timeout=3.0))
    proxy._set_pool(max_size=1)
    proxy.set_fun(factory)
    proxy._set_pool(timeout=0.5)
    assert proxy._pool_max_size == 1
    assert proxy._get_obj() is factory.made[0]
    stats = proxy._pool.stats()
    assert (stats["max_size"], stats["timeout"]) == (1, 0.5)
    with pytest.raises(ppp.ProxyException, match="cannot override pool parameters once initialized"):
        proxy._set_pool(max_size=2)
    assert proxy._pool.stats()["max_size"] == 1


def test_set_pool_can_take_the_pool_away(factory: Factory) -> None:
    """`_set_pool(max_size=None)` makes it a proxy without a pool."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2)
    proxy._set_pool(max_size=None)
    assert [proxy.number, in_thread(lambda: proxy.number)] == [0, 1]
    assert proxy._pool is None


def test_wrong_pool_parameter_is_an_error(keep: Keep, factory: Factory) -> None:
    """A parameter that no pool has is an error, at the latest when the pool is made."""

    def build() -> None:
        proxy = keep(ppp.Proxy(fun=factory, max_size=1, nonsense=1))
        proxy._get_obj()

    with pytest.raises((TypeError, ppp.PPPException), match="nonsense"):
        build()


def test_thread_gets_and_keeps_its_object(keep: Keep, factory: Factory) -> None:
    """A thread always has the same object until it returns it; two threads at once have two."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))
    mine = proxy._get_obj()
    assert proxy._get_obj() is mine
    with held_elsewhere(proxy) as theirs:
        assert theirs is not mine
        assert proxy._get_obj() is mine
        assert proxy._nobjs == 2
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            in_thread(proxy._get_obj, 0)
    proxy._ret_obj()
    assert not proxy._has_obj()


def test_returned_object_serves_the_next_thread(keep: Keep, factory: Factory) -> None:
    """Threads that return their object share one, one after the other."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))

    def work() -> int:
        number: int = proxy.number
        proxy._ret_obj()
        return number

    assert [in_thread(work) for _ in range(5)] == [0] * 5
    assert proxy._pool.stats()["nuses"] == 5


def test_dead_thread_keeps_its_object(keep: Keep, factory: Factory) -> None:
    """Without `reclaim`, an object drawn by a thread stays with it after the thread has ended."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    assert in_thread(lambda: proxy.number) == 0
    gc.collect()
    with pytest.raises(ppp.TimeOut, match="timeout after"):
        proxy._get_obj(timeout=0.02)
    assert proxy._pool.stats()["nusing"] == 1


def test_timeout_of_get_and_of_pool(keep: Keep, factory: Factory) -> None:
    """The time given to `_get_obj` or `_obj` counts, otherwise the pool's; 0 doesn't wait."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=0.02))
    with held_elsewhere(proxy):
        for draw in (proxy._get_obj, lambda: proxy.number, lambda: proxy._get_obj(timeout=0)):
            with pytest.raises(ppp.TimeOut, match="timeout after"):
                draw()
        with pytest.raises(ppp.TimeOut, match="timeout after"), proxy._obj(timeout=0):
            pytest.fail("nothing was free")
    assert proxy._get_obj(timeout=0) is factory.made[0]


def test_returning_nothing_is_no_error(keep: Keep, factory: Factory, messages: Messages) -> None:
    """`_ret_obj` where there is nothing to give back does nothing and says nothing."""
    pooled = keep(ppp.Proxy(fun=factory, max_size=1))
    for proxy in (pooled, ppp.Proxy(), ppp.Proxy(1), ppp.Proxy(fun=factory, max_size=None)):
        proxy._ret_obj()
        proxy._ret_obj()
    pooled._get_obj()
    pooled._ret_obj()
    pooled._ret_obj()
    assert messages("WARNING") == messages("ERROR") == []
    assert pooled._pool.stats()["navail"] == 1


def test_shared_object_survives_return() -> None:
    """A shared object stays when somebody gives it back."""
    proxy: Any = ppp.Proxy(SimpleNamespace(x=1))
    proxy._ret_obj()
    with proxy._obj() as thing:
        assert thing.x == 1
    assert proxy._has_obj()
    assert proxy.x == 1


def test_invalidate(keep: Keep, factory: Factory) -> None:
    """`_invalidate_obj` closes the object instead of returning it; nothing to invalidate is no error."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, min_size=0, closer=Resource.close))
    proxy._invalidate_obj()
    broken = proxy._get_obj()
    proxy._invalidate_obj()
    assert broken.closings == 1
    assert not proxy._has_obj()
    assert proxy._get_obj(timeout=1) is not broken
    assert proxy._pool.stats()["ninvalidated"] == 1


def test_statistics_are_json(keep: Keep, factory: Factory) -> None:
    """The statistics of the pool behind a proxy are readable, as a dictionary and as JSON."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=3, stats=lambda r: {"number": r.number}))
    for _ in range(4):
        with proxy._obj():
            pass
    proxy._get_obj()
    stats = json.loads(str(proxy._pool))
    assert (stats["nuses"], stats["nobjs"], stats["nusing"], stats["max_size"]) == (5, 1, 1, 3)
    assert stats["using"][0]["stats"] == {"number": 0}
    assert json.loads(json.dumps(proxy._pool.stats()))["ncreated"] == 1


def test_pool_ids_count_pools(keep: Keep, factory: Factory) -> None:
    """Pools are numbered one after the other, however many proxies are built between them."""
    first = keep(ppp.Proxy(fun=factory, max_size=1))
    first._get_obj()
    for _ in range(5):
        ppp.Proxy(1)
    second = keep(ppp.Proxy(fun=factory, max_size=1))
    second._get_obj()
    assert second._pool.stats()["id"] == first._pool.stats()["id"] + 1


# Without a pool


def test_without_pool_each_thread_makes_one(factory: Factory) -> None:
    """Without a pool each thread makes and keeps its object, and the numbers are 0, 1, 2…"""
    proxy: Any = ppp.Proxy(fun=factory, max_size=None)
    mine = proxy._get_obj()
    assert [in_thread(lambda: proxy.number) for _ in range(3)] == [1, 2, 3]
    proxy._ret_obj()
    assert proxy._get_obj() is mine
    assert factory.numbers == [0, 1, 2, 3]
    assert proxy._nobjs == 4
    assert proxy._pool is None


def test_without_pool_numbers_are_unique() -> None:
    """Without a pool, threads that make their objects at once get different numbers."""
    barrier = threading.Barrier(16)
    numbers: list[int] = []

    def make(number: int) -> int:
        barrier.wait(5)
        numbers.append(number)
        return number

    proxy: Any = ppp.Proxy(fun=make, max_size=None)
    given = run_all(*[proxy._get_obj] * 16)
    assert sorted(given) == sorted(numbers) == list(range(16))
    assert proxy._nobjs == 16


def test_without_pool_a_failure_is_the_caller_s() -> None:
    """Without a pool, what the function raises reaches the caller, who may try again."""
    fail = [OSError("down")]

    def make(number: int) -> str:
        if fail:
            raise fail.pop()
        return f"object {number}"

    proxy: Any = ppp.Proxy(fun=make, max_size=None)
    with pytest.raises(OSError, match="down"):
        proxy.upper()
    assert not proxy._has_obj()
    assert proxy.upper() == "OBJECT 0"
    assert proxy._nobjs == 1


def test_without_pool_objects_end_with_their_thread() -> None:
    """Without a pool, nothing keeps the object of a thread that has ended."""

    class Thing:
        pass

    proxy: Any = ppp.Proxy(fun=lambda _: Thing(), max_size=None)
    reference = in_thread(lambda: weakref.ref(proxy._get_obj()))
    eventually(lambda: gc.collect() >= 0 and reference() is None)


def test_proxies_without_references_go() -> None:
    """Nothing keeps a proxy that nobody refers to, nor the object that it was given."""

    class Thing:
        pass

    thing = Thing()
    proxies: list[ppp.Proxy[Any]] = [
        ppp.Proxy(),
        ppp.Proxy(thing),
        ppp.Proxy(fun=lambda _: Thing(), max_size=None),
        ppp.Proxy(fun=lambda _: Thing(), scope=ppp.Proxy.Scope.SHARED),
    ]
    proxies[2]._get_obj()
    proxies[3]._get_obj()
    references = [weakref.ref(proxy) for proxy in proxies]
    references.append(weakref.ref(thing))  # type: ignore[arg-type]
    del proxies, thing
    gc.collect()
    assert [reference() for reference in references] == [None] * 5


# One object for the process, made by whoever comes first


def test_shared_function_makes_one() -> None:
    """With scope SHARED, 32 threads at a barrier get one object, made once, without a pool."""
    barrier = threading.Barrier(32)
    numbers: list[int] = []

    def make(number: int) -> object:
        numbers.append(number)
        threading.Event().wait(0.02)  # long enough for everybody to come
        return object()

    def draw() -> Any:
        barrier.wait(5)
        return proxy._get_obj()

    proxy: Any = ppp.Proxy(fun=make, scope=ppp.Proxy.Scope.SHARED)
    assert not proxy._has_obj()
    objects = run_all(*[draw] * 32)
    assert len({id(thing) for thing in objects}) == 1
    assert numbers == [0]
    assert proxy._has_obj()
    assert proxy._nobjs == 1
    assert proxy._pool is None
    proxy._ret_obj()
    assert proxy._get_obj() is objects[0]


def test_shared_function_that_fails_is_tried_again() -> None:
    """With scope SHARED, a function that fails is called again by the next who asks."""
    calls: list[int] = []

    def make(number: int) -> str:
        calls.append(number)
        if len(calls) == 1:
            raise OSError("down")
        return "up"

    proxy: Any = ppp.Proxy(fun=make, scope=ppp.Proxy.Scope.SHARED)
    with pytest.raises(OSError, match="down"):
        proxy.title()
    assert not proxy._has_obj()
    assert proxy.title() == "Up"
    assert len(calls) == 2


# with proxy._obj()


def test_obj_returns_at_the_end(keep: Keep, factory: Factory) -> None:
    """`with proxy._obj()` gives the thread's object, and it is back in the pool afterwards."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    with proxy._obj() as resource:
        assert resource is factory.made[0]
        assert proxy.number == 0
        assert proxy._get_obj() is resource
        assert proxy._pool.stats()["nusing"] == 1
    assert not proxy._has_obj()
    assert proxy._pool.stats()["navail"] == 1


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_obj_returns_when_the_body_raises(keep: Keep, factory: Factory, error: BaseException) -> None:
    """`with proxy._obj()` returns the object also when the body raises, whatever it raises."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    with pytest.raises(type(error)) as raised, proxy._obj():
        raise error
    assert raised.value is error
    assert not proxy._has_obj()
    assert proxy._pool.stats()["navail"] == 1


def test_obj_nested(keep: Keep, factory: Factory) -> None:
    """Nested in one thread, only the outermost `_obj` returns the object, also when an inner one raises."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, retter=Resource.take_back))
    with proxy._obj() as outer:
        with proxy._obj() as inner:
            assert inner is outer
            with contextlib.suppress(ValueError), proxy._obj(timeout=0) as third:
                assert third is outer
                raise ValueError("inner")
            assert proxy._has_obj()
        assert proxy._has_obj()
        assert outer.rets == 0
        assert proxy._pool.stats()["nusing"] == 1
    assert outer.rets == 1
    assert not proxy._has_obj()
    with proxy._obj():
        assert proxy._has_obj()
    assert not proxy._has_obj()
    assert outer.rets == 2


def test_obj_nesting_is_per_thread(keep: Keep, factory: Factory) -> None:
    """Another thread's `_obj` inside this thread's block is an outermost one: it returns its own object."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=2))

    def work() -> Any:
        with proxy._obj() as resource:
            assert resource is not mine
        assert not proxy._has_obj()

    with proxy._obj() as mine:
        in_thread(work)
        assert proxy._get_obj() is mine
        assert proxy._pool.stats()["nusing"] == 1
    assert proxy._pool.stats()["nusing"] == 0


def test_obj_after_drawing(keep: Keep, factory: Factory) -> None:
    """An object drawn before the block is the block's, and goes back at its end."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    assert proxy.number == 0
    with proxy._obj() as resource:
        assert resource is factory.made[0]
    assert not proxy._has_obj()
    assert proxy._pool.stats()["navail"] == 1


def test_return_inside_the_block(keep: Keep, factory: Factory, messages: Messages) -> None:
    """`_ret_obj` inside the block is no error at its end, and the next block counts from the beginning."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    with proxy._obj():
        proxy._ret_obj()
    assert not proxy._has_obj()
    assert messages("WARNING") == []
    with proxy._obj():
        pass
    assert not proxy._has_obj()
    assert proxy._pool.stats()["navail"] == 1


def test_obj_that_gets_nothing(keep: Keep, factory: Factory) -> None:
    """A block that could not have an object leaves no trace: the next one returns its object."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1))
    with held_elsewhere(proxy), pytest.raises(ppp.TimeOut, match="timeout after"), proxy._obj(timeout=0):
        pytest.fail("nothing was free")
    with proxy._obj(timeout=0):
        assert proxy._has_obj()
    assert not proxy._has_obj()


def test_obj_of_shared_and_of_no_pool(factory: Factory) -> None:
    """`_obj` works where there is no pool: nothing is returned."""
    for proxy in (ppp.Proxy(SimpleNamespace(number=0)), ppp.Proxy(fun=factory, max_size=None)):
        with proxy._obj() as thing:
            assert thing.number == 0
        with proxy._obj() as again:
            assert again is thing


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_interrupted_return_leaves_the_thread_without(
    keep: Keep, factory: Factory, error: BaseException
) -> None:
    """A `_ret_obj` that is interrupted leaves the thread without an object that others may have."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=0, retter=Resource.take_back))
    first = proxy._get_obj()
    factory.fails["take_back"] = error
    with pytest.raises(type(error)):
        proxy._ret_obj()
    factory.fails.clear()
    assert not proxy._has_obj()
    with held_elsewhere(proxy) as theirs:
        assert theirs is first or first not in proxy._pool._using
        with pytest.raises(ppp.TimeOut, match="timeout after"):
            proxy._get_obj()
    with proxy._obj():
        pass
    stats = proxy._pool.stats()
    assert (stats["nusing"], stats["sem"]["value"]) == (0, 1)


def test_interrupted_block_leaves_the_thread_without(keep: Keep, factory: Factory) -> None:
    """A block whose return is interrupted leaves no object; the next block returns its own."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=0, retter=Resource.take_back))
    factory.fails["take_back"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), proxy._obj():
        pass
    factory.fails.clear()
    assert not proxy._has_obj()
    with proxy._obj():
        assert proxy._has_obj()
    assert not proxy._has_obj()


def test_failing_retter_is_only_logged(keep: Keep, factory: Factory, messages: Messages) -> None:
    """A hook that fails when the object is returned is logged; the thread is without object."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, retter=Resource.take_back))
    proxy._get_obj()
    factory.fails["take_back"] = OSError("gone")
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert any("exception in retter" in message for message in messages("ERROR"))


def test_return_after_shutdown_of_the_pool(keep: Keep, factory: Factory, messages: Messages) -> None:
    """Giving an object back to a pool that was shut down is harmless; drawing from it is the pool's error."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, closer=Resource.close))
    proxy._get_obj()
    proxy._pool.shutdown()
    before = messages("WARNING")
    proxy._ret_obj()
    assert messages("WARNING") == before
    with pytest.raises(ppp.PoolException, match="shutting down"):
        proxy._get_obj()
    assert factory.alive == []


# Attributes and own names


def test_attributes_are_the_object_s() -> None:
    """Reading, writing and deleting an attribute goes to the object."""
    thing = SimpleNamespace(x=1)
    proxy: Any = ppp.Proxy(thing)
    proxy.x = 2
    proxy.y = 3
    setattr(proxy, "z", 4)  # noqa: B010
    assert thing == SimpleNamespace(x=2, y=3, z=4)
    del proxy.x
    delattr(proxy, "z")
    assert thing == SimpleNamespace(y=3)
    assert not hasattr(proxy, "x")
    with pytest.raises(AttributeError, match=r"SimpleNamespace.*'x'"):
        _ = proxy.x
    with pytest.raises(AttributeError, match="x"):
        del proxy.x


def test_properties_and_slots_are_the_object_s() -> None:
    """Properties with a setter and slots work through the proxy, and what the object refuses is refused."""

    class Account:
        __slots__ = ("cents",)

        def __init__(self) -> None:
            self.cents = 0

        @property
        def euros(self) -> float:
            return self.cents / 100

        @euros.setter
        def euros(self, value: float) -> None:
            self.cents = round(value * 100)

    account = Account()
    proxy: Any = ppp.Proxy(account)
    proxy.euros = 1.5
    assert (account.cents, proxy.cents, proxy.euros) == (150, 150, 1.5)
    del proxy.cents
    assert not hasattr(account, "cents")
    with pytest.raises(AttributeError):
        proxy.dollars = 2


def test_attributes_found_dynamically() -> None:
    """Attributes are found as `getattr` finds them: an object's own `__getattr__` is asked."""
    proxy: Any = ppp.Proxy(Echo())
    assert proxy.anything == "anything"
    assert proxy._anything == "_anything"
    assert getattr(proxy, "not a name") == "not a name"


@pytest.mark.parametrize(
    "name", ["_conn", "_id", "_db", "_count", "__version__", "_lock", "_closed", "_name"]
)
def test_underscore_names_are_the_object_s(name: str, keep: Keep) -> None:
    """Underscore names outside the contract are the object's, to read, write and delete, in every scope."""
    thing = SimpleNamespace(**{name: 1})
    proxies = [
        ppp.Proxy(thing),
        ppp.Proxy(fun=lambda _: thing, max_size=None),
        keep(ppp.Proxy(fun=lambda _: thing, max_size=1)),
        ppp.Proxy(fun=lambda _: thing, scope=ppp.Proxy.Scope.SHARED),
    ]
    for proxy in proxies:
        proxy._get_obj()
        assert getattr(proxy, name) == 1
        setattr(proxy, name, 2)
        assert vars(thing) == {name: 2}
        delattr(proxy, name)
        assert vars(thing) == {}
        setattr(thing, name, 1)


def test_no_underscore_names_beyond_the_contract() -> None:
    """Every underscore name found on the class or an instance is the contract's, or the object's."""
    proxy: Any = ppp.Proxy(Echo())
    found = {*object.__dir__(proxy), *dir(ppp.Proxy)}
    single = {name for name in found if name.startswith("_") and not name.startswith("__")}
    assert single >= OWN - {"_pool", "_fun", "_scope", "_local", "_pool_max_size", "_pool_kwargs"}
    for name in single - OWN:
        assert getattr(proxy, name) == name


def test_own_names_stay_the_proxy_s() -> None:
    """The contract's names are the proxy's, even where the object has attributes of the same names."""
    thing = SimpleNamespace(**dict.fromkeys(OWN, "object's"), set="object's", set_obj="", set_fun="")
    proxy: Any = ppp.Proxy(thing)
    assert proxy._get_obj() is thing
    for name in OWN | {"set", "set_obj", "set_fun"}:
        assert getattr(proxy, name) != "object's"


def test_public_names_of_the_class_do_not_hide_the_object_s() -> None:
    """`Scope` and `Local` of the class can be reached on the class."""
    assert ppp.Proxy.Scope.AUTO.name == "AUTO"
    assert ppp.Proxy.Local().__class__ is ppp.Proxy.Local


# Subclasses


class Reference(ppp.Proxy[Any]):
    """A subclass in the manner of programs: its own constructor, attributes, methods and properties."""

    label = "none"
    calls = 0

    def __init__(self, label: str, **parameters: Any) -> None:
        self.label = label
        self._mine = "before"
        super().__init__(set_name="configure", **parameters)
        self.later = "after"

    def describe(self) -> str:
        """Use the subclass's attribute and the object's."""
        self.calls += 1
        return f"{self.label}: {self.x}"

    @property
    def shout(self) -> str:
        """Be computed from the subclass's attribute."""
        return self.label.upper()

    @classmethod
    def named(cls, label: str) -> Reference:
        """Build one."""
        return cls(label)

    @staticmethod
    def helper() -> str:
        """Be a function of the class."""
        return "help"


class Deeper(Reference):
    """A subclass of the subclass, with special methods of its own."""

    def __init__(self, thing: Any) -> None:
        super().__init__("deep", obj=thing)
        self.depth = 2

    def __len__(self) -> int:
        return 42

    def __str__(self) -> str:
        return f"deeper {self.depth}"

    def describe(self) -> str:
        """Extend the inherited method."""
        return super().describe() + "!"


def test_subclass_methods_and_attributes() -> None:
    """Methods, properties and attributes of a subclass are the proxy's, everything else the object's."""
    thing = SimpleNamespace(x=1, other=2)
    proxy: Any = Reference("books", obj=thing)
    assert proxy.describe() == "books: 1"
    assert (proxy.label, proxy.shout, proxy.helper(), proxy.later, proxy._mine) == (
        "books",
        "BOOKS",
        "help",
        "after",
        "before",
    )
    assert proxy.calls == 1
    assert vars(thing) == {"x": 1, "other": 2}
    assert isinstance(Reference.named("empty"), Reference)


def test_subclass_attributes_are_written_to_the_proxy() -> None:
    """What a subclass declares in its body or assigns in its constructor stays the proxy's to write."""
    thing = SimpleNamespace(x=1)
    proxy: Any = Reference("books", obj=thing)
    proxy.label = "shelf"
    proxy.later = "still"
    proxy._mine = "too"
    assert vars(thing) == {"x": 1}
    assert (proxy.label, proxy.later, proxy._mine) == ("shelf", "still", "too")
    proxy.x = 5
    proxy.fresh = 6
    assert vars(thing) == {"x": 5, "fresh": 6}
    other: Any = Reference("other", obj=thing)
    assert (other.label, proxy.label) == ("other", "shelf")
    del proxy.label
    assert proxy.label == "none"


def test_subclass_names_do_not_leak() -> None:
    """Names declared by one subclass stay the object's for other proxies."""
    thing = SimpleNamespace(label="object's", later="object's", depth="object's", _mine="object's")
    Reference("books", obj=thing)
    plain: Any = ppp.Proxy(thing)
    assert plain.label == plain.later == plain._mine == "object's"
    reference: Any = Reference("books", obj=thing)
    assert reference.depth == "object's"


def test_subclass_with_function_and_pool(keep: Keep) -> None:
    """A subclass works with a function set later, and a pool."""
    proxy = keep(Reference("late", max_size=1))
    assert proxy.configure_fun(lambda number: SimpleNamespace(x=number)) is proxy
    assert proxy.describe() == "late: 0"
    proxy.label = "early"
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert proxy.label == "early"


def test_deeper_subclass() -> None:
    """A subclass of a subclass inherits its names and may define special methods, which win."""
    thing = SimpleNamespace(x=1)
    proxy: Any = Deeper(thing)
    assert proxy.describe() == "deep: 1!"
    assert len(proxy) == 42
    assert str(proxy) == "deeper 2"
    assert (proxy.depth, proxy.label) == (2, "deep")
    assert vars(thing) == {"x": 1}
    proxy.depth = 3
    assert str(proxy) == "deeper 3"


def test_subclass_overriding_the_contract(keep: Keep, factory: Factory) -> None:
    """A subclass may extend the contract's own methods, and writing to the proxy inside them works."""

    class Counting(ppp.Proxy[Any]):
        returned = 0

        def _ret_obj(self) -> None:
            self.returned += 1
            super()._ret_obj()

    proxy = keep(Counting(fun=factory, max_size=1))
    proxy._get_obj()
    proxy._ret_obj()
    assert proxy.returned == 1
    assert not proxy._has_obj()


def test_subclass_without_constructor_and_with_slots() -> None:
    """A subclass that declares slots keeps them."""

    class Slotted(ppp.Proxy[Any]):
        __slots__ = ("note",)
        note: str

    thing = SimpleNamespace(x=1)
    proxy: Any = Slotted(thing)
    proxy.note = "mine"
    assert proxy.note == "mine"
    assert vars(thing) == {"x": 1}


def test_generic_subscript() -> None:
    """`Proxy[T]` is the class for type checkers, and works at run time."""
    proxy: Any = ppp.Proxy[list[int]]([1, 2])
    assert proxy == [1, 2]
