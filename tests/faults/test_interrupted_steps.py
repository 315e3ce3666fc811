"""Steps of a pool and a proxy which something breaks into at one exact place, in a fixed order of events."""

from __future__ import annotations

import _thread
import contextvars
import gc
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import HOUR, Clock, Factory, MakePool, Resource, Spawn, Task, at_rest, run_python, waiting

import ProxyPatternPool as ppp

RLock: Any = _thread.RLock


class Lock(RLock):  # type: ignore[misc]
    """A pool's lock that does something as soon as it has been taken, once."""

    deed: Callable[[], object] | None = None

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        """Take it, then do the deed."""
        taken: bool = super().acquire(*args, **kwargs)
        deed, self.deed = self.deed, None
        if deed is not None:
            deed()
        return taken

    last_deed: Callable[[], object] | None = None
    """What it does when it has been let go of."""

    def __enter__(self) -> bool:
        try:
            return self.acquire()
        except BaseException:
            self.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.release()
        deed, self.last_deed = self.last_deed, None
        if deed is not None:
            deed()


def interrupt(*_: object) -> None:
    """Be a signal handler that ends what goes on."""
    raise KeyboardInterrupt


def lock_of(pool: ppp.Pool[Any]) -> Lock:
    """Give a pool such a lock."""
    lock = pool._lock = Lock()
    return lock


