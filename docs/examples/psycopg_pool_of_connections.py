"""A pool of PostgreSQL connections that survives failures.

    pip install ProxyPatternPool 'psycopg[binary]'
    python psycopg_pool_of_connections.py 'host=127.0.0.1 dbname=test user=test'

Without an argument, libpq's variables (PGHOST, PGDATABASE…) say where the server is.
Everything happens in one table, `ppp_accounts`, which is removed at the end.

- `reset` ends the transaction on return; if that fails, the connection is destroyed.
- `check_after_idle` and `health` test an idle connection before it is lent.
- `invalidate_on` destroys a connection that failed in use.
- `max_lifetime` replaces each within the hour, so that a new server gets its share.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import psycopg

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(conninfo: str, number: int) -> Connection:
    """Open a connection named after its creation number."""
    return psycopg.connect(
        conninfo, connect_timeout=5, application_name=f"accounts {number}"
    )


def healthy(connection: Connection) -> bool:
    """Tell whether the server answers on this connection."""
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error:
        return False
    return True


def make_pool(conninfo: str) -> ppp.Pool[Connection]:
    """Make a pool of at most 4 connections."""
    return ppp.Pool(
        partial(connect, conninfo),
        max_size=4,
        timeout=10.0,
        name="accounts",
        closer=psycopg.Connection.close,
        reset=psycopg.Connection.rollback,
        health=healthy,
        check_after_idle=0.0,  # always, to show it here; 30 seconds will do
        invalidate_on=(psycopg.OperationalError, psycopg.InterfaceError),
        max_lifetime=3600.0,
        tracer=lambda connection: f"backend {connection.info.backend_pid}",
    )


def deposit(pool: ppp.Pool[Connection], amount: int) -> None:
    """Add to the account; without a commit, the end of the block undoes it."""
    with pool.obj() as db:
        db.execute("UPDATE ppp_accounts SET amount = amount + %s", (amount,))
        if amount < 0:
            raise ValueError("no debts here")
        db.commit()


def amount(pool: ppp.Pool[Connection]) -> int:
    """Read the account."""
    with pool.obj() as db:
        row = db.execute("SELECT amount FROM ppp_accounts").fetchone()
        assert row is not None
        return int(row[0])


def cut_all(pool: ppp.Pool[Connection], conninfo: str) -> int:
    """Cut the pool's idle connections, as a restart of the server does."""
    pids = [int(entry["trace"].split()[1]) for entry in pool.stats()["avail"]]
    with psycopg.connect(conninfo, autocommit=True) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    return len(pids)


def main(conninfo: str = "") -> int:
    """Deposit from 8 threads, fail in a transaction, lose connections."""
    with psycopg.connect(conninfo) as setup:
        setup.execute("CREATE TABLE ppp_accounts AS SELECT 0 AS amount")
    try:
        with make_pool(conninfo) as pool:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(lambda _: deposit(pool, 1), range(100)))
            print(f"100 deposits from 8 threads: {amount(pool)}")

            with suppress(ValueError):
                deposit(pool, -50)
            print(f"after a deposit that failed: {amount(pool)}")

            cut = cut_all(pool, conninfo)
            deposit(pool, 1)
            print(f"after {cut} idle connections were cut: {amount(pool)}")

            with suppress(psycopg.OperationalError), pool.obj() as db:
                db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            print(f"after one was cut in use: {amount(pool)}")

            stats = pool.stats()
            print(
                f"refused before lending: {stats['bad_health']},"
                f" broken in use: {stats['ninvalidated']},"
                f" failed resets: {stats['nreset_errors']},"
                f" never more than {stats['max_size']} connections"
            )
    finally:
        with psycopg.connect(conninfo) as setup:
            setup.execute("DROP TABLE ppp_accounts")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
