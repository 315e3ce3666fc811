"""Real objects behind a proxy, used by their own idioms through the proxy alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call

import numpy as np
import psycopg
import psycopg.rows
import pytest
from conftest import run_all
from postgres import PostgresServer, postgres_fixture  # noqa: F401
from proxies import Keep, is_instance, keep_fixture  # noqa: F401

import ProxyPatternPool as ppp

Wrap = Callable[[Callable[[], Any]], Any]


@pytest.fixture(params=["SHARED", "THREAD", "THREAD with pool", "WERKZEUG", "SHARED, made late"])
def wrap(request: pytest.FixtureRequest, keep: Keep) -> Wrap:
    """Give a function that puts what a function makes behind a proxy, of each kind."""

    def build(make: Callable[[], Any]) -> Any:
        kind = request.param
        scope = ppp.Proxy.Scope
        if kind == "SHARED":
            return ppp.Proxy(make())
        if kind == "THREAD":
            return ppp.Proxy(fun=lambda _: make(), max_size=None)
        if kind == "SHARED, made late":
            return ppp.Proxy(fun=lambda _: make(), scope=scope.SHARED)
        chosen = scope.WERKZEUG if kind == "WERKZEUG" else scope.THREAD
        return keep(ppp.Proxy(fun=lambda _: make(), scope=chosen, max_size=1, closer=_close))

    return build


def _close(thing: Any) -> None:
    if isinstance(thing, (sqlite3.Connection, psycopg.Connection)):
        thing.close()


# SQLite


def test_sqlite_connection(wrap: Wrap) -> None:
    """A sqlite3 connection: `with db` commits or rolls back; `row_factory`, `isolation_level` are set."""
    db = wrap(lambda: sqlite3.connect(":memory:"))
    db.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
    with db:
        db.execute("INSERT INTO note(text) VALUES (?)", ("one",))
        assert db.in_transaction
    assert not db.in_transaction
    with contextlib.suppress(sqlite3.IntegrityError), db:
        db.execute("INSERT INTO note(text) VALUES ('two')")
        db.execute("INSERT INTO note(text) VALUES ('one')")
        pytest.fail("there is one already")
    assert not db.in_transaction
    assert db.execute("SELECT text FROM note").fetchall() == [("one",)]
    with db as connection:
        assert connection is db._get_obj()
    db.row_factory = sqlite3.Row
    row = db.execute("SELECT id, text FROM note").fetchone()
    assert (row["id"], row["text"]) == (1, "one")
    assert db._get_obj().row_factory is sqlite3.Row
    db.isolation_level = None
    db.execute("INSERT INTO note(text) VALUES ('three')")
    assert not db.in_transaction
    assert db._get_obj().isolation_level is None
    cursor = db.cursor()
    cursor.executemany("INSERT INTO note(text) VALUES (?)", [("four",), ("five",)])
    assert cursor.rowcount == 2
    db.create_function("twice", 1, lambda value: 2 * value)
    assert db.execute("SELECT twice(21)").fetchone()[0] == 42
    assert next(db.iterdump()) == "BEGIN TRANSACTION;"
    assert db.total_changes == 5
    assert is_instance(db, sqlite3.Connection)
    copy = sqlite3.connect(":memory:")
    db._get_obj().backup(copy)
    assert copy.execute("SELECT count(*) FROM note").fetchone() == (4,)
    copy.close()
    with contextlib.closing(db):
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_sqlite_in_threads(keep: Keep, tmp_path: Path) -> None:
    """Threads write through one pooled proxy, and each transaction is wholly there or not at all."""
    path = tmp_path / "notes.db"

    def connect(_: int) -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=10, check_same_thread=False)

    db = keep(ppp.Proxy(fun=connect, max_size=2, timeout=10.0, closer=sqlite3.Connection.close))
    with db:
        db.execute("CREATE TABLE note(writer INTEGER, number INTEGER)")
    db._ret_obj()

    def write(writer: int) -> None:
        for number in range(10):
            with db._obj(), contextlib.suppress(ZeroDivisionError), db:
                db.execute("INSERT INTO note VALUES (?, ?)", (writer, number))
                1 / (number % 5)

    run_all(*[lambda writer=writer: write(writer) for writer in range(4)])
    with db._obj():
        assert db.execute("SELECT count(*), sum(number % 5 = 0) FROM note").fetchone() == (32, 0)
    assert db._pool.stats()["nusing"] == 0


# PostgreSQL


def test_psycopg_connection(wrap: Wrap, postgres: PostgresServer) -> None:
    """A psycopg connection: transactions, cursors, and its attributes written."""
    db = wrap(lambda: psycopg.connect(postgres.dsn, application_name="objects"))
    db.execute("CREATE TEMPORARY TABLE note(id serial PRIMARY KEY, text text UNIQUE) ON COMMIT PRESERVE ROWS")
    db.commit()
    with db.transaction():
        db.execute("INSERT INTO note(text) VALUES (%s)", ("one",))
    with contextlib.suppress(psycopg.errors.UniqueViolation), db.transaction():
        db.execute("INSERT INTO note(text) VALUES ('two')")
        db.execute("INSERT INTO note(text) VALUES ('one')")
        pytest.fail("there is one already")
    with db.cursor() as cursor:
        assert cursor.execute("SELECT text FROM note").fetchall() == [("one",)]
    db.rollback()
    db.autocommit = True
    assert db._get_obj().autocommit is True
    db.row_factory = psycopg.rows.dict_row
    assert db.execute("SELECT text FROM note").fetchone() == {"text": "one"}
    db.prepare_threshold = None
    assert db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert db.pgconn.status == psycopg.pq.ConnStatus.OK
    assert is_instance(db, psycopg.Connection)
    assert (db.closed, db.broken) == (False, False)
    assert str(db).startswith("<psycopg.Connection [IDLE]")
    with db as connection:
        connection.execute("INSERT INTO note(text) VALUES ('three')")
    assert db.closed


def test_psycopg_pool_of_two(keep: Keep, postgres: PostgresServer) -> None:
    """Threads share two connections through a proxy: PostgreSQL never sees a third, and none remains."""
    name = "objects-pool"
    db = keep(
        ppp.Proxy(
            fun=lambda _: psycopg.connect(postgres.dsn, application_name=name, autocommit=True),
            max_size=2,
            timeout=20.0,
            closer=psycopg.Connection.close,
        )
    )
    most = []

    def work() -> None:
        for _ in range(5):
            with db._obj():
                most.append(
                    db.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (name,)
                    ).fetchone()
                )

    run_all(*[work] * 6)
    assert len(most) == 30
    assert max(most) <= (2,)
    db._pool.shutdown()
    assert postgres.connections(name) == 0


def test_psycopg_connection_cut_is_invalidated(keep: Keep, postgres: PostgresServer) -> None:
    """A connection that the server has cut is thrown away with `_invalidate_obj`, and the next one works."""
    name = "objects-cut"
    db = keep(
        ppp.Proxy(
            fun=lambda _: psycopg.connect(postgres.dsn, application_name=name),
            max_size=1,
            min_size=0,
            timeout=5.0,
            closer=psycopg.Connection.close,
        )
    )
    assert db.execute("SELECT 1").fetchone() == (1,)
    assert postgres.cut(name) == 1
    with pytest.raises(psycopg.OperationalError):
        db.execute("SELECT 1")
    db._invalidate_obj()
    assert db.execute("SELECT 2").fetchone() == (2,)
    assert db._pool.stats()["ninvalidated"] == 1


# numpy


def test_numpy_array(wrap: Wrap) -> None:
    """A numpy array: arithmetic, slicing, assignment, comparison, ufuncs, reductions, and its protocols."""
    array = wrap(lambda: np.arange(6.0).reshape(2, 3))
    array._get_obj()
    plain = np.arange(6.0).reshape(2, 3)
    assert array.shape == (2, 3)
    assert array.T.shape == (3, 2)
    assert len(array) == 2
    for left, right in [
        (array + 1, plain + 1),
        (1 - array, 1 - plain),
        (array * array, plain * plain),
        (array @ array.T, plain @ plain.T),
        (plain + array, plain + plain),
        (plain @ array.T, plain @ plain.T),
        (array + plain, plain + plain),
        (-array, -plain),
        (abs(array - 3), abs(plain - 3)),
        (array**2, plain**2),
        (2**array, 2**plain),
        (array[1, ::2], plain[1, ::2]),
        (array[array > 2], plain[plain > 2]),
        (array == plain, plain == plain),
        (plain < array, plain < plain),
        (np.sin(array), np.sin(plain)),
        (np.add(array, array), np.add(plain, plain)),
        (np.add.reduce(array), np.add.reduce(plain)),
        (np.concatenate([array, plain]), np.concatenate([plain, plain])),
        (np.asarray(array), plain),
        (np.array(array, dtype=int), plain.astype(int)),
        (array.sum(axis=0), plain.sum(axis=0)),
        (np.mean(array, axis=1), np.mean(plain, axis=1)),
        (np.where(array > 2, array, 0), np.where(plain > 2, plain, 0)),
        (np.stack(list(array)), plain),
    ]:
        assert type(left) is np.ndarray
        np.testing.assert_array_equal(left, right)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(array)
    with pytest.raises(TypeError, match="unhashable"):
        hash(array)
    assert 5.0 in array
    assert is_instance(array, np.ndarray)
    handle = array
    handle += 1
    assert handle is array
    handle[0] = 0
    handle[:, 1] *= 2
    np.testing.assert_array_equal(array._get_obj(), [[0, 0, 0], [4, 10, 6]])
    assert f"{array[1, 0]:.2f}" == "4.00"
    handle.flat = 7
    np.testing.assert_array_equal(array._get_obj(), np.full((2, 3), 7.0))
    assert str(array) == str(array._get_obj())
    assert repr(array) == repr(array._get_obj())


def test_numpy_limits() -> None:
    """What can't go with an array behind a proxy: the C interfaces that want a real array or a buffer."""
    array: Any = ppp.Proxy(np.arange(3.0))
    with pytest.raises(TypeError):
        memoryview(array)
    with pytest.raises(TypeError):
        np.add(np.arange(3.0), 1, out=array)
    assert type(np.asarray(array)) is np.ndarray
    assert np.add(np.arange(3.0), 1, out=array._get_obj()) is array._get_obj()
    number: Any = ppp.Proxy(np.float64(2.5))
    assert (number + 1, round(number), int(number), f"{number:.1f}") == (3.5, 2, 2, "2.5")
    assert np.ones(2)[ppp.Proxy(1)] == 1.0
    np.testing.assert_array_equal(np.arange(3)[ppp.Proxy(slice(1, None))._get_obj()], [1, 2])


