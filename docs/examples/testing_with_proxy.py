"""How to test an application that uses a proxy: put a fake behind it.

    pip install ProxyPatternPool pytest
    python -m pytest testing_with_proxy.py

The application's modules import the proxy and do not notice. Nothing is patched, and
the order of imports does not matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

import ProxyPatternPool as ppp

# The application, which would be in modules of its own.

db: ppp.Proxy[sqlite3.Connection] = ppp.Proxy()


def rename(number: int, name: str) -> bool:
    """Rename somebody, and tell whether there is such a person."""
    cursor: sqlite3.Cursor = db.execute(
        "UPDATE people SET name = ? WHERE id = ?", (name, number)
    )
    db.commit()
    return cursor.rowcount == 1


# The tests: with a real database of each test's own…


@pytest.fixture
def people() -> Iterator[sqlite3.Connection]:
    """Set the proxy for one test, and unset it afterwards."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE people (id INTEGER, name TEXT);"
        "INSERT INTO people VALUES (1, 'Ann')"
    )
    db.set_obj(connection)
    yield connection
    db.set_obj(None)
    connection.close()


def test_rename(people: sqlite3.Connection) -> None:
    """Somebody gets another name."""
    assert rename(1, "Anne")
    assert people.execute("SELECT name FROM people").fetchall() == [("Anne",)]


def test_nobody_to_rename(people: sqlite3.Connection) -> None:
    """Renaming somebody who does not exist says so."""
    assert not rename(2, "Bob")


# … with a fake that fails when told to…


@pytest.fixture
def fake() -> Iterator[Mock]:
    """Set the proxy to a fake connection for one test."""
    connection = Mock(spec=sqlite3.Connection)
    db.set_obj(connection)
    yield connection
    db.set_obj(None)


def test_no_commit_after_an_error(fake: Mock) -> None:
    """A statement that fails is not committed."""
    fake.execute.side_effect = sqlite3.OperationalError("database is locked")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        rename(1, "Anne")
    fake.commit.assert_not_called()


# … and with none: code that forgets to set the proxy says so.


def test_unset() -> None:
    """Without a database the application says so."""
    assert not db
    with pytest.raises(ppp.ProxyUnset):
        rename(1, "Anne")
