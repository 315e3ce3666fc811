"""The example application: requests and their connections, the demo, gunicorn with forked workers."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pages
import pytest
from conftest import eventually, run_all

import ProxyPatternPool as ppp

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "docs" / "examples" / "notes"
PATHS = {"PYTHONPATH": os.pathsep.join([str(NOTES), str(Path(ppp.__file__).parent)])}


class Answer(NamedTuple):
    """What came back from a real server."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


@pytest.fixture
def notes() -> Iterator[tuple[Any, Any]]:
    """Give the maker of applications, and the database."""
    with pages.imported(NOTES, "app", "database", "notes") as (app, database, _):
        yield app.create_app, database.db
        database.db._ret_obj()
        database.close()


def kept(path: Path) -> list[str]:
    """Read the committed notes over a connection that isn't the pool's."""
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def ask(port: int, method: str, path: str, body: object = None) -> Answer:
    """Ask a real server, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        is_json = response.headers.get_content_type() == "application/json"
        return Answer(response.status, response.headers, json.loads(text) if is_json else text)
    finally:
        connection.close()


@contextmanager
def program(log: Path, command: Sequence[str], **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that doesn't end by itself, its texts going to a file."""
    environ = {**os.environ, **PATHS, **environ}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=NOTES, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10.0)


def port_of(log: Path) -> int:
    """Wait until a program tells the address that it serves, and give the port."""
    found = eventually(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()), seconds=20.0)
    return int(found[1])


def connections(stats: dict[str, Any]) -> list[dict[str, int]]:
    """List the descriptions of a pool's connections."""
    return [entry["stats"] for entry in stats["avail"] + stats["using"]]


def test_write_and_read(notes: tuple[Any, Any], tmp_path: Path) -> None:
    """A note that was written can be read, listed and removed; what is wrong is refused."""
    create, _ = notes
    path = tmp_path / "notes.db"
    client = create({"DATABASE": path}).test_client()
    written = client.post("/notes", json={"text": "milk"})
    assert (written.status_code, written.json) == (201, {"id": 1, "text": "milk"})
    assert client.get("/notes/1").json == {"id": 1, "text": "milk"}
    assert client.post("/notes", json={"text": "bread"}).status_code == 201
    assert client.get("/notes?after=1").json == {"notes": [{"id": 2, "text": "bread"}]}
    assert kept(path) == ["milk", "bread"]
    assert [client.delete("/notes/1").status_code for _ in range(2)] == [204, 404]
    assert client.get("/notes/1").status_code == 404
    assert client.post("/notes", json={"text": 3}).status_code == 400
    assert client.post("/notes", json=["milk"]).status_code == 400
    assert kept(path) == ["bread"]


def test_statistics(notes: tuple[Any, Any], tmp_path: Path) -> None:
    """Before a request nothing is opened; `/stats` takes no connection, and `/health` tells which it has."""
    (create, db), pid = notes, os.getpid()
    assert (db._pool, db._has_obj()) == (None, False)
    client = create({"DATABASE": tmp_path / "notes.db", "POOL_MAX_SIZE": 3}).test_client()
    assert client.get("/stats").get_json()["ncreating"] == 0
    connection = {"number": 0, "pid": pid}
    assert client.get("/health").json == {"status": "ok", "pid": pid, "connection": connection}
    for _ in range(2):
        answer = client.get("/stats")
        assert answer.mimetype == "application/json"
        stats = answer.get_json()
        assert [stats[key] for key in ("max_size", "navail", "nusing", "nuses")] == [3, 1, 0, 1]
        assert connections(stats) == [connection]


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo's program to its end, which must be a good one."""
    command = [sys.executable, str(NOTES / "demo.py"), *options]
    done = subprocess.run(command, env={**os.environ, **PATHS}, capture_output=True, text=True, timeout=55.0)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout.endswith("every note written was read back\n")
    return done


