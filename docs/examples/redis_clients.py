"""Redis clients of one connection each, shared by threads: at most four in all.

    pip install ProxyPatternPool redis
    python redis_clients.py redis://127.0.0.1:6379/0

A client with its own connection can keep state between commands (WATCH, MULTI, CLIENT
TRACKING…), and the number of clients at the server is known. The program uses one
key, `ppp-example`, which it removes.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import redis

import ProxyPatternPool as ppp


def connect(url: str, number: int) -> redis.Redis:
    """Make a client with one connection for the pool."""
    return redis.Redis.from_url(
        url, single_connection_client=True, client_name=f"ppp-{number}"
    )


cache: ppp.Proxy[redis.Redis] = ppp.Proxy(
    max_size=4,
    timeout=10.0,
    closer=redis.Redis.close,
    health=redis.Redis.ping,
    check_after_idle=30.0,
)


def increment(_: int) -> None:
    """Add one, in a transaction that fails if another client intervenes."""
    with cache._obj():
        while True:
            with cache.pipeline() as pipe:
                pipe.watch("ppp-example")
                value = int(pipe.get("ppp-example") or 0)
                pipe.multi()
                pipe.set("ppp-example", value + 1)
                try:
                    pipe.execute()
                except redis.WatchError:
                    continue
                return


def main(url: str = "redis://127.0.0.1:6379/0") -> int:
    """Count to 200 with 16 threads."""
    cache.set_fun(partial(connect, url))
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(increment, range(200)))
    with cache._obj():
        names = {client["name"] for client in cache.client_list()}
        print(f"counted to {int(cache.get('ppp-example'))}")
        print(
            "at most 4 clients:"
            f" {len([name for name in names if name.startswith('ppp-')]) <= 4}"
        )
        cache.delete("ppp-example")
    assert cache._pool is not None
    cache._pool.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
