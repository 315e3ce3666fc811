"""Scopes: threads, werkzeug, gevent, eventlet, asyncio tasks, and objects that come back by themselves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import threading
import warnings
import weakref
from typing import Any

import pytest
from conftest import Factory, Resource, Task, eventually, run_all, run_python
from proxies import Keep, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

LOCALS = {"WERKZEUG": "werkzeug", "GEVENT": "gevent", "EVENTLET": "eventlet"}


def run(program: str, *args: str) -> str:
    """Run a program of its own, which must end well, and give what it printed."""
    done = run_python(program, *args, seconds=30.0)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_import_is_left_to_the_scope() -> None:
    """Importing the module imports none of the three packages and starts no thread."""
    program = """
    import sys, threading
    import ProxyPatternPool as ppp
    ppp.Proxy(1), ppp.Proxy(fun=str), ppp.Proxy()
    print(sorted({"werkzeug", "gevent", "eventlet", "greenlet"} & set(sys.modules)), threading.active_count())
    """
    assert run(program) == "[] 1"


@pytest.mark.parametrize("scope", LOCALS)
def test_scope_imports_its_package_only(scope: str) -> None:
    """A scope imports the package that it needs, and not the others'."""
    program = """
    import sys
    import ProxyPatternPool as ppp
    proxy = ppp.Proxy(fun=lambda number: [number], scope=ppp.Proxy.Scope[sys.argv[1]], max_size=1)
    assert proxy == [0]
    assert proxy._local.obj == [0]
    proxy._ret_obj()
    assert getattr(proxy._local, "obj", None) is None
    proxy._pool.shutdown()
    print(*sorted({"werkzeug", "gevent", "eventlet"} & set(sys.modules)))
    """
    found = run(program, scope).split()
    assert LOCALS[scope] in found or scope == "WERKZEUG"
    assert not set(found) - {LOCALS[scope]}


GREENLETS = """
import sys

kind = sys.argv[1]
if kind == "gevent":
    from gevent import monkey

    monkey.patch_all()
    import gevent

    spawn, sleep = gevent.spawn, gevent.sleep
    gevent.get_hub().print_exception = lambda *args: None

    def join(job):
        job.join()

else:
    import eventlet

    eventlet.monkey_patch()
    import eventlet.debug

    eventlet.debug.hub_exceptions(False)
    spawn, sleep = eventlet.spawn, eventlet.sleep

    def join(job):
        try:
            job.wait()
        except ValueError:
            pass

import gc, json, time, traceback
import ProxyPatternPool as ppp

scope = ppp.Proxy.Scope[kind.upper()]


class Things:
    def __init__(self):
        self.made, self.closed, self.most = [], [], 0

    def make(self, number):
        sleep(0.001)
        thing = Thing(number)
        self.made.append(thing)
        self.most = max(self.most, len(self.made) - len(self.closed))
        return thing


class Thing:
    def __init__(self, number):
        self.number, self.users = number, 0


def use(proxy):
    thing = proxy._get_obj()
    thing.users += 1
    assert thing.users == 1, "in two hands"
    sleep(0)
    assert proxy._get_obj() is thing
    assert proxy.number == thing.number
    thing.users -= 1


def run(work, indexes):
    jobs = [spawn(work, index) for index in indexes]
    while jobs:
        join(jobs.pop(0))


def share_a_pool():
    things, seen = Things(), []
    proxy = ppp.Proxy(fun=things.make, scope=scope, max_size=3, timeout=10, closer=things.closed.append)

    def work(index):
        for _ in range(5):
            with proxy._obj():
                use(proxy)
            assert not proxy._has_obj()
        seen.append(index)

    run(work, range(12))
    assert sorted(seen) == list(range(12)), seen
    stats = proxy._pool.stats()
    assert (stats["nuses"], stats["nusing"], stats["sem"]["value"]) == (60, 0, 3), stats
    assert things.most <= 3
    proxy._pool.shutdown()
    assert len(things.closed) == len(things.made) <= 3


def without_a_pool():
    things, found = Things(), []
    proxy = ppp.Proxy(fun=things.make, scope=scope, max_size=None)

    def work(index):
        for _ in range(3):
            use(proxy)
        found.append(proxy.number)

    run(work, range(8))
    assert sorted(found) == list(range(8)), found
    assert not proxy._has_obj()
    assert proxy.number == 8


def keep_after_the_end():
    proxy = ppp.Proxy(fun=Things().make, scope=scope, max_size=1, timeout=0.05)
    run(lambda index: proxy.number, [0])
    gc.collect()
    sleep(0.01)
    try:
        proxy._get_obj()
    except ppp.TimeOut:
        proxy._pool.shutdown()
    else:
        raise AssertionError("it came back")


def reclaim():
    things, done = Things(), []
    proxy = ppp.Proxy(
        fun=things.make, scope=scope, max_size=4, timeout=10, closer=things.closed.append, reclaim=True
    )

    def work(index):
        use(proxy)
        done.append(index)
        if index % 3 == 0:
            raise ValueError(index)

    for start in range(0, 300, 10):
        run(work, range(start, start + 10))
    assert sorted(done) == list(range(300)), len(done)
    end = time.monotonic() + 5
    while proxy._pool.stats()["nusing"] and time.monotonic() < end:
        gc.collect()
        sleep(0.001)
    stats = proxy._pool.stats()
    assert (stats["nusing"], stats["sem"]["value"], stats["nuses"]) == (0, 4, 300), stats
    assert things.most <= 4
    proxy._pool.shutdown()
    assert len(things.closed) == len(things.made) <= 4


results = {}
for part in (share_a_pool, without_a_pool, keep_after_the_end, reclaim):
    try:
        part()
    except BaseException:
        results[part.__name__] = traceback.format_exc()
    else:
        results[part.__name__] = "well"
print(json.dumps(results))
"""


