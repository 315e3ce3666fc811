"""Copies, pickles, other processes: spawned workers and forked children have objects of their own."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from conftest import run_all, run_python
from postgres import PostgresServer, postgres_fixture  # noqa: F401
from proxies import Keep, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Thing:
    """What a picklable function makes."""

    def __init__(self, number: int, name: str = "thing") -> None:
        self.number = number
        self.name = name
        self.closed = False


def make_thing(number: int) -> Thing:
    """Make one, in the process that calls."""
    return Thing(number, f"{os.getpid()}")


def close_thing(thing: Thing) -> None:
    """Close it."""
    thing.closed = True


def connect(dsn: str, name: str, _: int) -> psycopg.Connection[Any]:
    """Connect to PostgreSQL."""
    return psycopg.connect(dsn, application_name=name, autocommit=True)


def disconnect(db: psycopg.Connection[Any]) -> None:
    """Close the connection."""
    db.close()


things: Any = ppp.Proxy(fun=make_thing, max_size=2, closer=close_thing)
"""A proxy at module level, as programs have them."""

db: Any = ppp.Proxy(max_size=2, timeout=20.0, closer=disconnect)
"""Another, which each worker sets."""


# Copies


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_copy_is_the_proxy(clone: Any, keep: Keep) -> None:
    """A copy of a proxy, shallow or deep, is the proxy: unset, with an object, undrawn and drawn."""
    drawn = keep(ppp.Proxy(fun=make_thing, max_size=1))
    drawn._get_obj()
    for proxy in (ppp.Proxy(), ppp.Proxy([1]), ppp.Proxy(fun=make_thing), drawn):
        assert clone(proxy) is proxy
        assert clone({"a": [proxy]})["a"][0] is proxy


def test_copy_of_a_subclass_is_itself() -> None:
    """A copy of a subclass's proxy is that proxy."""

    class Reference(ppp.Proxy[Any]):
        pass

    reference = Reference([1])
    assert copy.deepcopy(reference) is reference


# Pickles


def examine(data: bytes) -> dict[str, Any]:
    """Tell, in a worker, what a pickled proxy is there."""
    proxy: Any = pickle.loads(data)
    found = {
        "type": type(proxy).__name__,
        "text": repr(proxy),
        "fresh": (proxy._nobjs, proxy._pool, proxy._has_obj()),
        "fun": getattr(proxy._fun, "__name__", None),
        "scope": proxy._scope.value,
        "size": proxy._pool_max_size,
        "setter": callable(object.__getattribute__(proxy, "_set")) and _has_setter(proxy),
        "again": pickle.loads(data) is proxy,
    }
    if proxy._fun is not None:
        found["maker"] = (proxy.number, proxy.name == str(os.getpid()))
        if proxy._pool is not None:
            stats = proxy._pool.stats()
            found["stats"] = {key: stats[key] for key in ("max_size", "timeout", "name", "max_use", "nuses")}
            proxy._pool.shutdown()
    return found


def _has_setter(proxy: Any) -> bool:
    try:
        return callable(proxy.put)
    except AttributeError:
        return False


