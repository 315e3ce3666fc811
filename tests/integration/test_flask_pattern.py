"""The Flask pattern that the documentation teaches, in every way in which a request or a context can end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import click
import pages
import pytest
from flask import Flask, Response, abort, current_app, stream_with_context
from werkzeug.local import LocalProxy

import ProxyPatternPool as ppp

GUIDE = Path(__file__).parents[2] / "docs" / "pages" / "howto" / "flask.md"


class Shop:
    """The guide's own two modules, an application of theirs, and its database."""

    def __init__(self, create: Callable[[str], Flask], db: Any, path: Path) -> None:
        self.create, self.db, self.path = create, db, path
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE orders (article TEXT)")
        self.app = create(str(path))
        self.app.add_url_rule("/order", view_func=self.order, methods=["POST"])
        self.app.add_url_rule("/which", view_func=self.which)

    def order(self) -> str:
        """Be a view that writes."""
        self.insert("tea")
        return "ordered"

    def which(self) -> str:
        """Be a view that reads: the path of the database."""
        return str(self.db.execute("PRAGMA database_list").fetchone()[2])

    def insert(self, article: str) -> None:
        """Write an order, as a view does."""
        self.db.execute("INSERT INTO orders VALUES (?)", (article,))

    def kept(self) -> list[str]:
        """Read what was committed, over a connection of its own."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [article for (article,) in connection.execute("SELECT article FROM orders")]

    @property
    def lent(self) -> int:
        """How many connections are lent."""
        return int(self.db._pool.stats()["nusing"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    for block in pages.blocks(GUIDE):
        if block.title is not None:
            block.write(tmp_path)
    with pages.imported(tmp_path, "app", "database") as (app, database):
        yield Shop(app.create_app, database.db, tmp_path / "shop.db")
        database.db._ret_obj()
        database.db._pool.shutdown()


def test_success_is_committed_before_the_answer(shop: Shop) -> None:
    """A request that succeeds is committed by the time its answer arrives, and its connection is back."""
    assert shop.app.test_client().post("/order").status_code == 200
    assert (shop.kept(), shop.lent) == (["tea"], 0)


def refuse(shop: Shop) -> None:
    abort(409)


def divide(shop: Shop) -> None:
    raise ZeroDivisionError("the view failed")


def misuse(shop: Shop) -> None:
    raise LookupError("no such article")


def break_at_the_commit(shop: Shop) -> None:
    shop.db.execute("PRAGMA foreign_keys = ON")
    shop.insert("half")
    shop.db.execute("CREATE TABLE a (b PRIMARY KEY, c REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
    shop.db.execute("INSERT INTO a VALUES (1, 2)")


@pytest.mark.parametrize("testing", [False, True], ids=["", "testing"])
@pytest.mark.parametrize(
    ("end", "status"), [(refuse, 409), (misuse, 422), (divide, 500), (break_at_the_commit, 500)]
)
def test_failed_request_keeps_nothing(
    shop: Shop, end: Callable[[Shop], None], status: int, testing: bool
) -> None:
    """What a request writes before `abort`, an exception, handled or not, or a failing commit is undone."""
    shop.app.config["TESTING"] = testing

    @shop.app.post("/fail")
    def fail() -> str:
        if end is not break_at_the_commit:  # which needs to be outside of a transaction at first
            shop.insert("half")
        end(shop)
        return "never"

    @shop.app.errorhandler(LookupError)
    def unknown(error: LookupError) -> tuple[str, int]:
        return str(error), 422

    client = shop.app.test_client()
    if testing and status == 500:  # it reaches the test
        with pytest.raises((ZeroDivisionError, sqlite3.IntegrityError)):
            client.post("/fail")
    else:
        assert client.post("/fail").status_code == status
    assert shop.lent == 0
    assert client.post("/order").status_code == 200  # on the same connection
    assert (shop.kept(), shop.lent) == (["tea"], 0)
    assert shop.db._pool.stats()["ncreated"] == 1


@pytest.mark.parametrize("commits", [True, False])
def test_command(shop: Shop, commits: bool) -> None:
    """A CLI command keeps what it commits itself, and its connection comes back either way."""

    @shop.app.cli.command("import")
    def load() -> None:
        shop.insert("cocoa")
        if commits:
            shop.db.commit()
        click.echo("done")

    result = shop.app.test_cli_runner().invoke(args=["import"])
    assert (result.exit_code, result.output) == (0, "done\n")
    assert (shop.kept(), shop.lent) == (["cocoa"] if commits else [], 0)


@pytest.mark.parametrize("fails", [False, True])
def test_application_context(shop: Shop, fails: bool) -> None:
    """The end of an application context returns its connection, and undoes what was not committed."""

    def work() -> None:
        with shop.app.app_context():
            shop.insert("kept")
            shop.db.commit()
            shop.insert("half")
            assert shop.lent == 1
            if fails:
                raise ZeroDivisionError("in the block")

    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        work()
    assert (shop.kept(), shop.lent) == (["kept"], 0)


def block_in_generator(shop: Shop) -> Iterator[str]:
    with shop.db._obj() as connection:
        for (article,) in connection.execute("SELECT article FROM orders"):
            yield f"{article}\n"


def bare_generator(shop: Shop) -> Iterator[str]:
    for (article,) in shop.db.execute("SELECT article FROM orders"):
        yield f"{article}\n"


@pytest.mark.parametrize("whole", [True, False], ids=["read", "client_gone"])
@pytest.mark.parametrize(
    "stream",
    [block_in_generator, lambda shop: stream_with_context(bare_generator(shop))],
    ids=["block", "stream_with_context"],
)
def test_streamed_response(shop: Shop, stream: Callable[[Shop], Iterator[str]], whole: bool) -> None:
    """A stream has its connection to its end, which the client's leaving is, too; then it comes back."""

    @shop.app.get("/export")
    def export() -> Response:
        return Response(stream(shop), mimetype="text/plain")

    with shop.app.app_context():
        for article in ("tea", "cocoa"):
            shop.insert(article)
        shop.db.commit()
    response = shop.app.test_client().get("/export")
    chunks = response.iter_encoded()
    assert next(chunks) == b"tea\n"
    assert shop.lent == 1
    if whole:
        assert list(chunks) == [b"cocoa\n"]
    response.close()
    assert shop.lent == 0
    assert not shop.db._has_obj()


