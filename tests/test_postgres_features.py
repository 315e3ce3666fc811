"""Features with a real PostgreSQL: cut connections, failed resets, drain, resize, worker processes.

What the server itself says (`pg_stat_activity`) decides, not the pool's own account.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Clock, MakePool, Spawn, Task, eventually, run_all
from postgres import PostgresServer, postgres_fixture  # noqa: F401

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PATIENCE = 20.0
NAME = "ppp-features"


class Client:
    """Opens and closes connections under a name, and asks the server which ones there are."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.observer = psycopg.connect(server.dsn, autocommit=True, application_name="observer")

    def connect(self, number: int) -> Connection:
        """Connect (a pool's `fun`)."""
        return psycopg.connect(self.server.dsn, autocommit=True, application_name=NAME)

    def close(self, db: Connection) -> None:
        """Disconnect, and wait until the server knows it, too (a pool's `closer`)."""
        pid = backend(db)
        db.close()
        eventually(lambda: pid not in self.backends(), PATIENCE)

    def backends(self) -> dict[int, float]:
        """List the server's processes for our connections, and when each was started."""
        rows = self.observer.execute(
            "SELECT pid, extract(epoch FROM backend_start) FROM pg_stat_activity WHERE application_name = %s",
            (NAME,),
        )
        return {int(pid): float(start) for pid, start in rows}

    def time(self) -> float:
        """Ask the server for the time."""
        row = self.observer.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        return float(row[0])


@pytest.fixture
def client(postgres: PostgresServer) -> Iterator[Client]:
    client = Client(postgres)
    yield client
    client.observer.close()
    eventually(lambda: postgres.connections(NAME) == 0)


def backend(db: Connection) -> int:
    """The server's process behind a connection, as the client knows it, also when it is gone."""
    return db.info.backend_pid if not db.closed else -1


def healthy(db: Connection) -> bool:
    """Ask the server something (a pool's `health`)."""
    return db.execute("SELECT 1").fetchone() == (1,)


def query(db: Connection) -> int:
    """Use a connection, and say which one it was."""
    row = db.execute("SELECT pg_backend_pid() FROM pg_sleep(0.002)").fetchone()
    assert row is not None
    return int(row[0])


class Traffic:
    """Threads that get, query and return as fast as they can; what goes wrong is kept."""

    def __init__(self, pool: ppp.Pool[Connection], threads: int) -> None:
        self.pool = pool
        self.errors: list[BaseException] = []
        self.done = [0] * threads
        self.stop = threading.Event()
        self.tasks = [Task(self.work, number) for number in range(threads)]

    def work(self, number: int) -> None:
        while not self.stop.is_set():
            try:
                with self.pool.obj(timeout=PATIENCE) as db:
                    query(db)
            except Exception as error:
                self.errors.append(error)
            self.done[number] += 1

    def pass_by(self, times: int = 2) -> None:
        """Wait until each thread has been through that often, hence has returned what it had."""
        before = list(self.done)
        eventually(
            lambda: all(now >= then + times for now, then in zip(self.done, before, strict=True)), PATIENCE
        )

    def __enter__(self) -> Traffic:
        for task in self.tasks:
            task.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for task in self.tasks:
            task.result(PATIENCE)


@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_all_connections_cut(client: Client, clock: Clock, through: str) -> None:
    """With `check_after_idle`, 8 threads get working connections at the first try after all were cut."""
    proxy: ppp.Proxy[Connection] = ppp.Proxy(
        fun=client.connect,
        max_size=8,
        min_size=8,
        health=healthy,
        check_after_idle=30.0,
        closer=psycopg.Connection.close,
    )
    with proxy._obj():
        pool = proxy._pool
    assert pool is not None
    borrow: Callable[[float], Any] = pool.obj if through == "pool" else proxy._obj

    def first_try(barrier: threading.Barrier) -> int:
        with borrow(PATIENCE) as db:
            barrier.wait(PATIENCE)  # each has one at the same time
            return query(db if through == "pool" else proxy._get_obj())

    def all_at_once() -> set[int]:
        barrier = threading.Barrier(8)
        return set(run_all(*[lambda: first_try(barrier)] * 8, seconds=PATIENCE))

    try:
        before = all_at_once()
        assert before == set(client.backends())
        assert pool.stats()["nchecks"] == 0  # used a moment ago

        clock.advance(31.0)
        assert client.server.cut(NAME) == 8
        eventually(lambda: not client.backends())
        after = all_at_once()
        assert len(after) == 8
        assert not after & before
        assert set(client.backends()) == after
        stats = pool.stats()
        assert (stats["nchecks"], stats["bad_health"], stats["ndestroys"]) == (8, 8, 8)
    finally:
        pool.shutdown()


@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_rollback_fails_for_want_of_a_server(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture, through: str
) -> None:
    """A `reset` that fails since the server is gone destroys the connection, and its holder sees nothing."""
    proxy: ppp.Proxy[Connection] = ppp.Proxy(
        fun=lambda number: psycopg.connect(postgres.dsn, application_name=NAME),
        max_size=2,
        min_size=0,
        reset=psycopg.Connection.rollback,
        closer=psycopg.Connection.close,
    )
    try:
        with proxy._obj():
            pool = proxy._pool
        assert pool is not None
        with pool.obj() if through == "pool" else proxy._obj() as db:
            db.execute("SELECT 1")  # begins a transaction
            postgres.stop()
        assert db.closed
        stats = pool.stats()
        assert (stats["nreset_errors"], stats["ndestroys"], stats["nobjs"]) == (1, 1, 0)
        assert stats["sem"] == {"value": 2, "init": 2}
        assert "exception in reset" in caplog.text

        postgres.start()
        with pool.obj(timeout=PATIENCE) as again:
            assert again.execute("SELECT 2").fetchone() == (2,)
        assert pool.stats()["nreset_errors"] == 1
        pool.shutdown()
    finally:
        postgres.start()
    eventually(lambda: postgres.connections(NAME) == 0)