@pytest.fixture(scope="module")
def worker() -> Iterator[ProcessPoolExecutor]:
    """A spawned process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        executor.submit(int).result(30)
        yield executor


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickled_with_its_object(protocol: int, worker: ProcessPoolExecutor) -> None:
    """A proxy around an object carries the object, and is shared again where it comes out."""
    proxy: Any = ppp.Proxy({"a": [1]}, set_name="put")
    found = worker.submit(examine, pickle.dumps(proxy, protocol)).result(30)
    assert (found["type"], found["text"], found["scope"], found["setter"]) == ("Proxy", "{'a': [1]}", 1, True)
    clone: Any = pickle.loads(pickle.dumps(proxy, protocol))
    assert clone == {"a": [1]}
    assert type(clone) is ppp.Proxy


def test_pickle_carries_the_object_of_its_time() -> None:
    """What comes out is the object as it was when it was pickled, whatever became of the proxy since."""
    proxy: Any = ppp.Proxy([1])
    first = pickle.dumps(proxy)
    proxy.append(2)
    second = pickle.dumps(proxy)
    proxy.set(["other"])
    one, two = pickle.loads(first), pickle.loads(second)
    assert one == [1]
    assert two == [1, 2]
    assert proxy == ["other"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickled_as_configuration(protocol: int, keep: Keep, worker: ProcessPoolExecutor) -> None:
    """A proxy of a function travels as its configuration: elsewhere it makes its own objects, on demand."""
    proxy = keep(
        ppp.Proxy(
            fun=make_thing,
            set_name="put",
            max_size=3,
            timeout=0.5,
            closer=close_thing,
            name="books",
            max_use=7,
            reclaim=True,
        )
    )
    mine = proxy._get_obj()
    found = worker.submit(examine, pickle.dumps(proxy, protocol)).result(30)
    assert (found["type"], found["text"][:10], found["scope"], found["setter"]) == (
        "Proxy",
        "<Proxy of ",
        2,
        True,
    )
    assert found["fresh"] == (0, None, False)
    assert (found["fun"], found["size"], found["maker"]) == ("make_thing", 3, (0, True))
    assert found["stats"] == {"max_size": 3, "timeout": 0.5, "name": "books", "max_use": 7, "nuses": 1}
    assert proxy._get_obj() is mine
    assert proxy._nobjs == 1


def test_pickled_parameters_changed_later(worker: ProcessPoolExecutor) -> None:
    """What `_set_pool` and `set_fun` changed travels too."""
    proxy: Any = ppp.Proxy(max_size=3)
    proxy.set_fun(make_thing)
    proxy._set_pool(max_size=1, timeout=0)
    found = worker.submit(examine, pickle.dumps(proxy)).result(30)
    assert found["stats"]["max_size"] == 1
    assert found["stats"]["timeout"] == 0
    assert proxy._pool is None


@pytest.mark.parametrize("scope", ["SHARED", "THREAD", "WERKZEUG"])
def test_pickled_scope(scope: str, worker: ProcessPoolExecutor) -> None:
    """The scope travels, without a pool too."""
    proxy: Any = ppp.Proxy(fun=make_thing, scope=ppp.Proxy.Scope[scope], max_size=None)
    proxy._get_obj()
    found = worker.submit(examine, pickle.dumps(proxy)).result(30)
    assert (found["scope"], found["fresh"], found["maker"]) == (
        ppp.Proxy.Scope[scope].value,
        (0, None, False),
        (0, True),
    )


def test_pickled_unset(worker: ProcessPoolExecutor) -> None:
    """An unset proxy comes out unset, with its parameters."""
    proxy: Any = ppp.Proxy(set_name="put", max_size=4)
    found = worker.submit(examine, pickle.dumps(proxy)).result(30)
    assert (found["text"], found["size"], found["setter"], found["fun"]) == ("<Proxy unset>", 4, True, None)
    assert repr(pickle.loads(pickle.dumps(proxy))) == "<Proxy unset>"


def test_pickled_twice_in_one_pickle() -> None:
    """Two references to a proxy in one pickle come out as one proxy."""
    proxy: Any = ppp.Proxy(fun=make_thing, max_size=None)
    first, second = pickle.loads(pickle.dumps([proxy, proxy]))
    assert first is second
    assert first._fun is make_thing


def make_other(number: int) -> Thing:
    """Make something else."""
    return Thing(number, "other")


def test_pickle_carries_the_configuration_of_its_time() -> None:
    """What comes out is configured as the proxy was when it was pickled, whatever was set before or since."""
    proxy: Any = ppp.Proxy(fun=make_thing, max_size=1)
    first = pickle.dumps(proxy)
    proxy.set_fun(make_other)
    proxy._set_pool(max_size=2)
    second = pickle.dumps(proxy)
    one, two = pickle.loads(first), pickle.loads(second)
    assert (one._fun, one._pool_max_size) == (make_thing, 1)
    assert (two._fun, two._pool_max_size) == (make_other, 2)


class Reference(ppp.Proxy[Any]):
    """A subclass whose constructor takes other parameters."""

    kind = "reference"

    def __init__(self, label: str) -> None:
        self.label = label
        super().__init__(fun=make_thing, max_size=2)

    def describe(self) -> str:
        """Use the subclass's attribute and the object's."""
        return f"{self.label} {self.number}"


def examine_reference(data: bytes) -> tuple[str, str, str, str]:
    """Tell, in a worker where none was built before, what a pickled subclass's proxy is."""
    proxy: Any = pickle.loads(data)
    found = type(proxy).__name__, proxy.kind, proxy.label, proxy.describe()
    proxy.label = "changed"
    assert proxy.label == "changed"
    assert not hasattr(proxy._get_obj(), "label")
    proxy._pool.shutdown()
    return found


