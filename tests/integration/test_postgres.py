"""Pools of connections to a real PostgreSQL: outages, cut connections, drain, resize, worker processes.

What the server itself says (`pg_stat_activity`) decides, not the pool's own account.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows
import pytest
from conftest import Clock, MakePool, Task, eventually, run_all
from helpers_proxy import Keep, keep_fixture  # noqa: F401
from postgres import PostgresServer, postgres_fixture  # noqa: F401

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PATIENCE = 20.0
NAME = "ppp-features"
DOWN = (psycopg.errors.AdminShutdown, psycopg.errors.CannotConnectNow)


class Client:
    """Opens and closes connections under a name, and asks the server which ones there are."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.observe()

    def observe(self) -> None:
        """Connect to look at the server's own account."""
        self.observer = psycopg.connect(self.server.dsn, autocommit=True, application_name="observer")

    def connect(self, number: int) -> Connection:
        """Connect (a pool's `fun`)."""
        return psycopg.connect(self.server.dsn, autocommit=True, application_name=NAME)

    def close(self, db: Connection) -> None:
        """Disconnect, and wait until the server knows it, too (a pool's `closer`)."""
        pid = db.info.backend_pid
        db.close()
        eventually(lambda: pid not in self.backends(), PATIENCE)

    def backends(self) -> dict[int, float]:
        """List the server's processes for our connections, and when each was started."""
        rows = self.observer.execute(
            "SELECT pid, extract(epoch FROM backend_start) FROM pg_stat_activity WHERE application_name = %s",
            (NAME,),
        )
        return {int(pid): float(start) for pid, start in rows}


@pytest.fixture
def client(postgres: PostgresServer) -> Iterator[Client]:
    client = Client(postgres)
    yield client
    client.observer.close()
    eventually(lambda: postgres.connections(NAME) == 0)


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


def test_all_connections_cut(client: Client, clock: Clock, keep: Keep) -> None:
    """With `check_after_idle`, 8 threads get working connections at the first try after all were cut."""
    proxy = keep(
        ppp.Proxy(
            fun=client.connect,
            max_size=8,
            min_size=8,
            health=healthy,
            check_after_idle=30.0,
            closer=psycopg.Connection.close,
        )
    )
    pool = proxy._pool

    def first_try(barrier: threading.Barrier) -> int:
        with proxy._obj(PATIENCE):
            barrier.wait(PATIENCE)  # each has one at the same time
            return query(proxy._get_obj())

    def all_at_once() -> set[int]:
        barrier = threading.Barrier(8)
        return set(run_all(*[lambda: first_try(barrier)] * 8, seconds=PATIENCE))

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
    assert (stats["nchecks"], stats["hc_errors"], stats["ndestroys"]) == (8, 8, 8)


@pytest.mark.parametrize("threads", [1, 6], ids=["some idle", "some waiting"])
def test_drain_during_traffic(client: Client, make_pool: MakePool, threads: int) -> None:
    """After `drain`, and once what was lent has come back, nothing older is alive, and no get has failed."""
    pool = make_pool(client.connect, max_size=4, min_size=4, closer=client.close)
    with Traffic(pool, threads) as traffic:
        for _ in range(3):
            with pool.obj(timeout=PATIENCE) as held:
                traffic.pass_by()
                before = float(client.server.ask("SELECT extract(epoch FROM clock_timestamp())"))
                pool.drain()
                traffic.pass_by()
                old = [pid for pid, start in client.backends().items() if start < before]
                assert old == [query(held)]  # what is lent is left alone
            # the closer has waited for the server: at once, none is left
            assert [pid for pid, start in client.backends().items() if start < before] == []
            traffic.pass_by()
            assert len(client.backends()) <= 4
    assert traffic.errors == []
    assert len(client.backends()) == 4  # filled anew
    assert pool.stats()["sem"] == {"value": 4, "init": 4}