@pytest.mark.parametrize("threads", [1, 6], ids=["some idle", "some waiting"])
def test_drain_during_traffic(client: Client, make_pool: MakePool, threads: int) -> None:
    """After `drain`, and once what was lent has come back, nothing older is alive, and no get has failed."""
    pool = make_pool(client.connect, max_size=4, min_size=4, closer=client.close)
    with Traffic(pool, threads) as traffic:
        for _ in range(3):
            with pool.obj(timeout=PATIENCE) as held:
                traffic.pass_by()
                before = client.time()
                pool.drain()
                traffic.pass_by()
                old = [pid for pid, start in client.backends().items() if start < before]
                assert old == [backend(held)]  # what is lent is left alone
                assert query(held) == backend(held)
            # the closer has waited for the server: at once, none is left
            assert [pid for pid, start in client.backends().items() if start < before] == []
            traffic.pass_by()
            assert len(client.backends()) <= 4
    assert traffic.errors == []
    assert len(client.backends()) == 4  # filled anew
    assert pool.stats()["sem"] == {"value": 4, "init": 4}


def test_resize_serves_waiters_and_no_more(client: Client, make_pool: MakePool, spawn: Spawn) -> None:
    """More room serves waiters without a return; less room serves nobody until the surplus is gone."""
    pool = make_pool(client.connect, max_size=4, closer=client.close)
    served: list[Connection] = [pool.get() for _ in range(4)]

    def wait() -> None:
        served.append(pool.get(timeout=PATIENCE))

    def waiting(number: int) -> bool:
        return bool(pool.stats()["nwaiting"] == number)

    for _ in range(12):
        spawn(wait)
    eventually(lambda: waiting(12))
    assert len(client.backends()) == 4
    pool.resize(max_size=16)
    eventually(lambda: len(served) == 16)
    assert len(client.backends()) == 16

    for number in range(3):
        spawn(wait)
        eventually(partial(waiting, number + 1))
    pool.resize(max_size=2)
    for left in range(15, 1, -1):
        pool.ret(served.pop(0))
        assert len(client.backends()) == left
        assert waiting(3)
    for left in (2, 1, 0):
        db = served.pop(0)
        pool.ret(db)  # not surplus: to the oldest waiter
        eventually(lambda: len(served) == 2)
        assert waiting(left)
        assert db in served
        assert len(client.backends()) == 2
    for db in served:
        pool.ret(db)
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


def test_resize_during_traffic(client: Client, make_pool: MakePool) -> None:
    """From 4 to 16 to 2 under 20 threads: the server never sees more than the limit, and no get fails."""
    pool = make_pool(client.connect, max_size=4, closer=client.close)

    def watch(limit: int) -> None:
        """Look often, while every thread gets and returns; the limit is also reached."""
        most = 0
        for _ in range(4):
            before = list(traffic.done)

            def look(before: list[int] = before) -> bool:
                nonlocal most
                now = len(client.backends())
                assert now <= limit
                most = max(most, now)
                return all(now > then for now, then in zip(traffic.done, before, strict=True))

            eventually(look, PATIENCE)
        assert most == limit

    with Traffic(pool, 20) as traffic:
        eventually(lambda: len(client.backends()) == 4)
        watch(4)

        pool.resize(max_size=16)
        eventually(lambda: len(client.backends()) == 16, PATIENCE)
        watch(16)

        pool.resize(max_size=2)
        alive = [16]

        def shrunk() -> bool:
            alive.append(len(client.backends()))
            assert alive[-1] <= max(2, alive[-2])  # nothing is made while there is a surplus
            return alive[-1] <= 2

        eventually(shrunk, PATIENCE)
        watch(2)
    assert traffic.errors == []
    assert min(traffic.done) >= 12
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


@pytest.mark.parametrize("name", ["process_pool", "many_machines_dask"])
def test_worker_processes(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """A proxy sent to spawned processes, or Dask's, is a pool in each: its limit holds at each moment."""
    log = tmp_path / "log"
    most: Counter[str] = Counter()
    environ = {**os.environ, "PYTHONPATH": str(Path(ppp.__file__).parent)}
    with (
        psycopg.connect(postgres.dsn, autocommit=True) as observer,
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{name}.py"), postgres.dsn],
            env=environ,
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):

        def ended() -> bool:
            rows = observer.execute(
                "SELECT application_name, count(*) FROM pg_stat_activity"
                " WHERE application_name LIKE 'worker %' GROUP BY application_name"
            )
            for worker, count in rows:
                most[worker] = max(most[worker], count)
            return process.poll() is not None

        try:
            eventually(ended, seconds=50.0)
        finally:
            process.kill()
    text = log.read_text()
    assert process.returncode == 0, text
    printed = dict(re.findall(r"(worker \d+): (\d+) connections", text))
    assert len(printed) == 2, text
    assert f"worker {process.pid}" not in printed
    assert set(most) == set(printed)
    assert list(most.values()) == [2, 2]
    assert list(printed.values()) == ["2", "2"], text  # hence none was made in vain
    eventually(
        lambda: (
            postgres.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'worker %%'") == 0
        )
    )