class Refusing(RLock):  # type: ignore[misc]
    """A lock for which somebody waits when an interruption comes."""

    def acquire(self, *_: Any, **__: Any) -> bool:
        """Be interrupted."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("work", ["get", "ret"])
def test_interrupted_before_the_lock(make_pool: MakePool, factory: Factory, work: str) -> None:
    """An interruption while a thread waits for the lock leaves it alone."""
    pool = make_pool(max_size=1)
    lock, resource = pool._lock, pool.get()
    if work == "get":
        pool.ret(resource)
    pool._lock = Refusing()
    discard = pool._discard

    def with_the_lock(*args: Any) -> None:
        pool._lock = lock
        discard(*args)

    pool._discard = with_the_lock  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        pool.get() if work == "get" else pool.ret(resource)
    pool._lock = lock
    del pool._discard
    at_rest(pool, factory)


@pytest.mark.parametrize("work", ["get", "ret", "invalidate", "ret without a look"])
def test_interrupted_with_the_lock(make_pool: MakePool, factory: Factory, work: str) -> None:
    """An interruption just after the lock was taken leaves it free, and nothing lent."""
    pool = make_pool(max_size=2)
    lock = lock_of(pool)
    resource = pool.get() if work != "get" else None
    if work == "ret without a look":
        pool._now = interrupt  # type: ignore[method-assign,assignment]
    else:
        lock.deed = interrupt
    works: dict[str, Callable[[Any], object]] = {"get": lambda _: pool.get(), "invalidate": pool.invalidate}
    with pytest.raises(KeyboardInterrupt):
        works.get(work, pool.ret)(resource)
    vars(pool).pop("_now", None)
    assert not lock._is_owned()
    at_rest(pool, factory)


def test_interrupted_between_making_and_account(make_pool: MakePool, factory: Factory) -> None:
    """An object that was made when an interruption came before it was in the account is closed."""
    pool = make_pool(max_size=1, min_size=0)
    now = pool._now
    made_now = len(factory.made)

    def late() -> float:
        if len(factory.made) > made_now:
            interrupt()
        return now()

    pool._now = late  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pool.get()
    del pool._now
    assert [resource.closings for resource in factory.made] == [1]
    at_rest(pool, factory)


def late_waiter(pool: ppp.Pool[Any], spawn: Spawn, deed: Callable[[], object]) -> Task:
    """Let a thread wait until its time is over; before it can take the lock to leave, do something."""
    main, now, over = threading.current_thread(), pool._now, threading.Event()
    calls: list[float] = []

    def watch() -> float:
        if threading.current_thread() is not main:
            calls.append(now())
            if calls[-1] - calls[0] > 0.25:
                over.set()
        return now()

    pool._now = watch  # type: ignore[method-assign]
    task = spawn(pool.get, timeout=0.3)
    waiting(pool, 1)
    with pool._lock:
        assert over.wait(5)
        deed()
    return task


def test_served_when_the_time_was_over(make_pool: MakePool, spawn: Spawn) -> None:
    """A waiter whose object came after its time, but before it could leave the queue, gets it."""
    pool = make_pool(max_size=1)
    resource = pool.get()
    assert late_waiter(pool, spawn, lambda: pool.ret(resource)).result() is resource
    pool.ret(resource)


def test_evicted_by_somebody_else(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """What has gone between the look at it and the step is evicted once."""
    pool = make_pool(max_size=2, min_size=0, max_avail_delay=1.0, delay=HOUR)
    with pool.obj() as first:
        pass
    clock.advance(2.0)
    lock = lock_of(pool)

    def look() -> float:
        lock.deed = lambda: pool._del(first)
        return clock.now

    records = pool._records

    def and_then() -> Any:
        found = records()
        look()
        return found

    pool._records = and_then  # type: ignore[method-assign]
    pool._hkRound()
    del pool._records
    assert (pool._nrecycled, first.closings) == (0, 1)
    at_rest(pool, factory)


def test_destroyed_by_a_seam_that_fails(factory: Factory) -> None:
    """An object whose `_destroy` fails before the closer is closed all the same, and its permit is free."""

    class Failing(ppp.Pool[Resource]):
        def _destroy(self, obj: Resource) -> None:
            raise KeyboardInterrupt

    pool = Failing(factory, 1, 0, closer=Resource.close)
    with pytest.raises(KeyboardInterrupt):
        pool.invalidate(pool.get())
    assert [resource.closings for resource in factory.made] == [1]
    at_rest(pool, factory)
    pool.shutdown()


def test_interrupted_before_it_is_destroyed(make_pool: MakePool, factory: Factory) -> None:
    """An object that nobody has begun to destroy when an interruption comes is destroyed later, once."""
    pool = make_pool(max_size=1, min_size=0)
    resource = pool.get()
    pool._out(resource)
    dispose = pool._dispose
    lock = lock_of(pool)

    def struck(record: Any) -> None:
        lock.deed = interrupt
        dispose(record)

    pool._dispose = struck  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pool._empty()
    del pool._dispose
    assert resource.alive
    pool._empty()
    assert resource.closings == 1
    at_rest(pool, factory)


def test_retter_that_takes_the_object_out(make_pool: MakePool, factory: Factory) -> None:
    """An object that its own `retter` takes out of the account is destroyed, not made available."""
    pool: ppp.Pool[Resource] = make_pool(max_size=1, min_size=0, retter=lambda resource: pool._out(resource))
    with pool.obj() as resource:
        pass
    assert resource.closings == 1
    at_rest(pool, factory)


def test_objects_of_seams(make_pool: MakePool, factory: Factory) -> None:
    """An object that `_create` has not registered is refused; both that `_new` makes are the pool's."""

    class Foreign(ppp.Pool[Any]):
        def _create(self) -> Any:
            return "foreign"

    class Twice(ppp.Pool[Resource]):
        def _new(self) -> Resource:
            super()._new()
            return super()._new()

    foreign = Foreign(factory, 1, 0)
    with pytest.raises(ppp.PoolException, match="available"):
        foreign.get()
    assert foreign._sem is not None
    assert foreign._sem._value == 1
    twice = Twice(factory, 2, 0, closer=Resource.close)
    lent = twice.get()
    assert (lent, list(twice._avail)) == (factory.made[1], [factory.made[0]])
    twice.ret(lent)
    for pool in (foreign, twice):
        pool.shutdown()


def test_by_hand(make_pool: MakePool) -> None:
    """A foreign object can be destroyed by hand, and what is not examined is not put back."""
    pool = make_pool(max_size=1)
    other = Resource(Factory(), 0, 0)
    pool._destroy(other)
    pool._todel.discard(other)
    assert other.closings == 1
    taken = pool.get()
    pool._todel.add(taken)
    pool._todel.discard(taken)
    assert (taken.alive, len(pool._todel)) == (True, 0)
    with pool.obj() as resource:
        pool._return(resource)
        assert (list(pool._using), repr(pool._using)) == ([resource], f"{{{resource!r}}}")