def test_pickled_subclass(worker: ProcessPoolExecutor) -> None:
    """A subclass's proxy travels with its class and its own attributes, which are its own there too."""
    found = worker.submit(examine_reference, pickle.dumps(Reference("books"))).result(30)
    assert found == ("Reference", "reference", "books", "books 0")


def test_unpicklable_function_says_so() -> None:
    """Pickling a proxy whose function can't be pickled fails with the function's own error."""
    proxy: Any = ppp.Proxy(fun=lambda _: 1 / 0, max_size=1)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError), match="lambda"):
        pickle.dumps(proxy)
    assert proxy._pool is None


# Spawned workers


def adopt(proxy: Any) -> None:
    """Keep, in a worker, the proxy that came with the initializer."""
    global adopted
    adopted = proxy


adopted: Any = None


def worker_things(_: int) -> tuple[int, str, int, int]:
    """Use the module's proxy in a worker: process, who made the object, pool, objects made."""
    with things._obj():
        return os.getpid(), things.name, things._pool._id, things._nobjs


def worker_adopted(_: int) -> tuple[int, str, int]:
    """Use the pickled proxy in a worker: process, who made the object, objects made."""
    with adopted._obj():
        return os.getpid(), adopted.name, adopted._nobjs


def meet(proxy: Any, barrier: Any) -> tuple[int, list[int], int, int]:
    """Use a proxy in four threads of a worker, at the same time as the other worker; tell whom they had."""

    def work() -> int:
        with proxy._obj():
            return int(proxy.execute("SELECT pg_backend_pid()").fetchone()[0])

    backends = run_all(*[work] * 4)
    barrier.wait(20)  # every worker has its connections now
    (count,) = (
        proxy._get_obj()
        .execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'workers'")
        .fetchone()
    )
    proxy._ret_obj()
    barrier.wait(20)  # nobody leaves before everybody has counted
    return os.getpid(), backends, int(count), int(proxy._pool.stats()["nobjs"])


def start_worker(dsn: str, barrier: Any, pickled: Any) -> None:
    """Set the module's proxy of a worker, as an application does."""
    global meeting
    db.set_fun(functools.partial(connect, dsn, "workers"))
    meeting = barrier
    adopt(pickled)


meeting: Any = None


def worker_connections(pickled: bool) -> tuple[int, list[int], int, int]:
    """Use PostgreSQL through the module's or the pickled proxy."""
    return meet(adopted if pickled else db, meeting)


def test_spawned_workers_use_the_module_s_proxy(keep: Keep) -> None:
    """A proxy at module level, and one sent to workers, have objects made in each spawned process."""
    keep(things)
    things._get_obj()
    mine = things._pool
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=adopt, initargs=(things,)) as workers:
        found = set(workers.map(worker_things, range(8), timeout=30))
        for pid, name, _, made in found:
            assert pid != os.getpid()
            assert name == str(pid)
            assert made == 1
        assert len({pid for pid, *_ in found}) == len(found)
        for pid, name, made in workers.map(worker_adopted, range(8), timeout=30):
            assert name == str(pid)
            assert made == 1
    assert things.name == str(os.getpid())
    assert things._pool is mine
    assert things._nobjs == 1
    things._ret_obj()