@pytest.fixture(scope="module", params=["gevent", "eventlet"])
def greenlets(request: pytest.FixtureRequest) -> dict[str, str]:
    """What became of each part of the program above, run in a patched process of its own."""
    results: dict[str, str] = json.loads(run(GREENLETS, request.param))
    return results


def test_greenlets_share_a_pool(greenlets: dict[str, str]) -> None:
    """Greenlets of a patched program have their own objects of a pool, and wait for one another."""
    assert greenlets["share_a_pool"] == "well"


def test_greenlets_without_pool(greenlets: dict[str, str]) -> None:
    """Without a pool each greenlet makes and keeps its own object."""
    assert greenlets["without_a_pool"] == "well"


def test_dead_greenlet_keeps_its_object(greenlets: dict[str, str]) -> None:
    """Without `reclaim`, a greenlet that has ended keeps its object."""
    assert greenlets["keep_after_the_end"] == "well"


def test_objects_of_ended_greenlets_come_back(greenlets: dict[str, str]) -> None:
    """With `reclaim`, objects come back when their greenlets end, also by an exception."""
    assert greenlets["reclaim"] == "well"


def test_werkzeug_local_in_threads() -> None:
    """With werkzeug's scope threads and contexts have their own objects, and give them back."""
    program = """
    import contextvars, threading
    from concurrent.futures import ThreadPoolExecutor
    import werkzeug.local
    import ProxyPatternPool as ppp

    proxy = ppp.Proxy(fun=lambda number: [number], scope=ppp.Proxy.Scope.WERKZEUG, max_size=4, timeout=10)
    assert proxy._scope is ppp.Proxy.Scope.VERSATILE
    barrier = threading.Barrier(4)

    def work(_):
        mine = proxy._get_obj()
        barrier.wait(5)
        assert proxy._get_obj() is mine
        number = proxy[0]
        proxy._ret_obj()
        assert not proxy._has_obj()
        return number

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(work, range(4))) == [0, 1, 2, 3]

    def in_context():
        return proxy._get_obj()

    first, second = contextvars.Context(), contextvars.Context()
    one, two = first.run(in_context), second.run(in_context)
    assert one is not two
    assert first.run(in_context) is one
    assert not proxy._has_obj()
    first.run(proxy._ret_obj)
    second.run(proxy._ret_obj)
    stats = proxy._pool.stats()
    assert (stats["nusing"], stats["sem"]["value"], stats["nuses"]) == (0, 4, 6), stats
    proxy._pool.shutdown()
    print("well")
    """
    assert run(program) == "well"


