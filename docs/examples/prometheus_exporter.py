"""Show pools to Prometheus, under OpenTelemetry's names (`db.client.connection.*`).

    pip install ProxyPatternPool prometheus-client
    python prometheus_exporter.py 9100  # http://127.0.0.1:9100/metrics, until Ctrl-C

An application uses `PoolCollector` and `show`; `main` runs a pool under a little
load, so that there is something to see. Each scrape reads the pool's own statistics.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

import ProxyPatternPool as ppp

POOL = "db_client_connection_pool_name"
STATE = "db_client_connection_state"


class PoolCollector(Collector):
    """Reads `stats()` of pools, and of the pools behind proxies, once they exist."""

    def __init__(self, *sources: ppp.Pool[Any] | ppp.Proxy[Any]) -> None:
        self.sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield every measure of every pool."""
        pools = (
            source._pool if isinstance(source, ppp.Proxy) else source
            for source in self.sources
        )
        all_stats = [pool.stats() for pool in pools if pool is not None]

        count = GaugeMetricFamily(
            "db_client_connection_count",
            "Connections, by state",
            labels=[POOL, STATE],
        )
        for stats in all_stats:
            count.add_metric([stats["name"], "idle"], stats["navail"])
            count.add_metric([stats["name"], "used"], stats["nusing"])
        yield count

        most = GaugeMetricFamily(
            "db_client_connection_max", "Most connections at once", labels=[POOL]
        )
        for stats in all_stats:
            if stats["max_size"]:  # else there is no limit
                most.add_metric([stats["name"]], stats["max_size"])
        yield most

        for name, text, key in (
            ("idle_min", "Connections kept alive", "min_size"),
            ("pending_requests", "Threads that wait for a connection", "nwaiting"),
        ):
            gauge = GaugeMetricFamily(
                f"db_client_connection_{name}", text, labels=[POOL]
            )
            for stats in all_stats:
                gauge.add_metric([stats["name"]], stats[key])
            yield gauge

        timeouts = CounterMetricFamily(
            "db_client_connection_timeouts",
            "Requests that got no connection in time",
            labels=[POOL],
        )
        for stats in all_stats:
            timeouts.add_metric([stats["name"]], stats["ntimeouts"])
        yield timeouts

        # OpenTelemetry has histograms here. The pool keeps sums: their mean is
        # rate(…_sum) / rate(…_count).
        for name, text, keys in (
            ("create_time", "Seconds to make a connection", ["ncreated"]),
            (
                "wait_time",
                "Seconds waited for a connection, successfully or not",
                ["nuses", "ntimeouts"],
            ),
            (
                "use_time",
                "Seconds from lending a connection to its return",
                ["nuses"],
            ),
        ):
            times = SummaryMetricFamily(
                f"db_client_connection_{name}_seconds", text, labels=[POOL]
            )
            for stats in all_stats:
                times.add_metric(
                    [stats["name"]], sum(stats[key] for key in keys), stats[name]
                )
            yield times


def show(
    port: int, *sources: ppp.Pool[Any] | ppp.Proxy[Any], host: str = "127.0.0.1"
) -> tuple[Any, Any]:
    """Serve `/metrics` in a thread; return the server and the thread."""
    registry = CollectorRegistry()
    registry.register(PoolCollector(*sources))
    return start_http_server(port, host, registry)


def main(port: int = 9100) -> int:
    """Keep two connections busy from four impatient threads, until Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stop = threading.Event()

    def work(pool: ppp.Pool[sqlite3.Connection]) -> None:
        while not stop.is_set():
            with suppress(ppp.TimeOut), pool.obj(timeout=0.02) as db:
                db.execute("SELECT 1").fetchone()
                stop.wait(0.03)

    with ppp.Pool(
        lambda number: sqlite3.connect(":memory:", check_same_thread=False),
        max_size=2,
        closer=sqlite3.Connection.close,
        name="numbers",
    ) as pool:
        threads = [threading.Thread(target=work, args=(pool,)) for _ in range(4)]
        server, serving = show(port, pool)
        try:
            for thread in threads:
                thread.start()
            print(
                f"http://127.0.0.1:{server.server_port}/metrics (Ctrl-C ends it)",
                flush=True,
            )
            serving.join()
        except KeyboardInterrupt:
            print("stopped")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            server.shutdown()
            server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
