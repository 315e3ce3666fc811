"""The pools that are compared, each behind the same few functions.

Each is set up as bare as it goes: no reset, no ping, no check at checkout, four objects made ahead
where the work does not say otherwise. What is timed in one thread is what a user of that pool writes,
with no wrapper of ours around it.
"""

from __future__ import annotations

import functools
import importlib
import queue
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0
"""Seconds after which a `get` gives up, where a contender has to have a limit."""


class Connection:
    """Stands in for a database connection, with what the contenders ask of one."""

    autocommit = True
    threadsafety = 1
    pgconn = types.SimpleNamespace(transaction_status=0)
    OperationalError = InterfaceError = InternalError = RuntimeError

    _pool: Any = None

    def cursor(self) -> None:
        """Do nothing."""

    def execute(self, _text: str) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Do nothing."""

    def rollback(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Connection:
        """Start nothing."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End nothing."""


Make = Callable[[], Connection]


@dataclass
class Handle:
    """A pool that was built: what the work calls."""

    pool: Any
    get: Callable[[], Any]
    ret: Callable[[Any], Any]
    close: Callable[[], Any]
    tidy: Callable[[], Any] | None = None
    """One housekeeping round over all idle objects."""


@dataclass(frozen=True)
class Contender:
    """One pool: how it is called, where it comes from, how it is built."""

    name: str
    build: Callable[[Make, int, int], Handle]
    """Makes a pool of at most so many objects, so many of them ahead."""
    plain: tuple[str, str]
    """What a user writes to get `it` from `pool`, and to return it."""
    managed: str | None = None
    """The same for a `with` statement."""
    distribution: str | None = None
    imports: str = ""
    makes: bool = True
    """Whether it makes objects by itself when they are asked for."""
    tidies: bool = False
    """Whether a housekeeping round can be asked for."""


def _this(make: Make, size: int, ahead: int, **parameters: Any) -> Handle:
    pool = importlib.import_module("ProxyPatternPool").Pool(
        lambda _number: make(), max_size=size, min_size=ahead, **parameters
    )

    def tidy() -> None:
        """Do what the housekeeper's thread does at each turn."""
        pool._hkRound()
        if parameters.get("health") is not None:
            pool._health_check()
        pool._empty()
        pool._fill()

    return Handle(pool, pool.get, pool.ret, pool.shutdown, tidy)


def this_tidy(make: Make, size: int, ahead: int, *, health: bool) -> Handle:
    """Build this module's pool so that a round has idle times, or health too, to look at."""
    check = (lambda _obj: True) if health else None
    return _this(make, size, ahead, max_avail_delay=86400.0, delay=86400.0, health=check)


def _sqlalchemy(make: Make, size: int, ahead: int) -> Handle:
    module = importlib.import_module("sqlalchemy.pool")
    keep = ahead or size
    pool = module.QueuePool(
        make, pool_size=keep, max_overflow=size - keep, reset_on_return=None, timeout=TIMEOUT
    )
    for fairy in [pool.connect() for _ in range(ahead)]:
        fairy.close()
    ret = module.base._ConnectionFairy.close
    return Handle(pool, pool.connect, ret, pool.dispose)


def _psycopg(make: Make, size: int, ahead: int) -> Handle:
    module = importlib.import_module("psycopg_pool")
    kind = type("StandIn", (Connection,), {"connect": staticmethod(lambda *_args, **_kwargs: make())})
    pool = module.ConnectionPool(
        "", connection_class=kind, min_size=ahead, max_size=size, open=True, timeout=TIMEOUT
    )
    if ahead:
        pool.wait(TIMEOUT)
    return Handle(pool, pool.getconn, pool.putconn, pool.close, pool.check)


def _dbutils(make: Make, size: int, ahead: int) -> Handle:
    module = importlib.import_module("dbutils.pooled_db")

    def creator() -> Connection:  # DBUtils looks at attributes of what it is given
        return make()

    pool = module.PooledDB(creator, mincached=ahead, maxconnections=size, blocking=True, ping=0, reset=False)
    ret = module.PooledDedicatedDBConnection.close
    return Handle(pool, pool.connection, ret, pool.close)


