"""The database: a proxy that every module imports, and the functions with which its pool handles SQLite.

Importing it opens no connection: `db` is unset until `app.create_app` fills it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

import ProxyPatternPool as ppp

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL
);
"""


class Connection(sqlite3.Connection):
    """A connection that remembers its number in the pool and the process that made it."""

    number = -1
    pid = -1


db: ppp.Proxy[Connection] = ppp.Proxy()


def create_schema(path: str) -> None:
    """Create the tables over a connection of its own, closed before any fork.

    The file keeps its journal mode. With a write-ahead log, readers don't wait for the writer.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)


def fill(path: str, busy_timeout: float, **pool_parameters: Any) -> None:
    """Fill the proxy.

    Args:
        path: the database's file.
        busy_timeout: seconds that SQLite waits for another writer.
        pool_parameters: of the pool, such as `max_size`.
    """
    db._set_obj(None)  # retires the pool of an application made earlier
    db._set_pool(
        reset=Connection.rollback,
        closer=Connection.close,
        health=healthy,
        stats=describe,
        **pool_parameters,
    )
    db.set_fun(partial(connect, path, busy_timeout))


def connect(path: str, busy_timeout: float, number: int) -> Connection:
    """Open a connection for the pool.

    Args:
        path: the database's file.
        busy_timeout: seconds that SQLite waits for another writer.
        number: the pool's creation number.
    """
    # A pooled connection moves between threads, one at a time, which SQLite's own check would refuse.
    connection = sqlite3.connect(path, timeout=busy_timeout, check_same_thread=False, factory=Connection)
    try:
        connection.number, connection.pid = number, os.getpid()
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a write-ahead log
    except BaseException:
        connection.close()
        raise
    return connection


def healthy(connection: Connection) -> bool:
    """Tell whether an idle connection still answers (the pool's `health`)."""
    try:
        connection.execute("SELECT 1 FROM notes LIMIT 1").fetchall()
    except sqlite3.Error:
        return False
    return True


def describe(connection: Connection) -> dict[str, int]:
    """Describe a connection for the statistics (the pool's `stats`); it may be in use."""
    return {"number": connection.number, "pid": connection.pid}


def close() -> None:
    """Shut the pool down, if there is one, once the last requests have ended."""
    if db._pool is not None:
        db._pool.shutdown(grace=2.0)
