"""The example application: requests and their connections, the demo, gunicorn with forked workers."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from conftest import Messages, Spawn, eventually, run_all, run_python, wait_for
from flask import Flask, abort

import ProxyPatternPool as ppp

NOTES = Path(__file__).parents[1] / "docs" / "examples" / "notes"
PATHS = {"PYTHONPATH": os.pathsep.join([str(NOTES), str(Path(ppp.__file__).parent)])}
MODULES = ("app", "database", "demo", "notes")
STATISTICS = """
    id started min_size max_size max_use timeout delay max_avail_delay max_using_delay_kill
    max_using_delay_warn health_freq now sem navail nusing ntodel running rel_hk_last time_per_hk shutdown
    avail using nobjs ncreated ncreating nuses nkilled nrecycled nwornout nborrows nreturns ndestroys nhealth
    bad_health hk_rounds hk_errors hc_rounds hc_errors nwaiting nwaits ntimeouts
"""


class Notes(NamedTuple):
    """The example's modules, and a maker of applications whose database is the test's."""

    database: ModuleType
    demo: ModuleType
    create: Callable[..., Flask]
    path: Path


class Answer(NamedTuple):
    """What came back from a real server."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    others = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    monkeypatch.syspath_prepend(str(NOTES))
    app, database, demo = (importlib.import_module(name) for name in ("app", "database", "demo"))
    path = tmp_path / "notes.db"

    def create(**settings: Any) -> Flask:
        made: Flask = app.create_app({"DATABASE": path, **settings})
        return made

    yield Notes(database, demo, create, path)
    database.db._ret_obj()
    database.close()
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(others)


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


def test_write_and_read(notes: Notes) -> None:
    """A note that was written can be read, listed and removed; what is wrong is refused."""
    client = notes.create().test_client()
    written = client.post("/notes", json={"text": "milk"})
    assert (written.status_code, written.json) == (201, {"id": 1, "text": "milk"})
    assert client.get("/notes/1").json == {"id": 1, "text": "milk"}
    assert client.post("/notes", json={"text": "bread"}).status_code == 201
    assert client.get("/notes?after=1").json == {"notes": [{"id": 2, "text": "bread"}]}
    assert kept(notes.path) == ["milk", "bread"]

    assert client.delete("/notes/1").status_code == 204
    assert client.get("/notes/1").status_code == 404
    assert client.delete("/notes/1").status_code == 404
    assert client.post("/notes", json={"text": 3}).status_code == 400
    assert client.post("/notes", json=["milk"]).status_code == 400
    assert kept(notes.path) == ["bread"]


def test_nothing_is_opened_before_a_request(notes: Notes) -> None:
    """Importing the modules and building the application open no connection and make no pool."""
    db = notes.database.db
    assert (db._pool, db._has_obj()) == (None, False)
    client = notes.create().test_client()
    assert client.get("/stats").json == {}
    assert (db._pool, db._has_obj()) == (None, False)
    client.get("/notes")
    assert db._pool.stats()["ncreated"] == 1


def test_stats(notes: Notes) -> None:
    """The pool's statistics are served as JSON, with every key, and take no connection to show."""
    client = notes.create(POOL_MAX_SIZE=3).test_client()
    client.get("/notes")
    answer = client.get("/stats")
    assert answer.mimetype == "application/json"
    stats = answer.json
    assert stats is not None
    assert set(stats) >= set(STATISTICS.split())
    assert (stats["max_size"], stats["navail"], stats["nusing"], stats["nuses"]) == (3, 1, 0, 1)
    assert connections(stats) == [{"number": 0, "pid": os.getpid()}]
    again = client.get("/stats").json
    assert again is not None
    assert again["nuses"] == 1


def test_health_route(notes: Notes) -> None:
    """`/health` asks the database, and tells the process and the connection."""
    answer = notes.create().test_client().get("/health").json
    pid = os.getpid()
    assert answer == {"status": "ok", "pid": pid, "connection": {"number": 0, "pid": pid}}


@pytest.mark.parametrize("testing", [False, True])
def test_raising_view(notes: Notes, testing: bool) -> None:
    """A view that raises leaves nothing in the database and no connection in use."""
    app = notes.create(TESTING=testing)

    @app.post("/fail")
    def fail() -> str:
        notes.database.db.execute("INSERT INTO notes (text) VALUES ('half')")
        raise ZeroDivisionError("the view failed")

    client = app.test_client()
    if testing:
        with pytest.raises(ZeroDivisionError, match="the view failed"):
            client.post("/fail")
    else:
        assert client.post("/fail").status_code == 500
    assert not notes.database.db._has_obj()
    stats = client.get("/stats").json
    assert stats is not None
    assert (stats["navail"], stats["nusing"]) == (1, 0)
    # The same connection's next request doesn't commit the half of the other.
    assert client.post("/notes", json={"text": "whole"}).status_code == 201
    assert kept(notes.path) == ["whole"]
    assert notes.database.db._pool.stats()["ncreated"] == 1