@pytest.mark.parametrize("pickled", [False, True], ids=["by module", "by pickle"])
def test_each_worker_has_its_own_connections(postgres: PostgresServer, pickled: bool) -> None:
    """Two spawned workers have a pool each, and PostgreSQL sees at most `max_size` connections of each."""
    proxy: Any = ppp.Proxy(
        fun=functools.partial(connect, postgres.dsn, "workers"), max_size=2, timeout=20.0, closer=disconnect
    )
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    with ProcessPoolExecutor(
        2, mp_context=spawn, initializer=start_worker, initargs=(postgres.dsn, barrier, proxy)
    ) as workers:
        results = list(workers.map(worker_connections, [pickled] * 2, timeout=30))
    assert len({pid for pid, *_ in results} - {os.getpid()}) == 2
    (_, first, _, _), (_, second, _, _) = results
    assert not set(first) & set(second)
    for _, backends, count, made in results:
        assert 1 <= len(set(backends)) <= 2
        assert made <= 2
        assert count <= 4
    assert proxy._pool is None


# Forked children


def test_forked_child_starts_without_object() -> None:
    """A forked child's proxies start without object, except a shared one which was given its object."""
    program = """
    import os, traceback
    import ProxyPatternPool as ppp

    def make(number):
        return [os.getpid(), number]

    closed = []
    pooled = ppp.Proxy(fun=make, max_size=1, timeout=0, closer=closed.append)
    alone = ppp.Proxy(fun=make, max_size=None)
    late = ppp.Proxy(fun=make, scope=ppp.Proxy.Scope.SHARED)
    given = ppp.Proxy(["given"])
    unset = ppp.Proxy()
    local = ppp.Proxy(fun=make, scope=ppp.Proxy.Scope.WERKZEUG, max_size=1, timeout=0, reclaim=True)
    before = [proxy._get_obj() for proxy in (pooled, alone, late, given, local)]
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for proxy in (pooled, alone, late, local):
                assert not proxy._has_obj(), proxy._scope
            assert given._has_obj() and given == ["given"]
            assert repr(unset) == "<Proxy unset>"
            for proxy in (pooled, alone, late, local):
                assert proxy[0] == os.getpid(), (proxy._scope, proxy._get_obj())
            for proxy in (pooled, local):
                proxy._ret_obj()
                assert proxy._get_obj()[0] == os.getpid()
            assert closed == []
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    for proxy, obj in zip((pooled, alone, late, given, local), before):
        assert proxy._get_obj() is obj
    for proxy in (pooled, local):
        proxy._ret_obj()
        assert proxy._pool.stats()["navail"] == 1
        proxy._pool.shutdown()
    print("well")
    """
    done = run_python(program)
    assert (done.returncode, done.stdout.strip()) == (0, "well"), done.stdout + done.stderr


def test_forked_inside_a_block() -> None:
    """A child forked inside `with proxy._obj()` leaves the block without touching the parent's object."""
    program = """
    import os
    import ProxyPatternPool as ppp

    returned = []
    db = ppp.Proxy(fun=lambda number: [os.getpid()], max_size=1, timeout=0, retter=returned.append)
    with db._obj() as mine:
        pid = os.fork()
    if pid == 0:
        ok = returned == [] and not db._has_obj() and db[0] == os.getpid()
        with db._obj(), db._obj():
            pass
        os._exit(0 if ok and not db._has_obj() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert returned == [mine]
    db._pool.shutdown()
    print("well")
    """
    done = run_python(program)
    assert (done.returncode, done.stdout.strip()) == (0, "well"), done.stdout + done.stderr


def test_pickle_while_others_draw() -> None:
    """Pickling a proxy while threads draw and return takes nothing from them."""
    barrier = threading.Barrier(3)
    proxy: Any = ppp.Proxy(fun=make_thing, max_size=2, timeout=10.0)

    def use() -> None:
        barrier.wait(5)
        for _ in range(50):
            with proxy._obj():
                assert isinstance(proxy.number, int)

    def dump() -> None:
        barrier.wait(5)
        for _ in range(50):
            assert pickle.loads(pickle.dumps(proxy))._fun is make_thing

    run_all(use, use, dump)
    assert proxy._pool.stats()["nuses"] == 100
    proxy._pool.shutdown()


def test_pickled_object_of_a_proxy_of_a_namespace() -> None:
    """What the carried object holds travels with it, other proxies included."""
    inner: Any = ppp.Proxy([1])
    clone: Any = pickle.loads(pickle.dumps(ppp.Proxy(SimpleNamespace(db=inner, x=2))))
    assert (clone.x, clone.db) == (2, [1])
    assert isinstance(clone.db, ppp.Proxy)