def test_bare_stream_keeps_its_connection(shop: Shop) -> None:
    """A generator with neither draws a connection which the end of the stream does not return."""

    @shop.app.get("/export")
    def export() -> Response:
        return Response(bare_generator(shop), mimetype="text/plain")

    with shop.app.test_client().get("/export") as response:
        assert response.get_data() == b""
    assert shop.lent == 1
    shop.db._ret_obj()
    assert shop.lent == 0


def test_client_that_preserves_its_context(shop: Shop) -> None:
    """Within `with client:` each request returns its connection, and the end of the block the test's own."""
    with shop.app.test_client() as client:
        assert client.get("/which").status_code == 200
        assert shop.lent == 0
        shop.db.execute("SELECT 1")
        assert shop.lent == 1
    assert shop.lent == 0


def test_pushed_context_is_shared_by_requests(shop: Shop) -> None:
    """Requests within an open application context use its connection, which comes back at its end."""
    with shop.app.app_context():
        shop.db.execute("SELECT 1")
        for _ in range(2):
            assert shop.app.test_client().get("/which").status_code == 200
        assert shop.db._pool.stats()["nuses"] <= 3
    assert shop.lent == 0


def test_busy(shop: Shop) -> None:
    """A request that finds every connection lent is answered 503, with Retry-After."""
    pool = shop.db._pool
    pool._timeout = 0.01
    held = [pool.get() for _ in range(4)]
    response = shop.app.test_client().get("/which")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    for connection in held:
        pool.ret(connection)
    assert shop.app.test_client().get("/which").status_code == 200


def test_second_application_fills_the_proxy_anew(shop: Shop, tmp_path: Path) -> None:
    """A second application gives the proxy its own database, which the first uses from then on as well."""
    first = shop.app.test_client()
    assert first.get("/which").text == str(shop.path)
    old = shop.db._pool
    shop.create(str(tmp_path / "other.db"))
    assert first.get("/which").text == str(tmp_path / "other.db")
    assert (old.stats()["nobjs"], shop.lent) == (0, 0)


def test_two_applications_with_a_database_each(tmp_path: Path) -> None:
    """Applications that keep their proxy in `extensions` serve two databases side by side."""
    current: Any = LocalProxy(lambda: current_app.extensions["db"])

    def create(name: str) -> Flask:
        app = Flask(name)
        own: ppp.Proxy[sqlite3.Connection] = ppp.Proxy(
            fun=lambda number: sqlite3.connect(tmp_path / name, check_same_thread=False),
            max_size=2,
            reset=sqlite3.Connection.rollback,
            closer=sqlite3.Connection.close,
        )
        app.extensions["db"] = own

        @app.get("/")
        def which() -> str:
            return str(current.execute("PRAGMA database_list").fetchone()[2])

        @app.teardown_appcontext
        def give_back(error: BaseException | None) -> None:
            own._ret_obj()

        return app

    apps = [create("first.db"), create("second.db")]
    for _ in range(2):
        for app in apps:
            assert app.test_client().get("/").text == str(tmp_path / app.name)
    for app in apps:
        pool = app.extensions["db"]._pool
        assert (pool.stats()["ncreated"], pool.stats()["nusing"]) == (1, 0)
        pool.shutdown()
