"""The database: one proxy that every module imports, and what its pool needs to know of SQLite.

Nothing here opens a connection when imported: `db` is empty until `app.create_app` has filled it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

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
    """Create the tables, over a short connection of its own, which no forked worker can inherit.

    The journal mode is kept in the file: with a write-ahead log, readers don't wait for the writer.
    """
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(SCHEMA)


def connect(path: str, busy_timeout: float, number: int) -> Connection:
    """Open a connection for the pool.

    Args:
        path: the database's file.
        busy_timeout: seconds that SQLite waits for another writer.
        number: the pool's number for it.
    """
    # Pooled connections go from thread to thread, one at a time: SQLite's check of the thread must be off.
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
    """Say whether an idle connection still answers (the pool's `health`)."""
    try:
        connection.execute("SELECT 1 FROM notes LIMIT 1").fetchall()
    except sqlite3.Error:
        return False
    return True


def describe(connection: Connection) -> dict[str, int]:
    """Describe a connection in the statistics (the pool's `stats`): plain attributes, it may be in use."""
    return {"number": connection.number, "pid": connection.pid}


def close() -> None:
    """Shut the pool down, if there is one, when the last requests have ended."""
    if db._pool is not None:
        db._pool.shutdown(grace=2.0)
