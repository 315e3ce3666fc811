"""Outages: a server that goes away and comes back, in the small by a clock, in the large with PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn, Task, eventually
from postgres import PostgresServer, postgres_fixture  # noqa: F401

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]


class Down(Exception):
    """What the server's client raises while the server is away."""


@pytest.fixture
def server_pool(make_pool: MakePool, factory: Factory, clock: Clock) -> ppp.Pool[Any]:
    """Give a pool of 4, two of them kept alive, whose rounds are called by hand."""
    return make_pool(max_size=4, min_size=2, health=Resource.check, delay=36_000.0)


def test_ten_rounds_without_a_server(server_pool: ppp.Pool[Any], factory: Factory, clock: Clock) -> None:
    """Away for ten rounds: each get fails with the server's error, nothing piles up; then all is well."""
    pool = server_pool
    for resource in factory.made:
        resource.healthy = False
    factory.fails["make"] = Down("no server")
    for number in range(10):
        clock.advance(60)
        attempts = len(factory.numbers)
        pool._hkRound()
        assert len(factory.numbers) - attempts <= 1  # the round stops at the first failure
        for _ in range(3):
            with pytest.raises(Down, match="no server"):
                pool.get(timeout=0)
        stats = pool.stats()
        assert (stats["nobjs"], stats["navail"], stats["nusing"], stats["ntodel"]) == (0, 0, 0, 0), number
        assert stats["sem"] == {"value": 4, "init": 4}
        assert stats["ncreated"] == stats["ndestroys"] == 2
    assert factory.alive == []
    factory.fails.clear()
    clock.advance(60)
    pool._hkRound()
    assert len(factory.alive) == 2
    assert pool.stats()["navail"] == 2
    things = [pool.get(timeout=0) for _ in range(4)]
    for thing in things:
        pool.ret(thing)
    assert pool.stats()["hk_errors"] == 0


def test_health_that_raises_during_an_outage(server_pool: ppp.Pool[Any], factory: Factory) -> None:
    """A health check that raises since the server is gone says no: the objects are replaced."""
    first = list(factory.alive)
    factory.fails["check"] = Down("no server")
    server_pool._hkRound()
    assert [resource.closings for resource in first] == [1, 1]
    stats = server_pool.stats()
    assert stats["hc_errors"] == 2
    assert stats["navail"] == 2
    factory.fails.clear()
    server_pool._hkRound()
    assert len(factory.made) == 4