def test_flask_requests_with_werkzeug_scope() -> None:
    """In a Flask application each request has its object until the end of its context."""
    program = """
    from concurrent.futures import ThreadPoolExecutor
    import flask
    import ProxyPatternPool as ppp

    scope = ppp.Proxy.Scope.WERKZEUG
    db = ppp.Proxy(fun=lambda number: {"number": number}, scope=scope, max_size=2, timeout=10)
    app = flask.Flask("books")

    @app.get("/number")
    def number():
        before = db._get_obj()
        assert db._get_obj() is before
        return {"number": db["number"]}

    @app.get("/fail")
    def fail():
        db["number"]
        raise ValueError("no")

    @app.teardown_request
    def give_back(error):
        db._ret_obj()

    def ask(index):
        with app.test_client() as client:
            answer = client.get("/number" if index % 4 else "/fail")
            return answer.status_code

    app.logger.disabled = True
    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(ask, range(80)))
    assert codes.count(200) == 60 and codes.count(500) == 20, codes
    stats = db._pool.stats()
    assert (stats["nusing"], stats["nuses"]) == (0, 80) and stats["nobjs"] <= 2, stats
    db._pool.shutdown()
    print("well")
    """
    assert run(program) == "well"


# asyncio


def werkzeug_proxy(keep: Keep, factory: Factory, **parameters: Any) -> Any:
    """Make a proxy with werkzeug's scope."""
    return keep(ppp.Proxy(fun=factory, scope=ppp.Proxy.Scope.WERKZEUG, timeout=5.0, **parameters))


def test_tasks_have_separate_objects(keep: Keep, factory: Factory) -> None:
    """With werkzeug's scope, asyncio tasks that run at once have separate objects."""
    proxy = werkzeug_proxy(keep, factory, max_size=4)

    async def job(go: asyncio.Event) -> Any:
        mine = proxy._get_obj()
        await go.wait()
        assert proxy._get_obj() is mine
        proxy._ret_obj()
        assert not proxy._has_obj()
        return mine

    async def main() -> list[Any]:
        go = asyncio.Event()
        tasks = [asyncio.create_task(job(go)) for _ in range(4)]
        await asyncio.sleep(0)
        assert proxy._pool.stats()["nusing"] == 4
        go.set()
        return await asyncio.gather(*tasks)

    assert {resource.serial for resource in asyncio.run(main())} == {0, 1, 2, 3}
    assert proxy._pool.stats()["nusing"] == 0
    assert not proxy._has_obj()


def test_task_started_after_drawing(keep: Keep, factory: Factory) -> None:
    """A task started after its parent drew an object shares it, and it is for the parent to give it back."""
    proxy = werkzeug_proxy(keep, factory, max_size=3)

    async def child() -> Any:
        found = proxy._get_obj()
        proxy._ret_obj()
        assert not proxy._has_obj()
        return found

    async def nested() -> Any:
        with proxy._obj() as found:
            return found

    async def main() -> None:
        mine = proxy._get_obj()
        assert await asyncio.create_task(child()) is mine
        assert await asyncio.create_task(nested()) is mine
        assert proxy._get_obj() is mine
        assert proxy._pool.stats()["nusing"] == 1
        proxy._ret_obj()
        assert proxy._pool.stats()["nusing"] == 0

    asyncio.run(main())


def test_task_after_its_parent_gave_the_object_back(keep: Keep, factory: Factory) -> None:
    """Once the parent has given it back, an object that its task shared is the task's no more."""
    proxy = werkzeug_proxy(keep, factory, max_size=3)

    async def child(go: asyncio.Event) -> Any:
        before = proxy._get_obj()
        await go.wait()
        return before, proxy._get_obj()

    async def other() -> Any:
        return proxy._get_obj()

    async def main() -> None:
        go = asyncio.Event()
        mine = proxy._get_obj()
        task = asyncio.create_task(child(go))
        await asyncio.sleep(0)
        proxy._ret_obj()
        theirs = await contextvars.Context().run(asyncio.create_task, other())
        assert theirs is mine
        go.set()
        before, after = await task
        assert before is mine
        assert after is not theirs, "in two hands"

    asyncio.run(main())


