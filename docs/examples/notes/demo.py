"""A few thousand concurrent requests to the notes application, and a look at what became of them.

`python demo.py` sends them, checks that every note written can be read back, prints a table, and ends with
status 0, or 1 if anything was lost. `python demo.py --serve` leaves the application running, with a page that
shows its pool live.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import database
from app import create_app
from database import db
from flask import Flask
from tqdm import tqdm
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

HOST = "127.0.0.1"
PATIENCE = 10.0
"""Seconds that a client waits for an answer."""
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n"


class Quiet(WSGIRequestHandler):
    """Answers without a line in the log for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class Meter:
    """Counts the connections in use at once; its methods are the pool's `getter` and `retter`."""

    def __init__(self) -> None:
        """Start with none in use."""
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def lent(self, connection: object) -> None:
        """Count a connection lent."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def returned(self, connection: object) -> None:
        """Count a connection returned."""
        with self._lock:
            self._now -= 1


@dataclass
class Tally:
    """What one client has done."""

    written: dict[int, str] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Client:
    """One client of the application, in one thread."""

    def __init__(self, port: int, tally: Tally) -> None:
        """Prepare a connection, which opens with the first request.

        Args:
            port: the server's.
            tally: where to note what is done.
        """
        self.tally = tally
        self.connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)

    def ask(self, expected: int, method: str, path: str, body: object = None) -> Any:
        """Send a request and give the JSON of its answer, or None after an error, which is noted."""
        data = None if body is None else json.dumps(body).encode()
        start = time.perf_counter()
        try:
            self.connection.request(method, path, data, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.tally.latencies.append(time.perf_counter() - start)
            self.tally.errors.append(f"{method} {path}: {error!r}")
            return None
        self.tally.latencies.append(time.perf_counter() - start)
        if response.status != expected:
            self.tally.errors.append(f"{method} {path}: status {response.status}")
            return None
        return json.loads(answer)

    def work(self, numbers: Iterable[int], until: float) -> None:
        """Write a note at each third request, read an own one or a few of everybody's at the others."""
        mine = self.tally.written
        last = 0
        try:
            for number in numbers:
                if time.monotonic() > until:
                    break
                if number % 3 == 0 or not mine:
                    text = f"note of request {number}"
                    note = self.ask(201, "POST", "/notes", {"text": text})
                    if note is not None:
                        last = note["id"]
                        mine[last] = text
                elif number % 3 == 1:
                    note = self.ask(200, "GET", f"/notes/{last}")
                    if note is not None and note["text"] != mine[last]:
                        self.tally.errors.append(f"note {last} is not what was written")
                else:
                    self.ask(200, "GET", f"/notes?after={max(0, last - 10)}&limit=10")
        finally:
            self.connection.close()

    def read_all(self) -> dict[int, str]:
        """Read every note, page by page."""
        found: dict[int, str] = {}
        try:
            while page := self.ask(200, "GET", f"/notes?after={max(found, default=0)}&limit=500"):
                if not page["notes"]:
                    break
                found.update((note["id"], note["text"]) for note in page["notes"])
        finally:
            self.connection.close()
        return found


def check(written: dict[int, str], found: dict[int, str]) -> list[str]:
    """Say which of the notes written can't be read back as they were.

    Args:
        written: text by id, as the application has acknowledged.
        found: text by id, as read at the end.
    """
    return [
        f"note {number} is lost" if number not in found else f"note {number} is not what was written"
        for number, text in sorted(written.items())
        if found.get(number) != text
    ]