def test_returns_do_not_each_ask_a_dead_server(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """While creations fail, returns without a housekeeper try at most once a second."""
    pool = make_pool(max_size=4, min_size=3)
    held = pool.get()
    factory.fails["make"] = Down("no server")
    pool.invalidate(pool.get())
    pool.invalidate(pool.get())
    attempts = len(factory.numbers)
    for _ in range(50):
        pool.ret(held)
        held = pool.get()
    assert len(factory.numbers) - attempts <= 1
    clock.advance(1.5)
    for _ in range(50):
        pool.ret(held)
        held = pool.get()
    assert len(factory.numbers) - attempts <= 2
    factory.fails.clear()
    clock.advance(1.5)
    pool.ret(held)
    assert pool.stats()["navail"] == 3


def test_min_size_at_the_start_of_an_outage(make_pool: MakePool, factory: Factory, clock: Clock) -> None:
    """A pool built while the server is away is built, and fills up one round after the server is back."""
    factory.fails["make"] = Down("no server")
    pool = make_pool(max_size=4, min_size=3, delay=36_000.0)
    assert len(factory.numbers) == 1
    assert pool.stats()["nobjs"] == 0
    factory.fails.clear()
    clock.advance(60)
    pool._hkRound()
    assert pool.stats()["navail"] == 3


class Client:
    """Connections to a PostgreSQL under a name of their own, so that the server can count them."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.lock = threading.Lock()
        self.made = 0
        self.closed = 0

    def connect(self, number: int) -> Connection:
        """Connect (a pool's `fun`)."""
        db = psycopg.connect(self.server.dsn, application_name=self.name, autocommit=True)
        with self.lock:
            self.made += 1
        return db

    def close(self, db: Connection) -> None:
        """Disconnect (a pool's `closer`)."""
        with self.lock:
            self.closed += 1
        db.close()


def healthy(db: Connection) -> bool:
    """Ask the server something (a pool's `health`)."""
    return db.execute("SELECT 1").fetchone() == (1,)


def rollback(db: Connection) -> None:
    """Leave nothing behind for the next holder (a pool's `reset`)."""
    db.rollback()


def query(pool: ppp.Pool[Connection]) -> int:
    """Use a connection as a program does, and say which it was."""
    with pool.obj(timeout=10.0) as db:
        row = db.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        return int(row[0])


def test_postgres_stopped_and_started_under_load(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL stopped and started under 8 threads: after recovery no error, and no connection leaked."""
    caplog.set_level("CRITICAL", logger="ppp")
    postgres.start()
    client = Client(postgres, "ppp-outage")
    pool: ppp.Pool[Connection] = ppp.Pool(
        client.connect,
        4,
        2,
        health=healthy,  # sees the idle ones
        invalidate_on=psycopg.OperationalError,  # and this those that are always in use
        closer=client.close,
        delay=0.05,
        timeout=10.0,
    )
    stop = threading.Event()
    lock = threading.Lock()
    phase = "up"
    done: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    kinds: set[type[BaseException]] = set()

    def work() -> None:
        while not stop.is_set():
            now = phase
            try:
                query(pool)
            except Exception as error:
                with lock:
                    errors[now if now == phase else "between"] += 1
                    kinds.add(type(error))
                stop.wait(0.01)  # a program waits, too, before it tries again
            else:
                with lock:
                    done[now] += 1
            stop.wait(0.001)

    tasks = [Task(work) for _ in range(8)]
    for task in tasks:
        task.start()

    def more(counter: Counter[str], number: int) -> bool:
        return counter[phase] > number

    def rounds_since(number: int) -> int:
        return int(pool.stats()["hk_rounds"]) - number

    try:
        for turn in ("first", "second"):
            eventually(partial(more, done, 100))
            phase = f"{turn} outage"
            postgres.stop()
            eventually(partial(more, errors, errors[phase] + 20))
            postgres.start()
            rounds = rounds_since(0)
            eventually(lambda rounds=rounds: rounds_since(rounds) > 2, 10.0)  # type: ignore[misc]
            phase = f"after the {turn} outage"
        eventually(partial(more, done, 200))
        assert 2 <= postgres.connections("ppp-outage") <= 4
    finally:
        stop.set()
        for task in tasks:
            task.result(20.0)
        postgres.start()
    late = {name: count for name, count in errors.items() if name == "up" or name.startswith("after")}
    print(f"\noutage: done {dict(done)}, errors {dict(errors)}")
    assert late == {}
    assert kinds <= {psycopg.OperationalError, psycopg.errors.AdminShutdown, psycopg.errors.CannotConnectNow}
    eventually(lambda: pool.stats()["sem"] == {"value": 4, "init": 4})
    stats = pool.stats()
    assert stats["ncreated"] == client.made
    assert stats["nobjs"] == client.made - client.closed
    eventually(lambda: postgres.connections("ppp-outage") == pool.stats()["nobjs"])
    pool.shutdown(delay=5.0)
    assert client.made == client.closed
    eventually(lambda: postgres.connections("ppp-outage") == 0)


def test_cut_connections_are_found_before_they_are_lent(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """With `check_after_idle`, 8 threads get working connections at the first try after all were cut."""
    caplog.set_level("CRITICAL", logger="ppp")
    postgres.start()
    client = Client(postgres, "ppp-cut")
    pool: ppp.Pool[Connection] = ppp.Pool(
        client.connect, 8, 8, health=healthy, closer=client.close, check_after_idle=0.0, delay=3600.0
    )
    assert pool.stats()["navail"] == 8
    for turn in range(3):
        assert postgres.cut("ppp-cut") == 8
        barrier = threading.Barrier(8)

        def first_try(barrier: threading.Barrier = barrier) -> int:
            with pool.obj(timeout=10.0) as db:
                barrier.wait(10)
                row = db.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                return int(row[0])

        tasks = [Task(first_try) for _ in range(8)]
        for task in tasks:
            task.start()
        backends = {task.result(20.0) for task in tasks}
        assert len(backends) == 8
        eventually(lambda: postgres.connections("ppp-cut") == 8)
        assert pool.stats()["nchecks"] >= 8 * (turn + 1)
    assert client.made == 32
    pool.shutdown()
    assert client.made == client.closed
    eventually(lambda: postgres.connections("ppp-cut") == 0)


def test_rollback_that_fails_destroys_silently(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection whose `reset` fails since the server is gone is destroyed; its holder sees nothing."""
    caplog.set_level("CRITICAL", logger="ppp")
    postgres.start()
    client = Client(postgres, "ppp-reset")

    def begin(db: Connection) -> None:
        db.autocommit = False

    pool: ppp.Pool[Connection] = ppp.Pool(
        client.connect, 2, 1, opener=begin, reset=rollback, closer=client.close, delay=3600.0
    )
    with suppress(psycopg.OperationalError), pool.obj() as db:
        db.execute("SELECT 1")
        assert postgres.cut("ppp-reset") == 1
        db.execute("SELECT 1")
    with pool.obj(timeout=5.0) as again:
        assert again is not db
        assert again.execute("SELECT 2").fetchone() == (2,)
    assert client.closed >= 1
    pool.shutdown()
    assert client.made == client.closed
    eventually(lambda: postgres.connections("ppp-reset") == 0)


def test_drain_after_a_failover(postgres: PostgresServer) -> None:
    """After `drain`, and once what was lent has come back, no connection older than the call is alive."""
    postgres.start()
    client = Client(postgres, "ppp-drain")
    pool: ppp.Pool[Connection] = ppp.Pool(client.connect, 4, 2, closer=client.close)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while not stop.is_set():
            try:
                query(pool)
            except Exception as error:
                errors.append(error)

    tasks = [Task(work) for _ in range(4)]
    for task in tasks:
        task.start()
    try:
        eventually(lambda: pool.stats()["nuses"] > 50)
        with pool.obj() as held:
            before = int(postgres.ask("SELECT extract(epoch FROM clock_timestamp()) * 1000000"))
            pool.drain()
            assert held.execute("SELECT 1").fetchone() == (1,)  # what is lent is left alone
        uses = pool.stats()["nuses"]
        eventually(lambda: pool.stats()["nuses"] > uses + 50)
    finally:
        stop.set()
        for task in tasks:
            task.result(20.0)
    assert errors == []
    old: Callable[[], Any] = lambda: postgres.ask(  # noqa: E731
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ppp-drain'"
        " AND extract(epoch FROM backend_start) * 1000000 < %s",
        before,
    )
    eventually(lambda: old() == 0)
    assert postgres.connections("ppp-drain") == pool.stats()["nobjs"] >= 2
    pool.shutdown()
    eventually(lambda: postgres.connections("ppp-drain") == 0)


def test_waits_end_with_the_outage(make_pool: MakePool, factory: Factory, spawn: Spawn) -> None:
    """Threads that wait behind creations that fail each get the server's own error, none is forgotten."""
    barrier = threading.Barrier(2)

    def fun(number: int) -> Resource:
        barrier.wait(10)
        raise Down("no server")

    pool = make_pool(fun, max_size=1, min_size=0)
    tasks = [spawn(pool.get, 10.0) for _ in range(4)]
    eventually(lambda: pool.stats()["nwaiting"] == 3)
    for _ in tasks:
        barrier.wait(10)
    for task in tasks:
        with pytest.raises(Down):
            task.result()
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert time.monotonic() > 0