# Paths


def test_path(wrap: Wrap, tmp_path: Path) -> None:
    """A pathlib.Path: joins, parts, reading; where the system wants a path it is given `str(path)`."""
    (tmp_path / "a.txt").write_text("hello")
    path = wrap(lambda: tmp_path)
    assert (path / "a.txt").read_text() == "hello"
    assert type(path / "a.txt") is type(tmp_path)
    assert path.name == tmp_path.name
    assert path == tmp_path
    assert tmp_path == path
    assert path != tmp_path / "a.txt"
    assert path < tmp_path / "a.txt"
    assert hash(path) == hash(tmp_path)
    assert {tmp_path: 1}[path] == 1
    assert str(path) == str(tmp_path)
    assert f"{path}" == str(tmp_path)
    assert bytes(path) == bytes(tmp_path)
    assert [found.name for found in path.iterdir()] == ["a.txt"]
    assert path.exists()
    assert is_instance(path, Path)
    assert ("root" / ppp.Proxy(Path("x"))) == Path("root/x")
    with pytest.raises(TypeError, match="PathLike"):
        os.fspath(path)
    with pytest.raises(TypeError), open(path):
        pytest.fail("a proxy is no path")
    with open(str(path) + "/a.txt") as file:
        assert file.read() == "hello"