def test_interrupted_shutdown_closes_all(make_pool: MakePool, factory: Factory) -> None:
    """A shutdown that a closer interrupts closes every object, once."""
    pool = make_pool(max_size=3, min_size=2)
    lent = pool.get()
    factory.fails["close"] = KeyboardInterrupt()
    shut = pool.shutdown

    def close(resource: Resource) -> None:
        resource.closings += 1
        if resource is not lent:
            interrupt()

    pool._closer = close
    with pytest.raises(KeyboardInterrupt):
        shut()
    assert [resource.closings for resource in factory.made] == [1, 1]


def test_interrupted_end_of_an_abandoned_pool(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closer that interrupts the end of an abandoned pool keeps none of the others from being closed."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: seen.append(event.exc_type))

    def close(resource: Resource) -> None:
        resource.closings += 1
        if resource is factory.made[0]:
            interrupt()

    pool = ppp.Pool(factory, 3, 2, closer=close)
    del pool
    gc.collect()
    assert seen == [KeyboardInterrupt]
    assert [resource.closings for resource in factory.made] == [1, 1]


def test_two_threads_start_the_housekeeper(make_pool: MakePool, factory: Factory) -> None:
    """Of two threads that would start a pool's housekeeper, one does."""
    pool = make_pool(max_size=1, min_size=0, delay=HOUR)
    other, pool._housekeeper = pool._housekeeper, None
    lock = lock_of(pool)
    start = pool._start_housekeeper

    def overtaken() -> None:
        lock.deed = lambda: setattr(pool, "_housekeeper", other)
        start()

    pool._start_housekeeper = overtaken  # type: ignore[method-assign]
    with pool.obj():
        assert pool._housekeeper is other


def test_interrupted_start_of_the_housekeeper(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constructor that is interrupted as it starts the housekeeper leaves no open object."""
    monkeypatch.setattr(_thread, "start_new_thread", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ppp.Pool(factory, 1, 1, delay=HOUR, closer=Resource.close)
    assert [resource.closings for resource in factory.made] == [1]


def test_blocks_without_a_constructor(make_pool: MakePool) -> None:
    """A block that was interrupted in its constructor goes quietly."""
    for block in (make_pool(max_size=1).obj(), ppp.Proxy(fun=str)._obj()):
        cls: Any = type(block)
        cls.__new__(cls)
    gc.collect()


def test_interrupted_entry_of_a_block(make_pool: MakePool, factory: Factory) -> None:
    """A block that is interrupted as it enters gives up what it has got."""
    pool = make_pool(max_size=1)
    get = pool.get

    def late(timeout: float | None = None) -> Any:
        found = get(timeout)
        pool._alive = Late(pool._alive)
        return found

    class Late(dict[int, Any]):
        def __getitem__(self, key: int) -> Any:
            pool._alive = dict(self)
            raise KeyboardInterrupt

    pool.get = late  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pool.obj().__enter__()
    del pool.get
    at_rest(pool, factory)


class Odd(type):
    """A class of exceptions that interrupts whoever asks whether an error is one."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise KeyboardInterrupt


class OddError(Exception, metaclass=Odd):
    """An error of that class."""


def test_interrupted_inner_block(factory: Factory) -> None:
    """An inner block of a proxy that is interrupted as it ends leaves the object to the outer one."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=1, invalidate_on=OddError, closer=Resource.close)
    outer, inner = proxy._obj(), proxy._obj()
    resource = outer.__enter__()
    assert inner.__enter__() is resource
    with pytest.raises(KeyboardInterrupt):
        inner.__exit__(ValueError, ValueError(), None)
    assert proxy._get_obj() is resource
    outer.__exit__(None, None, None)
    assert list(proxy._pool._avail) == [resource]
    proxy._set_obj(None)


def test_lease_ended_as_a_block_enters(factory: Factory) -> None:
    """A block that finds its lease ended by a signal handler draws another object."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2, closer=Resource.close)

    class Place(threading.local):
        """Where a handler comes in between the draw and the look for its lease."""

        asked = 0

        def __getattribute__(self, name: str) -> Any:
            place = super().__getattribute__("__dict__")
            if name == "__dict__":
                Place.asked += 1
                if Place.asked == 3:
                    place["lease"].end(place)
            return super().__getattribute__(name)

    proxy._local = Place()
    with proxy._obj() as resource:
        assert list(proxy._pool._using) == [resource]
    assert list(proxy._pool._avail) == [resource]
    proxy._set_obj(None)


@pytest.mark.parametrize("deed", ["deed", "last_deed"])
@pytest.mark.parametrize("before", ["old", None])
def test_interrupted_setting(before: str | None, deed: str) -> None:
    """A proxy whose setting is interrupted is as it was, or set anew, in all respects."""
    proxy: Any = ppp.Proxy(before)
    lock = object.__getattribute__(proxy, "_state").lock = Lock()
    setattr(lock, deed, interrupt)
    with pytest.raises(KeyboardInterrupt):
        proxy._set_obj(["new"])
    if deed == "deed":
        assert (proxy._has_obj(), str(proxy)) == (before is not None, before or "<Proxy unset>")
    else:
        assert (proxy == ["new"], callable(proxy), len(proxy)) == (True, False, 1)


def test_interrupted_retiring(factory: Factory) -> None:
    """A proxy whose former pool's closer interrupts its setting is set, and all idle objects are closed."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2, min_size=2, closer=Resource.close)

    def close(resource: Resource) -> None:
        resource.closings += 1
        if resource is factory.made[0]:
            interrupt()

    former, proxy._pool._closer = proxy._pool, close
    with pytest.raises(KeyboardInterrupt):
        proxy._set_obj("new")
    assert proxy == "new"
    assert (former._shutdown, [resource.closings for resource in factory.made]) == (True, [1, 1])


def test_thread_that_keeps_its_context(factory: Factory) -> None:
    """What a thread has drawn in its own context comes back when it ends, though its `Thread` is kept."""
    proxy: Any = ppp.Proxy(
        fun=factory, scope=ppp.Proxy.Scope.WERKZEUG, max_size=1, reclaim=True, closer=Resource.close
    )
    thread: Any = threading.Thread(target=proxy._get_obj)
    if sys.version_info < (3, 14):  # as it does by itself since then
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(proxy._get_obj,))
        thread._context = context
    thread.start()
    thread.join()
    gc.collect()
    assert thread._context is not None
    assert list(proxy._pool._avail) == factory.made
    proxy._set_obj(None)


def test_object_put_into_a_context_by_hand() -> None:
    """What a program puts into the local of a context where there was nothing is current there."""
    proxy: Any = ppp.Proxy(fun=str, scope=ppp.Proxy.Scope.WERKZEUG, max_size=None)

    def work() -> Any:
        proxy._local.obj = "mine"
        proxy._local.obj = "mine now"
        return proxy.upper()

    assert contextvars.Context().run(work) == "MINE NOW"
    assert not proxy._has_obj()


# Other threads that come in between


def in_a_thread(work: Callable[[], object]) -> None:
    """Do something in another thread, and wait until it is done."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


class Overtaken(RLock):  # type: ignore[misc]
    """A pool's lock; as soon as it is let go of after a check-out, another thread does something, once."""

    deed: Callable[[], object] | None = None

    def release(self) -> None:
        """Let go, then let the other thread go on."""
        super().release()
        deed, self.deed = self.deed, None
        if deed is not None:
            in_a_thread(deed)


def test_shut_down_between_lending_and_giving(make_pool: MakePool, factory: Factory) -> None:
    """A get that a shutdown overtakes as it ends returns the object that it was lent, which is closed."""
    pool = make_pool(max_size=1)
    lock = pool._lock = Overtaken()
    lock.deed = pool.shutdown
    assert pool.get() is factory.made[0]
    assert factory.made[0].closings == 1


def test_timed_out_as_the_pool_ends(make_pool: MakePool, spawn: Spawn) -> None:
    """A waiter whose time is over as the pool is shut down gets an error of the pool."""
    pool = make_pool(max_size=1)
    pool.get()
    task = late_waiter(pool, spawn, pool.shutdown)
    with pytest.raises(ppp.PoolException):
        task.result()


def test_set_anew_during_a_draw(factory: Factory) -> None:
    """A block during whose draw the proxy is set anew ends the lease that it has drawn."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2, closer=Resource.close)
    former, other = proxy._pool, Factory()
    get = former.get

    def overtaken(timeout: float | None = None) -> Any:
        resource = get(timeout)
        in_a_thread(lambda: proxy.set_fun(other))
        return resource

    former.get = overtaken
    with proxy._obj() as resource:
        assert resource is factory.made[0]
    assert (resource.closings, list(former._using)) == (1, [])
    proxy._set_obj(None)


def test_draw_from_a_pool_that_is_retired_just_then(factory: Factory) -> None:
    """A draw whose pool is retired just then is done again with the new one."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2, closer=Resource.close)
    former, other = proxy._pool, Factory()
    get = former.get

    def overtaken(timeout: float | None = None) -> Any:
        del former.get
        in_a_thread(lambda: proxy.set_fun(other))
        return get(timeout)

    former.get = overtaken
    assert proxy._get_obj() is other.made[0]
    proxy._set_obj(None)


def test_reclaim_leaves_what_is_held_of_a_retired_pool(factory: Factory) -> None:
    """With `reclaim`, setting a proxy anew closes nothing that another thread holds."""
    proxy: Any = ppp.Proxy(fun=factory, reclaim=True, closer=Resource.close)
    held: list[Resource] = []
    drawn, go = threading.Event(), threading.Event()

    def work() -> None:
        held.append(proxy._get_obj())
        drawn.set()
        go.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    assert drawn.wait(5)
    proxy.set_fun(Factory())
    gc.collect()
    assert held[0].alive
    go.set()
    thread.join()
    proxy._set_obj(None)


def test_two_classes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that draws objects of two classes at the same time has the special methods of both."""

    class Sized:
        def __len__(self) -> int:
            return 1

    class Called:
        def __call__(self) -> int:
            return 2

    proxy: Any = ppp.Proxy(fun=lambda number: (Sized, Called)[number](), max_size=None)
    names = vars(ppp)["_special_names"]
    others: list[threading.Thread] = []

    def overtaken(*args: Any) -> Any:
        if not others:
            others.append(threading.Thread(target=proxy._get_obj))
            others[0].start()
            others[0].join(0.3)  # it may have to wait for us
        return names(*args)

    monkeypatch.setattr(ppp, "_special_names", overtaken)
    proxy._get_obj()
    others[0].join(5)
    assert (callable(proxy), hasattr(type(proxy), "__len__")) == (True, True)


def test_another_proxy_that_is_unset(factory: Factory) -> None:
    """A `fun` that uses an unset proxy fails as such, not as if the object had no such attribute."""
    settings: Any = ppp.Proxy()
    for max_size in (0, None):
        proxy: Any = ppp.Proxy(fun=lambda number: settings.url, max_size=max_size, min_size=0)
        with pytest.raises(ppp.ProxyException) as raised:
            hasattr(proxy, "execute")
        assert isinstance(raised.value.__cause__, ppp.ProxyUnset)


def test_kill_before_words(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """What is held too long is taken away before anybody is asked for words about it."""
    killed: list[int] = []

    def trace(_: object) -> str:
        killed.append(pool._nkilled)
        return "it"

    pool: ppp.Pool[Resource] = make_pool(max_size=1, max_using_delay_kill=5.0, delay=HOUR, tracer=trace)
    pool.get()
    clock.advance(10.0)
    killed.clear()
    pool._hkRound()
    assert killed
    assert set(killed) == {1}
    pool._empty()
    at_rest(pool, factory)


def test_short_life(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """What has just been made is lent once, even if its opener took longer than its life."""
    pool = make_pool(
        max_size=1, min_size=0, max_lifetime=1.0, delay=HOUR, opener=lambda _: clock.advance(2.0)
    )
    assert pool.get(timeout=0) is factory.made[0]


def test_numbers_of_the_program() -> None:
    """The random part of a lifetime leaves the program's own random numbers alone."""
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with ppp.Pool(str, 1, max_lifetime=HOUR, delay=HOUR):
        assert random.random() == expected


def test_greenlets_of_gevent_that_make_at_once() -> None:
    """Two greenlets of one unpatched thread make objects at the same time."""
    done = run_python(
        """
        import gevent, ProxyPatternPool as ppp

        def fun(number):
            gevent.sleep(0.02 if number == 0 else 0.04)
            return [number]

        db = ppp.Proxy(fun=fun, scope=ppp.Proxy.Scope.GEVENT, min_size=0, max_size=4)
        greenlets = [gevent.spawn(lambda: list(db._get_obj())) for _ in range(2)]
        gevent.joinall(greenlets)
        print([greenlet.value for greenlet in greenlets])
        db._set_obj(None)
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[[0], [1]]\n", "", 0)