def _connpool(make: Make, size: int, ahead: int) -> Handle:
    module = importlib.import_module("connpool")
    config = module.PoolConfig(
        min_size=ahead, max_size=size, acquire_timeout=TIMEOUT, validate_after_idle=None, validate_idle=True,
        maintenance_interval=86400.0,
    )  # fmt: skip
    pool = module.ConnectionPool.from_callables(make, validate=lambda _obj: True, config=config)
    pool.open()
    return Handle(pool, pool.acquire, pool.release, pool.close, pool.run_maintenance)


def _generic(make: Make, size: int, ahead: int) -> Handle:
    module = importlib.import_module("generic_connection_pool.threading")

    def create(_self: object, _endpoint: str, timeout: float | None = None) -> Connection:
        return make()

    def dispose(_self: object, _endpoint: str, _conn: Connection, timeout: float | None = None) -> None:
        return None

    manager = type("Manager", (module.BaseConnectionManager,), {"create": create, "dispose": dispose})
    pool = module.ConnectionPool(
        manager(), min_idle=ahead or size, max_size=size, total_max_size=size, acquire_timeout=TIMEOUT,
        background_collector=True,
    )  # fmt: skip
    held = [pool.acquire("db") for _ in range(ahead)]
    for conn in held:
        pool.release(conn, "db")
    return Handle(
        pool,
        functools.partial(pool.acquire, "db"),
        functools.partial(pool.release, endpoint="db"),
        functools.partial(pool.close, 1.0),
    )


def _queue(kind: Callable[[], Any]) -> Callable[[Make, int, int], Handle]:
    def build(make: Make, size: int, _ahead: int) -> Handle:
        objects = kind()
        for _ in range(size):
            objects.put(make())
        return Handle(objects, objects.get, objects.put, lambda: None)

    return build


THIS = "ProxyPatternPool"

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(
            THIS, _this, ("pool.get()", "pool.ret(it)"), "pool.obj()", None, "ProxyPatternPool", tidies=True
        ),
        Contender(
            "SQLAlchemy QueuePool",
            _sqlalchemy,
            ("pool.connect()", "it.close()"),
            "closing(pool.connect())",
            "SQLAlchemy",
            "sqlalchemy.pool",
        ),
        Contender(
            "psycopg_pool",
            _psycopg,
            ("pool.getconn()", "pool.putconn(it)"),
            "pool.connection()",
            "psycopg-pool",
            "psycopg_pool",
            tidies=True,
        ),
        Contender(
            "DBUtils PooledDB",
            _dbutils,
            ("pool.connection()", "it.close()"),
            "pool.connection()",
            "DBUtils",
            "dbutils.pooled_db",
        ),
        Contender(
            "connpool",
            _connpool,
            ("pool.acquire()", "pool.release(it)"),
            "pool.connection()",
            "connpool",
            "connpool",
            tidies=True,
        ),
        Contender(
            "generic-connection-pool",
            _generic,
            ("pool.acquire('db')", "pool.release(it, 'db')"),
            "pool.connection('db')",
            "generic-connection-pool",
            "generic_connection_pool.threading",
        ),
        Contender("queue.LifoQueue", _queue(queue.LifoQueue), ("pool.get()", "pool.put(it)"), makes=False),
        Contender(
            "queue.SimpleQueue", _queue(queue.SimpleQueue), ("pool.get()", "pool.put(it)"), makes=False
        ),
    )
}


class Maker:
    """Makes connections, slowly if asked, and counts them."""

    def __init__(self, seconds: float = 0.0) -> None:
        """Say how long each takes."""
        self.seconds = seconds
        self._made: list[int] = []

    def __call__(self) -> Connection:
        """Make one."""
        if self.seconds:
            time.sleep(self.seconds)
        self._made.append(1)
        return Connection()

    @property
    def made(self) -> int:
        """How many were made so far."""
        return len(self._made)