def test_resize_during_traffic(client: Client, make_pool: MakePool) -> None:
    """From 4 to 16 to 2 under 20 threads: the server never sees more than the limit, and no get fails."""
    pool = make_pool(client.connect, max_size=4, closer=client.close)
    limit = 4

    def connected() -> int:
        nonlocal limit
        now = len(client.backends())
        assert now <= limit
        limit = max(now, pool.stats()["max_size"])  # nothing is made while there is a surplus
        return now

    with Traffic(pool, 20) as traffic:
        for size in (4, 16, 2):
            pool.resize(max_size=size)
            limit = max(limit, size)
            while connected() != size:
                traffic.pass_by(1)
            for _ in range(4):
                traffic.pass_by(1)
                assert connected() <= size
    assert traffic.errors == []
    assert min(traffic.done) >= 12
    assert pool.stats()["sem"] == {"value": 2, "init": 2}


def test_outage_under_load(client: Client, make_pool: MakePool, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL stops and starts twice under 8 threads: once it is back no get fails, and nothing leaks."""
    caplog.set_level("CRITICAL", logger="ppp")
    pool = make_pool(
        client.connect,
        4,
        2,
        health=healthy,  # sees the idle ones
        invalidate_on=psycopg.OperationalError,  # and this those that are always in use
        closer=psycopg.Connection.close,
        delay=0.05,
    )
    with Traffic(pool, 8) as traffic:
        for _ in range(2):
            traffic.pass_by(10)
            assert traffic.errors == []
            client.observer.close()
            client.server.stop()
            eventually(lambda: len(traffic.errors) >= 20, PATIENCE)
            client.server.start()
            client.observe()
            last = pool.stats()["hk_rounds"]
            eventually(lambda last=last: pool.stats()["hk_rounds"] >= last + 3, PATIENCE)  # type: ignore[misc]
            traffic.pass_by(2)
            assert {type(error) for error in traffic.errors} <= {psycopg.OperationalError, *DOWN}
            traffic.errors.clear()
            traffic.pass_by(20)
        assert 2 <= len(client.backends()) <= 4
    assert traffic.errors == []
    assert pool.stats()["sem"] == {"value": 4, "init": 4}
    eventually(lambda: len(client.backends()) == pool.stats()["nobjs"])


def test_connection_behind_a_proxy(client: Client, keep: Keep) -> None:
    """A psycopg connection is used through a proxy: transactions, cursors, and its attributes written."""
    db = keep(
        ppp.Proxy(
            fun=lambda _: psycopg.connect(client.server.dsn, application_name=NAME),
            max_size=1,
            closer=psycopg.Connection.close,
        )
    )
    db.execute("CREATE TEMPORARY TABLE note(id serial PRIMARY KEY, text text UNIQUE) ON COMMIT PRESERVE ROWS")
    db.commit()
    with db.transaction():
        db.execute("INSERT INTO note(text) VALUES (%s)", ("one",))
    with contextlib.suppress(psycopg.errors.UniqueViolation), db.transaction():
        db.execute("INSERT INTO note(text) VALUES ('two')")
        db.execute("INSERT INTO note(text) VALUES ('one')")
    with db.cursor() as cursor:
        assert cursor.execute("SELECT text FROM note").fetchall() == [("one",)]
    db.rollback()
    db.autocommit = True
    assert db._get_obj().autocommit is True
    db.row_factory = psycopg.rows.dict_row
    assert db.execute("SELECT text FROM note").fetchone() == {"text": "one"}
    assert db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert isinstance(db, psycopg.Connection)
    assert str(db).startswith("<psycopg.Connection [IDLE]")
    with db as connection:
        connection.execute("INSERT INTO note(text) VALUES ('three')")
    assert db.closed


@pytest.mark.parametrize("name", ["process_pool", "many_machines_dask"])
def test_worker_processes(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """A proxy sent to spawned processes, or Dask's, is a pool in each: its limit holds at each moment."""
    log = tmp_path / "log"
    most: Counter[str] = Counter()
    environ = {**os.environ, "PYTHONPATH": str(Path(ppp.__file__).parent)}
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), postgres.dsn]
    with (
        psycopg.connect(postgres.dsn, autocommit=True) as observer,
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environ, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT
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
    printed = {worker: int(made) for worker, made in re.findall(r"(worker \d+): (\d+) connections", text)}
    assert len(printed) == 2, text
    assert f"worker {process.pid}" not in printed
    assert printed == dict(most) == dict.fromkeys(printed, 2), text  # hence none was made in vain
    eventually(lambda: postgres.connections("worker %") == 0)