# Mocks


def test_magic_mock(wrap: Wrap) -> None:
    """A MagicMock: it is configured and called through the proxy, and asked what was done with it."""
    mock = wrap(MagicMock)
    mock._get_obj()
    mock.query.return_value = [1]
    assert mock.query("x", y=2) == [1]
    mock.query.assert_called_once_with("x", y=2)
    assert mock(3) is mock.return_value
    assert mock.mock_calls == [call.query("x", y=2), call(3)]
    mock.side_effect = KeyError("lost")
    with pytest.raises(KeyError, match="lost"):
        mock()
    mock.__len__.return_value = 7
    mock.__getitem__.return_value = "item"
    mock.__enter__.return_value = "entered"
    assert (len(mock), mock[0]) == (7, "item")
    with mock as entered:
        assert entered == "entered"
    mock.__exit__.assert_called_once_with(None, None, None)
    mock.attribute = 5
    assert mock._get_obj().attribute == 5
    del mock.gone
    assert not hasattr(mock, "gone")
    assert is_instance(mock, MagicMock)
    mock.reset_mock()
    assert not mock.called


# Classes


def test_class(wrap: Wrap) -> None:
    """A class: called, its attributes read and written, inherited from, its instances recognised."""

    class Point:
        origin = 0

        def __init__(self, x: int, y: int = 0) -> None:
            self.x, self.y = x, y

        @classmethod
        def diagonal(cls, x: int) -> Point:
            return cls(x, x)

    cls = wrap(lambda: Point)
    cls._get_obj()
    point = cls(1, y=2)
    assert (point.x, point.y, type(point)) == (1, 2, Point)
    assert isinstance(point, cls)
    assert cls.diagonal(3).y == 3
    cls.origin = 9
    assert Point.origin == 9
    assert not isinstance(2, cls)

    class Named(cls):  # type: ignore[misc, valid-type]
        name = "P"

    assert Named.__bases__ == (Point,)
    assert issubclass(Named, cls)
    assert Named(5).x == 5
    with pytest.raises(TypeError):
        cls()