@contextmanager
def serving(app: Flask) -> Iterator[int]:
    """Run the application in a threaded server on a free port, which is given."""
    server = make_server(HOST, 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="server", daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(PATIENCE)


def load(port: int, requests: int, clients: int, seconds: float) -> list[Tally]:
    """Send the requests from that many threads, within that many seconds, behind a progress bar."""
    tallies = [Tally() for _ in range(clients)]
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(clients) as threads, tqdm(total=requests, unit=" requests") as bar:
        pending = {
            threads.submit(Client(port, tally).work, range(first, requests, clients), until)
            for first, tally in enumerate(tallies)
        }
        while pending:
            done, pending = wait(pending, timeout=0.1)
            bar.update(sum(len(tally.latencies) for tally in tallies) - bar.n)
            for future in done:
                future.result()
    return tallies


def report(
    tallies: Sequence[Tally], lost: Sequence[str], stats: dict[str, Any], most: int, took: float
) -> None:
    """Print the table."""
    latencies = sorted(1000 * latency for tally in tallies for latency in tally.latencies)
    written = sum(len(tally.written) for tally in tallies)
    rows = {
        "requests": f"{len(latencies)}",
        "requests a second": f"{len(latencies) / took:.0f}",
        "errors": f"{sum(len(tally.errors) for tally in tallies)}",
        "notes written": f"{written}",
        "notes read back": f"{written - len(lost)}",
        "connections made": f"{stats['ncreated']}",
        "most in use at once": f"{most} of {stats['max_size']}",
        "waits for a connection": f"{stats['nwaits']}",
        "latency, median": f"{latencies[len(latencies) // 2]:.1f} ms",
        "latency, 99th percentile": f"{latencies[len(latencies) * 99 // 100]:.1f} ms",
    }
    for name, value in rows.items():
        print(f"  {name:<26}{value:>12}")


def demo(folder: Path, requests: int, clients: int, seconds: float, max_size: int) -> int:
    """Send the requests, check what became of them, and give the program's status."""
    meter = Meter()
    app = create_app(
        {
            "DATABASE": folder / "notes.db",
            "POOL_MAX_SIZE": max_size,
            "POOL_TIMEOUT": PATIENCE,
            "POOL_GETTER": meter.lent,
            "POOL_RETTER": meter.returned,
        }
    )
    try:
        with serving(app) as port:
            print(f"{clients} clients, {max_size} connections at most, http://{HOST}:{port}/", flush=True)
            start = time.monotonic()
            tallies = load(port, requests, clients, seconds)
            took = time.monotonic() - start
            reader = Client(port, Tally())
            found = reader.read_all()
        assert db._pool is not None
        stats = db._pool.stats()
    finally:
        database.close()

    lost = check({number: text for tally in tallies for number, text in tally.written.items()}, found)
    sent = sum(len(tally.latencies) for tally in tallies)
    if sent < requests:
        print(f"stopped after {seconds:g} s: {sent} of {requests} requests")
    report(tallies, lost, stats, meter.most, took)

    errors = [*reader.tally.errors, *(error for tally in tallies for error in tally.errors)]
    failures = lost + errors
    if stats["nusing"]:
        failures.append(f"{stats['nusing']} connections were not returned")
    if not failures:
        print("every note written was read back")
        return 0
    print(f"FAILED: {len(lost)} notes lost, {len(errors)} errors", file=sys.stderr)
    for failure in failures[:10]:
        print(f"  {failure}", file=sys.stderr)
    return 1


def serve(folder: Path, port: int, max_size: int) -> int:
    """Run the application until Ctrl-C."""
    app = create_app({"DATABASE": folder / "notes.db", "POOL_MAX_SIZE": max_size})

    @app.get("/slow")
    def slow() -> dict[str, int]:
        """Keep a connection busy for a while: the page's button asks for it."""
        return {"counted": db.execute(SLOW).fetchone()[0]}

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server: BaseWSGIServer = make_server(HOST, port, app, threaded=True, request_handler=Quiet)
    except SystemExit:  # werkzeug has said why
        print(f"To listen on another port: make serve PORT={port + 1}", file=sys.stderr)
        return 1
    with suppress(KeyboardInterrupt):
        print(f"the pool, live: http://{HOST}:{server.port}/ (Ctrl-C ends it)", flush=True)
        server.serve_forever()
    database.close()
    print("stopped")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and give its status."""
    parser = argparse.ArgumentParser(description="The notes application under load, or left running.")
    parser.add_argument("--requests", type=int, default=4000, help="requests to send (default %(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="threads sending them (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=14.0, help="send no more after (default %(default)s)"
    )
    parser.add_argument("--max-size", type=int, default=4, help="most connections (default %(default)s)")
    parser.add_argument("--serve", action="store_true", help="leave the application running instead")
    parser.add_argument(
        "--port", type=int, default=8000, help="with --serve: 0 is a free one (default %(default)s)"
    )
    options = parser.parse_args(arguments)
    if min(options.requests, options.clients, options.max_size) < 1:
        parser.error("requests, clients and connections must be 1 at least")
    with tempfile.TemporaryDirectory(prefix="notes-") as folder:
        if options.serve:
            return serve(Path(folder), options.port, options.max_size)
        return demo(Path(folder), options.requests, options.clients, options.seconds, options.max_size)


if __name__ == "__main__":
    sys.exit(main())
