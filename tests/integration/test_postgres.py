"""Pools of connections to a real PostgreSQL: an outage, a connection behind a proxy, worker processes.

What the server itself says (`pg_stat_activity`) decides, not the pool's own account. What happens when
connections are cut, `test_examples.py` shows; `drain` and `resize`, `pool/test_filling.py` and the storm.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows
import pytest
from conftest import Keep, MakePool
from helpers import eventually, permits, rounds, start
from pages import EXAMPLES
from servers import PATIENCE, Connection, PostgresServer, postgres_fixture, started  # noqa: F401

import ProxyPatternPool as ppp


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The server, of which no connection of a test may be left."""
    yield postgres
    eventually(lambda: not postgres.backends())


def test_outage_under_load(
    server: PostgresServer, make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL stops and starts twice under 8 threads: once it is back no get fails, and nothing leaks."""
    caplog.set_level("CRITICAL", logger="ppp")

    def healthy(db: Connection) -> bool:
        return db.execute("SELECT 1").fetchone() == (1,)

    seen: dict[str, Any] = {"health": healthy, "invalidate_on": psycopg.OperationalError}  # idle, or in use
    pool = make_pool(server.connect, 4, 2, closer=Connection.close, delay=0.05, **seen)
    errors: list[psycopg.OperationalError] = []
    done = [0] * 8
    over = threading.Event()

    def work(number: int) -> None:
        while not over.is_set():
            try:
                with pool.obj(timeout=PATIENCE) as db:
                    db.execute("SELECT pg_sleep(0.002)")
            except psycopg.OperationalError as error:
                errors.append(error)
            done[number] += 1

    def pass_by(times: int) -> None:
        """Wait until each thread has been through that often."""
        goals = [count + times for count in done]
        eventually(lambda: all(map(int.__ge__, done, goals)), PATIENCE)

    tasks = [start(work, number) for number in range(8)]
    for _ in range(2):
        pass_by(10)
        assert errors == []
        server.stop()
        eventually(lambda: len(errors) >= 20, PATIENCE)
        server.start()
        rounds(pool)
        pass_by(2)
        errors.clear()
    pass_by(20)
    assert 2 <= len(server.backends()) <= 4
    over.set()
    for task in tasks:
        task.result(PATIENCE)
    assert (errors, permits(pool)) == ([], (4, 4))
    eventually(lambda: len(server.backends()) == pool.stats()["nobjs"])


def test_connection_behind_a_proxy(server: PostgresServer, keep: Keep) -> None:
    """A psycopg connection is used through a proxy: transactions, cursors, and its attributes written."""
    db = keep(ppp.Proxy(fun=server.connect, max_size=1, closer=Connection.close))
    db.execute("CREATE TEMPORARY TABLE note(text text UNIQUE)")
    for texts in (["one"], ["two", "one"]):
        with contextlib.suppress(psycopg.errors.UniqueViolation), db.transaction(), db.cursor() as cursor:
            cursor.executemany("INSERT INTO note(text) VALUES (%s)", [(text,) for text in texts])
    db.row_factory = psycopg.rows.dict_row
    assert db.execute("SELECT text FROM note").fetchall() == [{"text": "one"}]
    db.autocommit = False
    connection = db._get_obj()
    assert connection.autocommit is False
    assert isinstance(db, psycopg.Connection)
    assert str(db).startswith("<psycopg.Connection [IDLE]")
    with db as entered:
        assert entered is connection
    assert db.closed


@pytest.mark.parametrize("name", ["process_pool", "many_machines_dask"])
def test_worker_processes(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """A proxy sent to spawned processes, or Dask's, is a pool in each: its limit holds at each moment."""
    log = tmp_path / "log"
    most: Counter[str] = Counter()
    names = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'worker %'"
    command = (sys.executable, EXAMPLES / f"{name}.py", postgres.dsn)
    with postgres.connect() as observer, started(*command, log=log, cwd=tmp_path) as process:

        def ended() -> bool:
            nonlocal most
            most |= Counter(worker for (worker,) in observer.execute(names))
            return process.poll() is not None

        eventually(ended, seconds=PATIENCE)
    text = log.read_text()
    assert process.returncode == 0, text
    printed = {worker: int(made) for worker, made in re.findall(r"(worker \d+): (\d+) connections", text)}
    assert len(printed) == 2, text
    assert f"worker {process.pid}" not in printed
    assert printed == dict(most) == dict.fromkeys(printed, 2), text  # hence none was made in vain
    eventually(lambda: not postgres.backends("worker %"))
