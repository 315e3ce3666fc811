"""The programs of docs/examples run as their texts say (those of `notes`: test_flask_notes.py)."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pages
import pytest
from conftest import Clock, Keep, MakePool, Spawn
from helpers import eventually, none_left, run_all, waiting
from pages import EXAMPLES
from prometheus_client.parser import text_string_to_metric_families
from servers import PATIENCE, fetch, postgres_fixture, redis_fixture, run, serving  # noqa: F401

import ProxyPatternPool as ppp

Samples = dict[str, float]
PREFIX = "db_client_connection_"


def measures(families: Iterable[Any], name: str) -> Samples:
    """Give a pool's values by their names and states, all under OpenTelemetry's prefix."""
    found: Samples = {}
    for sample in [it for family in families for it in family.samples if not it.name.endswith("_created")]:
        labels = dict(sample.labels)
        pool, state = labels.pop(f"{PREFIX}pool_name"), labels.pop(f"{PREFIX}state", "")
        assert (sample.name.startswith(PREFIX), labels) == (True, {})
        if pool == name:
            found[f"{sample.name.removeprefix(PREFIX)} {state}".strip()] = sample.value
    return found


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_program_is_explained_and_run(program: Path) -> None:
    """Each program says what to install and how to run it, and a test runs it."""
    text = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    assert "    pip install" in text
    assert re.search(rf"^    python .*\b{program.name}\b", text, flags=re.MULTILINE)
    tests = [Path(__file__), Path(__file__).with_name("test_postgres.py")]
    assert any(f'"{program.stem}"' in path.read_text(encoding="utf-8") for path in tests)


def test_prometheus_numbers(make_pool: MakePool, clock: Clock, spawn: Spawn, keep: Keep) -> None:
    """Each measure has the value that the pool's life so far has given it; an unset proxy has none yet."""

    def connect(number: int) -> list[int]:
        clock.advance(0.25)
        return [number]

    pool = make_pool(connect, max_size=2, name="db")
    later = keep(ppp.Proxy(name="later", max_size=0))
    with pages.imported(EXAMPLES, "prometheus_exporter") as (exporter,):
        collector = exporter.PoolCollector(pool, later)
    first, _ = pool.get(), pool.get()
    waiter = spawn(pool.get)
    waiting(pool, 1)
    clock.advance(2.5)
    pool.ret(first)
    assert waiter.result() is first
    spawn(pool.get)
    waiting(pool, 1)
    none_left(pool, 0.01)
    sizes = {"count idle": 0, "count used": 2, "max": 2, "idle_min": 1}
    waits = {"pending_requests": 1, "timeouts_total": 1}
    counts = {"create_time_seconds_count": 2, "wait_time_seconds_count": 4, "use_time_seconds_count": 3}
    sums = {"create_time_seconds_sum": 0.5, "wait_time_seconds_sum": 2.5, "use_time_seconds_sum": 2.75}
    assert measures(collector.collect(), "db") == {**sizes, **waits, **counts, **sums}
    assert measures(collector.collect(), "later") == {}
    later.set_fun(lambda number: [number])
    unlimited = measures(collector.collect(), "later")
    assert (unlimited["count idle"], "max" in unlimited) == (1, False)
    pool.ret(first)


@pytest.fixture
def url(name: str, tmp_path: Path) -> Iterator[str]:
    """The address of the server which is the program of that name."""
    with serving(sys.executable, EXAMPLES / f"{name}.py", 0, log=tmp_path / "log") as (url, _):
        yield url


@pytest.mark.parametrize("name", ["prometheus_exporter"])
def test_prometheus_program(name: str, url: str) -> None:
    """The program's own pool works under load, within its limit, and its page shows that."""

    def busy() -> bool:
        found = measures(text_string_to_metric_families(fetch(url)), "numbers")
        assert found["count idle"] + found["count used"] <= found["max"] == 2
        used, waited = found["use_time_seconds_sum"], found["wait_time_seconds_sum"]
        return found["timeouts_total"] > 2 and min(used, waited) > 0

    eventually(busy, seconds=PATIENCE)


@pytest.mark.parametrize("name", ["gevent_server", "eventlet_server"])
def test_green_server(name: str, url: str) -> None:
    """Concurrent requests to a green server share four sessions, none of them used by two at once."""
    sessions: list[int] = []

    def all_needed() -> bool:
        answers = run_all(*[partial(fetch, url)] * 12, seconds=PATIENCE)
        sessions.extend(answer["session"] for answer in answers)
        return set(sessions[-12:]) == {0, 1, 2, 3} and fetch(f"{url}stats")["nwaits"] > 0

    eventually(all_needed, seconds=PATIENCE)
    stats = fetch(f"{url}stats")
    assert stats["sem"] == {"value": 4, "init": 4}
    assert (stats["ncreated"], stats["nusing"], stats["nuses"]) == (4, 0, len(sessions))


PRINTED = {
    # each task has its own connection, also in the threads that it sends its queries to
    "asyncio_tasks": ["50 tasks, 3 connections", "inherited by a task started meanwhile: True"],
    # SQLAlchemy and code beside it share one pool, and what each has written is there
    "sqlalchemy_raw": ["raw: 50, sqlalchemy: 50", "102 uses, 0 in use, limit kept: True"],
    # a connection on which a user has logged in is the service's again for the next holder
    "ldap_like": ["90 logins, 30 successful, all right: True", "failed resets: 0, all unbound: True"],
    # sixteen threads count without a loss
    "redis_clients": ["counted to 200", "at most 4 clients: True"],
    # deposits are kept, failed ones undone, and connections that were cut are replaced unseen
    "psycopg_pool_of_connections": [
        "100 deposits from 8 threads: 100",
        "after a deposit that failed: 100",
        "after [1-4] idle connections were cut: 101",
        "after one was cut in use: 101",
        "refused before lending: [1-4], broken in use: 1, failed resets: 0, never more than 4 connections",
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_program_that_ends(name: str, request: pytest.FixtureRequest) -> None:
    """A program that ends by itself prints what its text says, and complains only of what it has cut."""
    server = {"redis_clients": "redis_url", "psycopg_pool_of_connections": "postgres"}.get(name)
    given: Any = server and request.getfixturevalue(server)
    arguments = [getattr(given, "dsn", given)] if server else []
    done = run(sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments)
    assert re.fullmatch("\n".join([*PRINTED[name], ""]), done.stdout), done.stdout
    logged = "pool 'accounts': bad health: "
    assert [line for line in done.stderr.splitlines() if not line.startswith(logged)] == []
    if server == "postgres":
        assert given.ask("SELECT to_regclass('ppp_accounts')") is None
        eventually(lambda: not given.backends("accounts %"))


def test_testing() -> None:
    """The tests of an application that uses a proxy pass, with no configuration of ours."""
    name = "testing_with_proxy"
    options = ("-q", "-c", os.devnull, "--rootdir", EXAMPLES, "-p", "no:cacheprovider")
    done = run(sys.executable, "-m", "pytest", *options, EXAMPLES / f"{name}.py")
    assert re.match(r"4 passed\b", done.stdout.splitlines()[-1])
