"""More than one machine: functions that use a proxy, sent to workers of Dask.

    pip install ProxyPatternPool 'psycopg[binary]' 'dask[distributed]'
    python many_machines_dask.py 'host=127.0.0.1 dbname=test user=test'

Dask moves the work. The proxy that `query` uses travels with it as its configuration,
arrives once in each worker, and makes its own pool there, on demand. The server then
sees at most workers times `max_size` connections: choose `max_size` accordingly, or
put PgBouncer in front of the server.

Here the cluster is two processes on this machine. A real one is
`Client("tcp://scheduler:8786")`; its workers need the same packages.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from functools import partial
from typing import Any

import psycopg
from distributed import Client, LocalCluster

import ProxyPatternPool as ppp

Connection = psycopg.Connection[tuple[Any, ...]]
WORKERS, THREADS, MAX_SIZE = 2, 4, 2

db: ppp.Proxy[Connection] = ppp.Proxy(
    max_size=MAX_SIZE,
    min_size=0,  # this process itself needs no connection
    timeout=30.0,
    closer=psycopg.Connection.close,
)


def connect(conninfo: str, number: int) -> Connection:
    """Open a connection named after the process that has it."""
    return psycopg.connect(
        conninfo, autocommit=True, application_name=f"worker {os.getpid()}"
    )


def query(number: int) -> tuple[int, int]:
    """Run in a worker: return the ids of its process and of the server's."""
    with db._obj():
        row = db.execute("SELECT pg_backend_pid() FROM pg_sleep(0.02)").fetchone()
        assert row is not None
        return os.getpid(), int(row[0])


def main(conninfo: str = "") -> int:
    """Send 80 queries to 2 workers of 4 threads; show the connections of each."""
    db.set_fun(partial(connect, conninfo))
    used: dict[int, set[int]] = defaultdict(set)
    size: dict[str, Any] = {
        "n_workers": WORKERS,
        "threads_per_worker": THREADS,
        "dashboard_address": None,
    }
    workers: Any = LocalCluster
    client_of: Any = Client
    with workers(processes=True, **size) as cluster, client_of(cluster) as client:
        results: Any = client.gather(client.map(query, range(80), pure=False))
    for pid, connection in results:
        used[pid].add(connection)
    for pid, connections in used.items():
        print(f"worker {pid}: {len(connections)} connections")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