def test_task_started_inside_a_block(keep: Keep, factory: Factory) -> None:
    """A task started inside its parent's block has blocks of its own, which hold and return their object."""
    proxy = werkzeug_proxy(keep, factory, max_size=3)

    async def child(go: asyncio.Event) -> None:
        await go.wait()
        with proxy._obj() as resource:
            assert resource in proxy._pool._using
        proxy._ret_obj()
        with proxy._obj() as resource:
            assert resource in proxy._pool._using

    async def main() -> None:
        go = asyncio.Event()
        with proxy._obj():
            task = asyncio.create_task(child(go))
            await asyncio.sleep(0)
        go.set()
        await task
        assert proxy._pool.stats()["nusing"] == 0

    asyncio.run(main())


def test_copied_context_after_a_return(keep: Keep, factory: Factory) -> None:
    """Whichever of two contexts gives a shared object back, the other one doesn't go on with it."""
    proxy = werkzeug_proxy(keep, factory, max_size=3)

    def elsewhere() -> Any:
        return contextvars.Context().run(proxy._get_obj)

    def share() -> tuple[Any, contextvars.Context]:
        return proxy._get_obj(), contextvars.copy_context()

    for first in (True, False):
        one = contextvars.Context()
        mine, two = one.run(share)
        assert two.run(proxy._get_obj) is mine
        giver, keeper = (one, two) if first else (two, one)
        task = Task(giver.run, proxy._ret_obj)
        task.start()
        task.result()
        theirs = elsewhere()
        assert keeper.run(proxy._get_obj) is not theirs, "in two hands"
        proxy._pool.shutdown()
        proxy.set_fun(factory)


@pytest.mark.parametrize("fails", [False, True], ids=["returning", "raising"])
def test_objects_of_ended_tasks_come_back(keep: Keep, factory: Factory, fails: bool) -> None:
    """With `reclaim`, the object of a task comes back when the task ends, also by an exception."""
    proxy = werkzeug_proxy(keep, factory, max_size=4, reclaim=True)

    async def job() -> int:
        number: int = proxy.number
        await asyncio.sleep(0)
        assert proxy.number == number
        if fails:
            raise ValueError("no")
        return number

    async def main() -> None:
        for _ in range(50):
            await asyncio.gather(*[asyncio.create_task(job()) for _ in range(4)], return_exceptions=True)

    asyncio.run(main())
    eventually(lambda: gc.collect() >= 0 and proxy._pool.stats()["nusing"] == 0)
    stats = proxy._pool.stats()
    assert (stats["nuses"], stats["ntimeouts"], stats["sem"]["value"]) == (200, 0, 4)
    assert len(factory.made) <= 4


def test_context_that_goes_gives_back(keep: Keep, factory: Factory) -> None:
    """With `reclaim` and werkzeug's scope, the object comes back with the context in which it was drawn."""
    proxy = werkzeug_proxy(keep, factory, max_size=1, reclaim=True)
    context = contextvars.Context()
    context.run(proxy._get_obj)
    gc.collect()
    assert proxy._pool.stats()["nusing"] == 1
    del context
    gc.collect()
    assert proxy._pool.stats()["nusing"] == 0


# Objects that come back by themselves


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_objects_of_ended_threads_come_back(keep: Keep, factory: Factory, scope: str) -> None:
    """With `reclaim`, the object of a thread comes back when the thread ends."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=5.0, scope=ppp.Proxy.Scope[scope], reclaim=True))
    for _ in range(20):
        task = Task(lambda: proxy.number)
        task.start()
        assert task.result() == 0
    eventually(lambda: proxy._pool.stats()["nusing"] == 0)
    assert proxy._pool.stats()["navail"] == 1
    assert len(factory.made) == 1


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_objects_of_failed_threads_come_back(
    keep: Keep, factory: Factory, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `reclaim`, the object of a thread comes back also when an exception ends the thread."""
    failed: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_type))
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=5.0, scope=ppp.Proxy.Scope[scope], reclaim=True))

    def work() -> None:
        proxy._get_obj()
        raise ValueError("no")

    for _ in range(20):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(5)
    assert failed == [ValueError] * 20
    eventually(lambda: proxy._pool.stats()["nusing"] == 0)
    assert len(factory.made) == 1