# Generators and iterators


def test_generator(wrap: Wrap) -> None:
    """A generator: iterated, sent to, thrown into and closed."""

    def count() -> Generator[int, int | None, str]:
        at = 0
        while True:
            try:
                sent = yield at
                at = at + 1 if sent is None else sent
            except KeyError:
                at = 100

    generator = wrap(count)
    assert next(generator) == 0
    assert next(generator) == 1
    assert generator.send(10) == 10
    assert generator.throw(KeyError()) == 100
    assert iter(generator) is not None
    for value, _ in zip(generator, range(2), strict=False):
        assert value > 100
    generator.close()
    with pytest.raises(StopIteration):
        next(generator)
    assert list(generator) == []


def test_iterators_and_comprehensions(wrap: Wrap) -> None:
    """An iterator: consumed by everything that consumes iterators."""
    iterator = wrap(lambda: iter(range(10)))
    assert next(iterator) == 0
    first, second, *_ = iterator
    assert (first, second) == (1, 2)
    assert list(iterator) == []
    assert next(iterator, "end") == "end"


def test_delegating_to_a_generator() -> None:
    """`yield from` a proxied generator gives its values and its result."""

    def inner() -> Iterator[int]:
        yield 1
        yield 2

    proxy: Any = ppp.Proxy(inner())

    def outer() -> Iterator[int]:
        yield from proxy

    assert list(outer()) == [1, 2]


# asynchronous


