"""Worker processes, each with its own pool: `ProcessPoolExecutor` with `spawn`.

    pip install ProxyPatternPool 'psycopg[binary]'
    python process_pool.py 'host=127.0.0.1 dbname=test user=test'

The proxy travels to the workers as its configuration, and each worker makes its own
connections on demand. It is sent once, through the executor's `initializer`, and kept
under a global name. Sent with each task, it could be dropped at the end of each task,
and its connections with it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]
WORKERS, THREADS, MAX_SIZE = 2, 6, 2

db: ppp.Proxy[Connection]


def connect(conninfo: str, number: int) -> Connection:
    """Open a connection named after the process that has it."""
    return psycopg.connect(
        conninfo, autocommit=True, application_name=f"worker {os.getpid()}"
    )


def adopt(proxy: ppp.Proxy[Connection], together: Barrier) -> None:
    """Keep the proxy in this worker; wait for the others, so that all have work."""
    global db
    db = proxy
    together.wait(60.0)


def query(_: int) -> int:
    """Return the id of the server process behind this thread's connection."""
    with db._obj():
        row = db.execute("SELECT pg_backend_pid() FROM pg_sleep(0.01)").fetchone()
        assert row is not None
        return int(row[0])


def task(number: int) -> tuple[int, set[int]]:
    """Run in a worker: query from threads; return its id and the connections used."""
    with ThreadPoolExecutor(THREADS) as threads:
        return os.getpid(), set(threads.map(query, range(THREADS)))


def main(conninfo: str = "") -> int:
    """Send 20 tasks to 2 workers; show how many connections each has used."""
    proxy: ppp.Proxy[Connection] = ppp.Proxy(
        fun=partial(connect, conninfo),
        max_size=MAX_SIZE,
        min_size=0,  # this process itself needs no connection
        timeout=30.0,
        closer=psycopg.Connection.close,
    )
    context = multiprocessing.get_context("spawn")
    used: dict[int, set[int]] = defaultdict(set)
    with ProcessPoolExecutor(
        WORKERS,
        mp_context=context,
        initializer=adopt,
        initargs=(proxy, context.Barrier(WORKERS)),
    ) as executor:
        for pid, connections in executor.map(task, range(20)):
            used[pid] |= connections
    for pid, connections in used.items():
        print(f"worker {pid}: {len(connections)} connections")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
