"""The example application: requests and their connections, the demo, gunicorn with forked workers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pages
import pytest
from helpers import eventually, run_all
from servers import environ, fetch, run, serving, workshop

NOTES = pages.EXAMPLES / "notes"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """A client of an application whose database is `notes.db`."""
    with pages.imported(NOTES, "app", "database", "notes") as (app, database, _):
        assert (database.db._pool, database.db._has_obj()) == (None, False)
        yield app.create_app({"DATABASE": tmp_path / "notes.db", "POOL_MAX_SIZE": 3}).test_client()
        database.close()


def kept(path: Path) -> list[str]:
    """Read the committed notes over a connection that isn't the pool's."""
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def write(url: str, text: str) -> None:
    """Write a note on a real server, which must have taken it."""
    answer = fetch(f"{url}/notes", json.dumps({"text": text}).encode(), "application/json")
    assert answer == {"id": answer["id"], "text": text}


def test_write_and_read(client: Any, tmp_path: Path) -> None:
    """A note that was written can be read, listed and removed; what is wrong is refused."""
    for number, text in enumerate(["milk", "bread"], 1):
        written = client.post("/notes", json={"text": text})
        assert (written.status_code, written.json) == (201, {"id": number, "text": text})
    assert client.get("/notes/1").json == {"id": 1, "text": "milk"}
    assert client.get("/notes?after=1").json == {"notes": [{"id": 2, "text": "bread"}]}
    assert kept(tmp_path / "notes.db") == ["milk", "bread"]
    assert [client.delete("/notes/1").status_code for _ in range(2)] == [204, 404]
    assert client.get("/notes/1").status_code == 404
    assert [client.post("/notes", json=wrong).status_code for wrong in ({"text": 3}, ["milk"])] == [400, 400]
    assert kept(tmp_path / "notes.db") == ["bread"]


def test_statistics(client: Any) -> None:
    """Before a request nothing is opened; `/stats` takes no connection, and `/health` tells which it has."""
    assert client.get("/stats").json["ncreating"] == 0
    connection = {"number": 0, "pid": os.getpid()}
    assert client.get("/health").json == {"status": "ok", "pid": os.getpid(), "connection": connection}
    for _ in range(2):
        stats = client.get("/stats").json
        assert [stats[key] for key in ("max_size", "navail", "nusing", "nuses")] == [3, 1, 0, 1]
        assert [entry["stats"] for entry in stats["avail"]] == [connection]


def test_demo() -> None:
    """The demo sends its requests, reads every note back, and prints the table; on a slow machine fewer."""
    demo = (sys.executable, NOTES / "demo.py")
    done = run(*demo, "--requests", 400, "--clients", 8, "--seconds", 40, env=environ(NOTES))
    assert "400/400" in done.stderr  # the progress bar
    assert done.stdout.endswith("every note written was read back\n")
    table = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", done.stdout, re.MULTILINE))
    assert (table["requests"], table["errors"]) == ("400", "0")
    assert int(table["notes read back"]) >= 400 // 3
    assert 1 <= int(table["connections made"]) <= 4
    assert re.fullmatch(r"[1-4] of 4", table["most in use at once"])
    assert {"latency, median", "latency, 99th percentile", "waits for a connection"} <= set(table)
    done = run(*demo, "--requests", 1000000, "--clients", 4, "--seconds", 0.5, env=environ(NOTES))
    assert re.search(r"stopped after 0\.5 s: \d+ of 1000000 requests", done.stdout)
    assert done.stdout.endswith("every note written was read back\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve(tmp_path: Path, number: signal.Signals) -> None:
    """`demo.py --serve` stays until it is interrupted, and then ends cleanly."""
    log = tmp_path / "log"
    command = (sys.executable, "demo.py", "--serve", "--port", 0)
    with serving(*command, log=log, end=number, cwd=NOTES, env=environ(NOTES)) as (url, _):
        page = fetch(url)
        assert "prefers-color-scheme: dark" in page
        assert re.findall(r"(?:https?:)?//[a-z]|@import|url\(|<script src", page) == []  # it is whole
        assert fetch(f"{url}slow") == {"counted": 300000}
        write(url, "milk")
    assert len(log.read_text().splitlines()) == 2


def test_serve_on_a_port_in_use(tmp_path: Path) -> None:
    """`make serve` on a port in use says so, names `PORT=`, and ends with a status of its own."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        make = ("make", "serve", f"PORT={port}", f"VENV={workshop(tmp_path, 'demo')}")
        said = run(*make, env=environ(NOTES), expect=2).stderr
    assert f"Port {port} is in use" in said
    assert f"make serve PORT={port + 1}" in said
    assert "Traceback" not in said


def test_gunicorn_preload(tmp_path: Path) -> None:
    """Under gunicorn with preload, each of two forked workers has connections of its own."""
    log, path = tmp_path / "log", tmp_path / "notes.db"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=4"]
    command += ["--bind=127.0.0.1:0", "--worker-tmp-dir", str(tmp_path), "app:create_app()"]
    env = environ(NOTES, NOTES_DATABASE=str(path), NOTES_POOL_MAX_SIZE="2")
    with serving(*command, log=log, says="Shutting down: Master", cwd=NOTES, env=env) as (url, pid):
        workers: set[int] = set()

        def both_answer() -> bool:
            for answer in run_all(*[partial(fetch, f"{url}/health")] * 8):
                assert answer["connection"]["pid"] == answer["pid"]
                workers.add(answer["pid"])
            return len(workers) == 2

        eventually(both_answer, seconds=30.0)
        assert pid not in workers
        run_all(*[partial(write, url, "milk")] * 8)
    assert kept(path) == ["milk"] * 8
    assert re.findall(r".*(?:Traceback|Warning|Error).*", log.read_text()) == []