class Session:
    """An asynchronous context manager and iterator, as clients of databases have them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.left = 3

    async def __aenter__(self) -> Session:
        self.log.append("open")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: object
    ) -> bool:
        self.log.append("closed" if kind is None else f"closed by {kind.__name__}")
        return isinstance(value, KeyError)

    def __aiter__(self) -> Session:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return self.left

    async def ask(self, question: str) -> str:
        """Answer later."""
        await asyncio.sleep(0)
        return question + "!"


def test_async_context_manager(wrap: Wrap) -> None:
    """An asynchronous context manager: `async with`, `async for`, and its coroutines."""
    session = wrap(Session)

    async def main() -> None:
        async with session as opened:
            assert opened is session._get_obj()
            assert await session.ask("why") == "why!"
            assert [number async for number in session] == [2, 1, 0]
        async with session:
            raise KeyError("swallowed")
        with pytest.raises(ValueError, match="out"):
            async with session:
                raise ValueError("out")
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(session)
        assert session.log == [
            "open",
            "closed",
            "open",
            "closed by KeyError",
            "open",
            "closed by ValueError",
            "open",
            "closed",
        ]

    asyncio.run(main())


def test_asynchronous_generator() -> None:
    """An asynchronous generator behind a shared proxy is iterated, sent to and closed."""

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def main() -> None:
        proxy: Any = ppp.Proxy(numbers())
        assert await anext(proxy) == 0
        assert await proxy.asend(None) == 1
        assert [number async for number in proxy] == [2]
        await proxy.aclose()

    asyncio.run(main())


# Containers


def test_dict(wrap: Wrap) -> None:
    """A dict: items, views, merging, unpacking, membership, iteration, equality."""
    table = wrap(lambda: {"a": 1})
    table["b"] = 2
    table.setdefault("c", 3)
    assert list(table) == ["a", "b", "c"]
    assert list(reversed(table)) == ["c", "b", "a"]
    assert dict(table) == {"a": 1, "b": 2, "c": 3}
    assert {**table} == dict(table.items())
    assert table | {"d": 4} == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert {"z": 0} | table == {"z": 0, "a": 1, "b": 2, "c": 3}
    assert "a" in table
    assert "z" not in table
    del table["a"]
    with pytest.raises(KeyError, match="'a'"):
        table["a"]
    assert table == {"b": 2, "c": 3}
    assert table.pop("b") == 2
    assert len(table) == 1
    assert table
    table.clear()
    assert not table
    assert "{a}".format_map(ppp.Proxy({"a": 1})) == "1"
    plain = {"x": 1}
    plain.update(ppp.Proxy({"y": 2}))
    assert plain == {"x": 1, "y": 2}


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, deque, Counter, OrderedDict])
def test_other_containers(kind: type[Any]) -> None:
    """Other containers behave as themselves."""
    things = kind([3, 1, 2]) if kind is not OrderedDict else OrderedDict.fromkeys([3, 1, 2])
    proxy: Any = ppp.Proxy(things)
    assert (len(proxy), sorted(proxy), 3 in proxy, 9 in proxy) == (3, [1, 2, 3], True, False)
    assert proxy == things
    assert things == proxy
    assert kind(proxy) == things
    assert (sum(proxy), max(proxy), bool(proxy)) == (6, 3, True)
    assert str(proxy) == str(things)


def test_sets_and_defaults() -> None:
    """Set algebra and default dictionaries work on either side."""
    proxy: Any = ppp.Proxy({1, 2})
    assert (proxy | {3}, proxy & {2}, {1, 5} - proxy, proxy ^ {1}) == ({1, 2, 3}, {2}, {5}, {2})
    assert proxy <= {1, 2, 3}
    assert {1} < proxy
    handle = proxy
    handle |= {7}
    assert handle is proxy
    assert proxy == {1, 2, 7}
    table: Any = ppp.Proxy(defaultdict(list))
    table["a"].append(1)
    assert table == {"a": [1]}


def test_numbers() -> None:
    """Numbers other than int behave as themselves."""
    half: Any = ppp.Proxy(Fraction(1, 2))
    assert half + 1 == Fraction(3, 2)
    assert 1 / half == 2
    assert (round(half), float(half), half.numerator) == (0, 0.5, 1)
    assert sum([half, half]) == 1
    numbers: list[Any] = [ppp.Proxy(2), ppp.Proxy(1)]
    assert sorted(numbers)[0] == 1


# Another proxy


def test_another_proxy(wrap: Wrap) -> None:
    """A proxy of a proxy: the outer's own names are the outer's, everything else the innermost object's."""
    inner: Any = ppp.Proxy({"a": 1})
    outer = wrap(lambda: inner)
    assert outer["a"] == 1
    outer["b"] = 2
    assert inner == {"a": 1, "b": 2}
    assert outer._get_obj() is inner
    assert outer == inner
    assert len(outer) == 2
    assert is_instance(outer, dict)
    outer._ret_obj()
    assert inner._has_obj()
    assert "a" in outer


def test_lazy_proxy_of_an_unset_proxy() -> None:
    """A proxy of a proxy which is set later: unset until then."""
    inner: Any = ppp.Proxy()
    outer: Any = ppp.Proxy(inner)
    assert not hasattr(outer, "append")
    with pytest.raises(ppp.ProxyUnset):
        len(outer)
    inner.set([1])
    outer.append(2)
    assert (len(outer), inner) == (2, [1, 2])
