"""Raw DB-API connections pooled here and lent to SQLAlchemy, too: one limit for both.

    pip install ProxyPatternPool sqlalchemy
    python sqlalchemy_raw.py

The engine has a `NullPool`: it asks its `creator` for a connection when it needs one,
and closes it afterwards. `creator` is the pool's `get`, and a connection's `close` is
its `ret`.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import ProxyPatternPool as ppp


class Connection(sqlite3.Connection):
    """A connection whose `close` returns it to its pool, which disconnects."""

    pool: ppp.Pool[Connection]

    def close(self) -> None:
        """Return it."""
        self.pool.ret(self)

    def disconnect(self) -> None:
        """Close it (the pool's `closer`)."""
        super().close()


def connect(path: Path, number: int) -> Connection:
    """Open a connection for the pool."""
    return sqlite3.connect(
        path, timeout=10.0, check_same_thread=False, factory=Connection
    )


def main() -> int:
    """Write through SQLAlchemy and beside it, from 8 threads with 3 connections."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ppp.Pool(
            partial(connect, Path(folder) / "test.db"),
            max_size=3,
            timeout=10.0,
            reset=sqlite3.Connection.rollback,
            closer=Connection.disconnect,
        ) as pool,
    ):
        Connection.pool = pool
        engine = create_engine("sqlite://", creator=pool.get, poolclass=NullPool)
        with engine.begin() as orm:
            orm.execute(text("CREATE TABLE t (who TEXT)"))

        def by_sqlalchemy(number: int) -> None:
            with engine.begin() as orm:
                orm.execute(
                    text("INSERT INTO t VALUES (:who)"), {"who": "sqlalchemy"}
                )

        def raw(number: int) -> None:
            with pool.obj() as db, db:  # the second one commits
                db.execute("INSERT INTO t VALUES ('raw')")

        with ThreadPoolExecutor(8) as threads:
            list(
                threads.map(
                    lambda n: by_sqlalchemy(n) if n % 2 else raw(n), range(100)
                )
            )
        with engine.connect() as orm:
            found = orm.execute(
                text("SELECT who, count(*) FROM t GROUP BY who ORDER BY who")
            ).all()
        print(", ".join(f"{who}: {count}" for who, count in found))
        stats = pool.stats()
        print(
            f"{stats['nuses']} uses, {stats['nusing']} in use,"
            f" limit kept: {stats['ncreated'] <= 3}"
        )
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
