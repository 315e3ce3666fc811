"""The Flask pattern that the documentation teaches, in every way in which a request or a context can end.

That a command keeps what it commits, and that two applications can have a database each, the page's own
program shows (test_pages.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pages
import pytest
from flask import Flask, Response, abort, stream_with_context


class Shop:
    """The guide's own two modules, an application of theirs, and its database."""

    def __init__(self, app: ModuleType, database: ModuleType, path: Path) -> None:
        self.create, self.db, self.path = app.create_app, database.db, path
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE orders (article TEXT)")
        self.app: Flask = self.create(str(path))
        self.app.add_url_rule("/order", view_func=self.order)
        self.app.add_url_rule("/which", view_func=self.which)
        self.client = self.app.test_client()

    def order(self, article: str = "tea") -> str:
        """Write an order (a view)."""
        return str(self.db.execute("INSERT INTO orders VALUES (?)", (article,)))

    def which(self) -> str:
        """Read the path of the database (a view)."""
        return str(self.db.execute("PRAGMA database_list").fetchone()[2])

    def rows(self) -> Iterator[str]:
        """Read all orders (a stream, whose connection nobody returns)."""
        yield from (article for (article,) in self.db.execute("SELECT article FROM orders"))

    def rows_in_a_block(self) -> Iterator[str]:
        """Read all orders in a block, which returns its connection."""
        with self.db._obj():
            yield from self.rows()

    def rows_in_the_context(self) -> Iterator[str]:
        """Read all orders while Flask keeps the context."""
        return stream_with_context(self.rows())

    def left(self) -> tuple[list[str], int]:
        """Give the orders that were committed, and how many connections are lent."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [it for (it,) in connection.execute("SELECT article FROM orders")], self.lent

    @property
    def lent(self) -> int:
        """How many connections are lent."""
        return int(self.db._pool.stats()["nusing"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    for block in pages.blocks(pages.PAGES["howto/flask.md"]):
        if block.title is not None:
            block.write(tmp_path)
    with pages.imported(tmp_path, "app", "database") as (app, database):
        yield Shop(app, database, tmp_path / "shop.db")
        database.db._ret_obj()
        database.db._pool.shutdown()


@pytest.mark.parametrize("testing", [False, True], ids=["", "testing"])
@pytest.mark.parametrize(
    ("end", "status"), [("abort", 409), ("handled", 422), ("unhandled", 500), ("commit", 500)]
)
def test_failed_request_keeps_nothing(shop: Shop, end: str, status: int, testing: bool) -> None:
    """What a request writes before `abort`, an exception or a failing commit is undone; the next is kept."""
    shop.app.config["TESTING"] = testing
    shop.app.register_error_handler(LookupError, lambda error: (str(error), 422))

    @shop.app.get("/fail")
    def fail() -> str:
        if end == "commit":
            shop.db.execute("PRAGMA foreign_keys = ON")  # which has to be outside of a transaction
        shop.order("half")
        if end == "abort":
            abort(409)
        if end != "commit":
            raise LookupError("no such article") if end == "handled" else ZeroDivisionError("the view failed")
        shop.db.execute("CREATE TABLE a (b PRIMARY KEY, c REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        return str(shop.db.execute("INSERT INTO a VALUES (1, 2)"))

    with suppress(ZeroDivisionError, sqlite3.IntegrityError):  # which reach the test if Flask is testing
        assert shop.client.get("/fail").status_code == status
        assert not (testing and status == 500)
    assert shop.left() == ([], 0)
    assert shop.client.get("/order").status_code == 200  # on the same connection
    assert shop.left() == (["tea"], 0)
    assert shop.db._pool.stats()["ncreated"] == 1


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", ["client", "context"])
def test_block_of_a_test(shop: Shop, kind: str, fails: bool) -> None:
    """The end of `with client:` or of an application context returns what was drawn, and undoes the rest."""
    with suppress(ZeroDivisionError), shop.client if kind == "client" else shop.app.app_context():
        if kind == "client":
            assert (shop.client.get("/which").status_code, shop.lent) == (200, 0)
        shop.order("kept")
        shop.db.commit()
        shop.order("half")
        assert shop.lent == 1
        if fails:
            raise ZeroDivisionError
    assert shop.left() == (["kept"], 0)


@pytest.mark.parametrize("whole", [True, False], ids=["read", "client_gone"])
@pytest.mark.parametrize(
    ("stream", "lent"), [(Shop.rows_in_a_block, 0), (Shop.rows_in_the_context, 0), (Shop.rows, 1)]
)
def test_streamed_response(shop: Shop, stream: Any, lent: int, whole: bool) -> None:
    """A stream in a block or the context returns its connection, read or left; a bare one keeps it."""
    shop.app.add_url_rule("/export", view_func=lambda: Response(stream(shop)), endpoint="export")
    for _ in range(2):
        shop.client.get("/order")
    response = shop.client.get("/export")
    chunks = response.iter_encoded()
    assert (next(chunks), shop.lent) == (b"tea", 1)
    if whole:
        assert list(chunks) == [b"tea"]
    response.close()
    assert (shop.lent, shop.db._has_obj()) == (lent, bool(lent))


def test_pushed_context_is_shared_by_requests(shop: Shop) -> None:
    """Requests within an open application context use its connection, which comes back at its end."""
    with shop.app.app_context():
        shop.db.execute("SELECT 1")
        for _ in range(2):
            assert shop.client.get("/which").status_code == 200
        assert shop.db._pool.stats()["nuses"] <= 3
    assert shop.lent == 0


def test_busy(shop: Shop) -> None:
    """A request that finds every connection lent is answered 503, with Retry-After."""
    shop.db._pool._timeout = 0.01
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(shop.db._pool.obj())
        response = shop.client.get("/which")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert shop.client.get("/which").status_code == 200


def test_second_application_fills_the_proxy_anew(shop: Shop, tmp_path: Path) -> None:
    """A second application gives the proxy its own database, which the first uses from then on as well."""
    assert shop.client.get("/which").text == str(shop.path)
    old = shop.db._pool
    shop.create(str(tmp_path / "other.db"))
    assert shop.client.get("/which").text == str(tmp_path / "other.db")
    assert (old.stats()["nobjs"], shop.lent) == (0, 0)