def test_reclaimed_once_only(keep: Keep, factory: Factory) -> None:
    """With `reclaim`, an object that was given back is not given back again when the thread ends."""
    proxy = keep(
        ppp.Proxy(
            fun=factory,
            max_size=1,
            timeout=5.0,
            reclaim=True,
            retter=Resource.take_back,
            closer=Resource.close,
        )
    )
    returned, go = threading.Event(), threading.Event()

    def work() -> None:
        with proxy._obj():
            pass
        returned.set()
        assert go.wait(5)

    task = Task(work)
    task.start()
    assert returned.wait(5)
    mine = proxy._get_obj()
    go.set()
    task.result()
    gc.collect()
    assert mine.rets == 1
    assert proxy._pool.stats()["nusing"] == 1
    assert proxy._get_obj() is mine
    proxy._ret_obj()
    assert mine.rets == 2


def test_reclaim_runs_the_hooks(keep: Keep, factory: Factory) -> None:
    """With `reclaim`, an object that comes back by itself passes the hooks and limits of any return."""
    proxy = keep(
        ppp.Proxy(
            fun=factory,
            max_size=1,
            min_size=0,
            max_use=2,
            timeout=5.0,
            reclaim=True,
            retter=Resource.take_back,
            closer=Resource.close,
        )
    )
    for _ in range(4):
        task = Task(lambda: proxy.number)
        task.start()
        task.result()
    eventually(lambda: proxy._pool.stats()["nusing"] == 0)
    eventually(lambda: factory.alive == [])
    assert [(made.rets, made.closings) for made in factory.made] == [(2, 1), (2, 1)]
    assert proxy._pool.stats()["nwornout"] == 2


def test_object_taken_out_of_its_thread(keep: Keep, factory: Factory) -> None:
    """With `reclaim`, what a thread drew comes back at its end even if the object is still referred to."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, timeout=5.0, reclaim=True))
    task = Task(proxy._get_obj)
    task.start()
    resource = task.result()
    eventually(lambda: proxy._pool.stats()["navail"] == 1)
    assert proxy._get_obj() is resource


def test_two_thousand_threads(keep: Keep, factory: Factory) -> None:
    """Eight short threads at a time on a pool of 4, none of which gives its object back: no timeout.

    `test_scale.py` has 10,000, four at a time.
    """
    proxy = keep(ppp.Proxy(fun=factory, max_size=4, timeout=20.0, reclaim=True, closer=Resource.close))
    refused: list[BaseException] = []
    ours = {
        "ProxyPatternPool",
        "conftest",
        "threading",
        "_thread",
    }  # others, such as a tracer, may keep threads

    def use() -> None:
        try:
            assert proxy.number < 4
        except BaseException as error:
            refused.append(error)

    def batch(count: int) -> int:
        for _ in range(count // 8):
            threads = [threading.Thread(target=use) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        gc.collect()
        return sum(
            isinstance(thing, weakref.ref) or type(thing).__module__ in ours for thing in gc.get_objects()
        )

    before = batch(400)
    after = batch(1_600)
    assert refused == []
    assert after - before < 100
    eventually(lambda: proxy._pool.stats()["nusing"] == 0)
    stats = proxy._pool.stats()
    assert (stats["nuses"], stats["ntimeouts"], stats["sem"]["value"]) == (2_000, 0, 4)
    assert len(factory.made) <= 4


def test_reclaim_is_off_by_default(keep: Keep, factory: Factory) -> None:
    """Without `reclaim`, threads that end keep their objects, until none is left."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=4, timeout=0))
    for _ in range(4):
        run_all(proxy._get_obj)
    gc.collect()
    with pytest.raises(ppp.TimeOut, match="timeout after"):
        run_all(proxy._get_obj)
    assert proxy._pool.stats()["nusing"] == 4


def test_proxy_that_goes_with_its_threads_running(factory: Factory) -> None:
    """A proxy without references goes away with its pool, also with `reclaim`, and closes what is idle."""
    proxy: Any = ppp.Proxy(fun=factory, max_size=2, reclaim=True, closer=Resource.close)
    with proxy._obj():
        pass
    pool = weakref.ref(proxy._pool)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del proxy
        eventually(lambda: gc.collect() >= 0 and pool() is None)
    assert [warning.category for warning in caught] == [ResourceWarning]
    eventually(lambda: factory.alive == [])