def test_demo() -> None:
    """The demo sends its requests, reads every note back, and prints the table; on a slow machine fewer."""
    done = run_demo("--requests", "400", "--clients", "8", "--seconds", "40")
    assert "400/400" in done.stderr  # the progress bar
    table = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", done.stdout, re.MULTILINE))
    assert (table["requests"], table["errors"]) == ("400", "0")
    assert table["notes read back"] == table["notes written"]
    assert int(table["notes written"]) >= 400 // 3
    assert 1 <= int(table["connections made"]) <= 4
    assert re.fullmatch(r"[1-4] of 4", table["most in use at once"])
    assert {"latency, median", "latency, 99th percentile", "waits for a connection"} <= set(table)
    done = run_demo("--requests", "1000000", "--clients", "4", "--seconds", "0.5")
    assert re.search(r"stopped after 0\.5 s: \d+ of 1000000 requests", done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve(tmp_path: Path, number: signal.Signals) -> None:
    """`demo.py --serve` stays until it is interrupted, and then ends cleanly."""
    log = tmp_path / "log"
    with program(log, [sys.executable, "demo.py", "--serve", "--port", "0"]) as process:
        port = port_of(log)
        page = ask(port, "GET", "/").body
        assert "prefers-color-scheme: dark" in page
        assert re.findall(r"(?:https?:)?//[a-z]|@import|url\(|<script src", page) == []  # it is whole
        assert ask(port, "GET", "/slow").body == {"counted": 300000}
        assert ask(port, "POST", "/notes", {"text": "milk"}).status == 201
        process.send_signal(number)
        assert process.wait(10.0) == 0
    assert log.read_text().splitlines()[1:] == ["stopped"]


@pytest.mark.parametrize("through", ["program", "make"])
def test_serve_on_a_port_in_use(through: str, tmp_path: Path) -> None:
    """`make serve` on a port in use says so, names `PORT=`, and ends with a status of its own."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "demo.py", "--serve", "--port", str(port)]
        if through == "make":
            (tmp_path / "bin").mkdir()
            (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            (tmp_path / "bin" / "python").chmod(0o755)
            for stamp in (".stamp-pip", ".stamp-demo"):
                (tmp_path / stamp).touch()
            command = ["make", "-C", str(ROOT), "serve", f"PORT={port}", f"VENV={tmp_path}"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | PATHS
        done = subprocess.run(command, cwd=NOTES, env=environ, capture_output=True, text=True, timeout=40.0)
    assert done.returncode != 0
    assert f"Port {port} is in use" in done.stderr
    assert f"make serve PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_gunicorn_preload(tmp_path: Path) -> None:
    """Under gunicorn with preload, each of two forked workers has connections of its own."""
    log, path = tmp_path / "log", tmp_path / "notes.db"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=4"]
    command += ["--bind=127.0.0.1:0", "--worker-tmp-dir", str(tmp_path), "app:create_app()"]
    with program(log, command, NOTES_DATABASE=str(path), NOTES_POOL_MAX_SIZE="2") as process:
        port = port_of(log)
        workers: set[int] = set()
        described: set[int] = set()
        written: list[str] = []

        def both_answer() -> bool:
            texts = [f"note {len(written) + number}" for number in range(8)]
            written.extend(texts)
            notes = [lambda text=text: ask(port, "POST", "/notes", {"text": text}) for text in texts]
            assert [answer.status for answer in run_all(*notes)] == [201] * len(texts)
            for answer in run_all(*[lambda: ask(port, "GET", "/health")] * 8):
                assert answer.status == 200
                assert answer.body["connection"]["pid"] == answer.body["pid"]
                workers.add(answer.body["pid"])
            for answer in run_all(*[lambda: ask(port, "GET", "/stats")] * 8):
                pids = {connection["pid"] for connection in connections(answer.body)}
                assert len(pids) <= 1  # none yet in a worker that has not been asked for a note
                assert answer.body["nobjs"] <= 2
                described.update(pids)
            return len(workers) == len(described) == 2

        eventually(both_answer, seconds=30.0)
        assert described == workers
        assert process.pid not in workers
        process.terminate()
        assert process.wait(20.0) == 0
    assert sorted(kept(path)) == sorted(written)
    assert re.findall(r".*(?:Traceback|Warning|Error).*", log.read_text()) == []
