"""A gevent server: each request is a greenlet, and uses one of four sessions.

    pip install ProxyPatternPool gevent
    python gevent_server.py 8000  # http://127.0.0.1:8000/ and /stats, until Ctrl-C

Patch first, before anything makes a lock. Then greenlets can wait in the pool as
threads do.
"""

# ruff: noqa: E402
from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

import ProxyPatternPool as ppp


class Session:
    """A stand-in for a client that must not be used by two greenlets at once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.busy = False

    def ask(self) -> dict[str, Any]:
        """Wait for the network, as a client does: other greenlets run meanwhile."""
        if self.busy:
            raise RuntimeError("used by two greenlets at once")
        self.busy = True
        time.sleep(0.01)
        self.busy = False
        return {"session": self.number}


session: ppp.Proxy[Session] = ppp.Proxy(
    scope=ppp.Proxy.Scope.GEVENT, max_size=4, timeout=5.0
)


def application(
    environ: dict[str, Any], start: Callable[..., Any]
) -> Iterable[bytes]:
    """Answer a request (WSGI)."""
    status = "200 OK"
    body: dict[str, Any] = {}
    try:
        if environ["PATH_INFO"] == "/stats":
            body = session._pool.stats() if session._pool is not None else {}
        else:
            # One greenlet may serve many requests of a connection: return the session
            # after each.
            with session._obj():
                body = session.ask()
    except ppp.TimeOut as error:
        status, body = "503 Service Unavailable", {"error": str(error)}
    start(status, [("Content-Type", "application/json")])
    return [json.dumps(body, default=repr).encode()]


def main(port: int = 8000) -> int:
    """Serve until Ctrl-C."""
    session.set_fun(Session)
    server = WSGIServer(("127.0.0.1", port), application, log=None)
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, server.stop)
    server.start()
    print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    server.serve_forever()
    if session._pool is not None:
        session._pool.shutdown(grace=2.0)
    print("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