def test_refused_request(notes: Notes) -> None:
    """An error that a view answers with, rather than raises through, rolls back too."""
    app = notes.create()

    @app.post("/refuse")
    def refuse() -> str:
        notes.database.db.execute("INSERT INTO notes (text) VALUES ('half')")
        abort(409)

    client = app.test_client()
    assert client.post("/refuse").status_code == 409
    assert client.post("/notes", json={"text": "whole"}).status_code == 201
    assert kept(notes.path) == ["whole"]


def test_locked_database(notes: Notes) -> None:
    """A request that SQLite refuses after the busy timeout fails alone, and gives its connection back."""
    client = notes.create(BUSY_TIMEOUT=0.05, POOL_MAX_SIZE=1).test_client()
    with closing(sqlite3.connect(notes.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert client.post("/notes", json={"text": "refused"}).status_code == 500
        assert client.get("/notes").json == {"notes": []}
        other.rollback()
    assert client.post("/notes", json={"text": "kept"}).status_code == 201
    assert kept(notes.path) == ["kept"]


def test_timeout(notes: Notes, spawn: Spawn) -> None:
    """With every connection in use elsewhere, a request is told to come again: 503 with Retry-After."""
    client = notes.create(POOL_MAX_SIZE=1, POOL_TIMEOUT=0.05).test_client()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with notes.database.db._obj():
            held.set()
            wait_for(release)

    holder = spawn(hold)
    wait_for(held)
    try:
        answer = client.get("/notes")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json == {"error": "all connections are in use, try again"}
        stats = client.get("/stats").json
        assert stats is not None
        assert (stats["nusing"], stats["ntimeouts"]) == (1, 1)
    finally:
        release.set()
    holder.result()
    assert client.get("/notes").status_code == 200


def test_health_hook(notes: Notes) -> None:
    """An idle connection that no longer answers is destroyed by a round, and a new one serves."""
    client = notes.create(POOL_DELAY=3600.0).test_client()
    assert client.post("/notes", json={"text": "before"}).status_code == 201
    pool = notes.database.db._pool
    pool._hkRound()
    assert pool.stats()["bad_health"] == 0
    with pool.obj() as connection:
        connection.close()
    pool._hkRound()
    stats = pool.stats()
    assert (stats["bad_health"], stats["ndestroys"], stats["hc_errors"]) == (1, 1, 0)
    assert client.get("/notes/1").json == {"id": 1, "text": "before"}


def test_created_again(notes: Notes, tmp_path: Path, messages: Messages) -> None:
    """Creating the application again shuts the old pool down and goes on with the new configuration."""
    first = notes.create(POOL_MAX_SIZE=2).test_client()
    assert first.post("/notes", json={"text": "old"}).status_code == 201
    old = notes.database.db._pool
    second = notes.create(DATABASE=tmp_path / "other.db", POOL_MAX_SIZE=5).test_client()
    with pytest.raises(ppp.PoolException, match="shutting down"):
        old.get()
    assert old.stats()["nobjs"] == 0
    assert second.get("/notes").json == {"notes": []}
    assert second.post("/notes", json={"text": "new"}).status_code == 201
    stats = second.get("/stats").json
    assert stats is not None
    assert (stats["max_size"], stats["shutdown"]) == (5, False)
    assert (kept(notes.path), kept(tmp_path / "other.db")) == (["old"], ["new"])
    assert messages() == []


def test_real_server(notes: Notes) -> None:
    """Threads of a real server share the connections: every note is kept, those of a failing view are not."""
    app = notes.create(POOL_MAX_SIZE=2, POOL_TIMEOUT=10.0)

    @app.post("/fail")
    def fail() -> str:
        notes.database.db.execute("INSERT INTO notes (text) VALUES ('half')")
        raise ZeroDivisionError

    def client(port: int, name: int) -> None:
        for number in range(10):
            written = ask(port, "POST", "/notes", {"text": f"{name}/{number}"})
            assert written.status == 201
            assert ask(port, "GET", f"/notes/{written.body['id']}").body["text"] == f"{name}/{number}"
        assert ask(port, "POST", "/fail").status == 500

    with notes.demo.serving(app) as port:
        run_all(*(lambda name=name: client(port, name) for name in range(6)), seconds=30.0)
        stats = ask(port, "GET", "/stats").body
    assert (stats["nusing"], stats["nuses"]) == (0, 6 * 21)
    assert 1 <= stats["ncreated"] <= 2
    assert sorted(kept(notes.path)) == sorted(f"{name}/{number}" for name in range(6) for number in range(10))


def test_page(notes: Notes) -> None:
    """The live page is served whole: it loads nothing from elsewhere."""
    with notes.create().test_client().get("/") as answer:
        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        page = answer.get_data(as_text=True)
        assert "prefers-color-scheme: dark" in page
        assert re.findall(r"(?:https?:)?//[a-z]|@import|url\(|<script src", page) == []


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo's program to its end."""
    return subprocess.run(
        [sys.executable, str(NOTES / "demo.py"), *options],
        env={**os.environ, **PATHS},
        capture_output=True,
        text=True,
        timeout=55.0,
    )


def test_demo() -> None:
    """The demo sends its requests, reads every note back, prints the table, and ends with status 0."""
    done = run_demo("--requests", "400", "--clients", "8", "--seconds", "40")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "400/400" in done.stderr  # the progress bar
    table = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", done.stdout, re.MULTILINE))
    assert (table["requests"], table["errors"]) == ("400", "0")
    assert int(table["notes written"]) >= 400 // 3
    assert table["notes read back"] == table["notes written"]
    assert 1 <= int(table["connections made"]) <= 4
    assert re.fullmatch(r"[1-4] of 4", table["most in use at once"])
    assert int(table["waits for a connection"]) >= 0
    assert {"latency, median", "latency, 99th percentile"} <= set(table)
    assert done.stdout.endswith("every note written was read back\n")


def test_demo_stops_in_time() -> None:
    """On a slow machine the demo sends fewer requests, says so, and still checks each note."""
    done = run_demo("--requests", "1000000", "--clients", "4", "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert re.search(r"stopped after 0\.5 s: \d+ of 1000000 requests", done.stdout)
    assert done.stdout.endswith("every note written was read back\n")


def test_demo_reports_a_loss() -> None:
    """A note that is acknowledged but not kept makes the demo end with status 1, and it says which."""
    done = run_python(
        """
        import itertools, sys
        import demo
        from flask import request
        create_app, count = demo.create_app, itertools.count()

        def forgetful(config):
            app = create_app(config)

            @app.before_request
            def forget():
                if request.method == "POST" and next(count) == 9:
                    return {"id": 123456, "text": "never kept"}, 201

            return app

        demo.create_app = forgetful
        sys.exit(demo.main(["--requests", "120", "--clients", "2"]))
        """,
        seconds=50.0,
        PYTHONPATH=PATHS["PYTHONPATH"],
    )
    assert done.returncode == 1, done.stderr
    assert "FAILED: 1 notes lost" in done.stderr
    assert "note 123456 is lost" in done.stderr
    assert "every note written was read back" not in done.stdout


def test_demo_check(notes: Notes) -> None:
    """The demo's check names the notes that are missing, and those that have changed."""
    check = notes.demo.check
    assert check({1: "a", 2: "b"}, {1: "a", 2: "b", 3: "c"}) == []
    assert check({1: "a", 2: "b", 3: "c"}, {1: "a", 3: "x"}) == [
        "note 2 is lost",
        "note 3 is not what was written",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve(tmp_path: Path, number: signal.Signals) -> None:
    """`demo.py --serve` stays until it is interrupted, and then ends cleanly."""
    log = tmp_path / "log"
    with program(log, [sys.executable, "demo.py", "--serve", "--port", "0"]) as process:
        port = port_of(log)
        assert ask(port, "GET", "/").status == 200
        assert ask(port, "GET", "/slow").body == {"counted": 300000}
        assert ask(port, "POST", "/notes", {"text": "milk"}).status == 201
        process.send_signal(number)
        assert process.wait(10.0) == 0
    assert log.read_text().splitlines()[1:] == ["stopped"]


def test_gunicorn_preload(tmp_path: Path) -> None:
    """Under gunicorn with preload, each of two forked workers has connections of its own."""
    log, path = tmp_path / "log", tmp_path / "notes.db"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=4"]
    command += ["--bind=127.0.0.1:0", "--worker-tmp-dir", str(tmp_path), "app:create_app()"]
    with program(log, command, NOTES_DATABASE=str(path), NOTES_POOL_MAX_SIZE="2") as process:
        port = port_of(log)
        workers: set[int] = set()
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
            return len(workers) == 2

        eventually(both_answer, seconds=30.0)
        assert process.pid not in workers

        described: dict[int, dict[str, Any]] = {}

        def both_described() -> bool:
            for answer in run_all(*[lambda: ask(port, "GET", "/stats")] * 8):
                pids = {connection["pid"] for connection in connections(answer.body)}
                assert len(pids) == 1
                assert answer.body["nobjs"] <= 2
                described[pids.pop()] = answer.body
            return len(described) == 2

        eventually(both_described, seconds=30.0)
        assert set(described) == workers
        process.terminate()
        assert process.wait(20.0) == 0
    assert sorted(kept(path)) == sorted(written)
    assert re.findall(r"Traceback|Warning|Error", log.read_text()) == []
