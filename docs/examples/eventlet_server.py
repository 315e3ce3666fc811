"""An eventlet server: each request is a green thread, and uses one of four sessions.

    pip install ProxyPatternPool eventlet
    python eventlet_server.py 8000  # http://127.0.0.1:8000/ and /stats, until Ctrl-C

Patch first, before anything makes a lock. Then green threads can wait in the pool as
threads do.
"""

# ruff: noqa: E402
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from eventlet import wsgi

import ProxyPatternPool as ppp


class Session:
    """A stand-in for a client that must not be used by two green threads at once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.busy = False

    def ask(self) -> dict[str, Any]:
        """Wait as for the network: other green threads run meanwhile."""
        if self.busy:
            raise RuntimeError("used by two green threads at once")
        self.busy = True
        time.sleep(0.01)
        self.busy = False
        return {"session": self.number}


session: ppp.Proxy[Session] = ppp.Proxy(
    scope=ppp.Proxy.Scope.EVENTLET, max_size=4, timeout=5.0
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
            # One green thread may serve many requests of a connection: return the
            # session after each.
            with session._obj():
                body = session.ask()
    except ppp.TimeOut as error:
        status, body = "503 Service Unavailable", {"error": str(error)}
    start(status, [("Content-Type", "application/json")])
    return [json.dumps(body, default=repr).encode()]


def main(port: int = 8000) -> int:
    """Serve until Ctrl-C."""
    session.set_fun(Session)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listener = eventlet.listen(("127.0.0.1", port))
    print(
        f"http://127.0.0.1:{listener.getsockname()[1]}/ (Ctrl-C ends it)", flush=True
    )
    try:
        wsgi.server(listener, application, log_output=False)
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    if session._pool is not None:
        session._pool.shutdown(grace=2.0)
    print("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
