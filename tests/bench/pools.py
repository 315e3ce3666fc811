"""The pools that are compared, each behind the same few functions.

Each is set up as bare as it goes: no reset, no ping, no check at checkout, four objects made ahead
where the work does not say otherwise. What is timed in one thread is what a user of that pool writes,
with no wrapper of ours around it.
"""

from __future__ import annotations

import time
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
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

    def close(self, *_ignored: object) -> None:
        pass

    cursor = execute = commit = rollback = __exit__ = close

    def __enter__(self) -> Connection:
        return self


class Maker:
    """Makes connections, slowly if asked, and counts them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.made: list[int] = []

    def __call__(self) -> Connection:
        if self.seconds:
            time.sleep(self.seconds)
        self.made.append(1)
        return Connection()


@dataclass
class Handle:
    """A pool that was built: what the work calls."""

    pool: Any
    get: Callable[[], Any]
    ret: Callable[[Any], Any]
    close: Callable[[], Any]
    tidy: Callable[[], Any] = lambda: None
    """One housekeeping round over all idle objects."""


def _this(module: Any, make: Maker, size: int, ahead: int, **parameters: Any) -> Handle:
    pool = module.Pool(lambda _number: make(), max_size=size, min_size=ahead, **parameters)

    def tidy() -> None:
        """Do what the housekeeper's thread does at each turn."""
        pool._hkRound()
        pool._health_check()
        pool._empty()
        pool._fill()

    return Handle(pool, pool.get, pool.ret, pool.shutdown, tidy)


def _sqlalchemy(module: Any, make: Maker, size: int, ahead: int) -> Handle:
    keep = ahead or size
    pool = module.QueuePool(
        make, pool_size=keep, max_overflow=size - keep, reset_on_return=None, timeout=TIMEOUT
    )
    for fairy in [pool.connect() for _ in range(ahead)]:
        fairy.close()
    return Handle(pool, pool.connect, module.base._ConnectionFairy.close, pool.dispose)


def _psycopg(module: Any, make: Maker, size: int, ahead: int) -> Handle:
    kind = type("StandIn", (Connection,), {"connect": staticmethod(lambda *_args, **_kwargs: make())})
    pool = module.ConnectionPool(
        "", connection_class=kind, min_size=ahead, max_size=size, open=True, timeout=TIMEOUT
    )
    pool.wait(TIMEOUT)
    return Handle(pool, pool.getconn, pool.putconn, pool.close, pool.check)


def _dbutils(module: Any, make: Maker, size: int, ahead: int) -> Handle:
    pool = module.PooledDB(make, mincached=ahead, maxconnections=size, blocking=True, ping=0, reset=False)
    return Handle(pool, pool.connection, module.PooledDedicatedDBConnection.close, pool.close)


def _connpool(module: Any, make: Maker, size: int, ahead: int) -> Handle:
    sizes = {"min_size": ahead, "max_size": size, "acquire_timeout": TIMEOUT}
    checks = {"validate_after_idle": None, "validate_idle": True, "maintenance_interval": 86400.0}
    config = module.PoolConfig(**sizes, **checks)
    pool = module.ConnectionPool.from_callables(make, validate=lambda _obj: True, config=config)
    pool.open()
    return Handle(pool, pool.acquire, pool.release, pool.close, pool.run_maintenance)


def _generic(module: Any, make: Maker, size: int, ahead: int) -> Handle:
    functions = {
        "create": lambda _self, _endpoint, timeout=None: make(),
        "dispose": lambda _self, _endpoint, _conn, timeout=None: None,
    }
    manager = type("Manager", (module.BaseConnectionManager,), functions)()
    sizes = {"min_idle": ahead or size, "max_size": size, "total_max_size": size}
    pool = module.ConnectionPool(manager, **sizes, acquire_timeout=TIMEOUT, background_collector=True)
    for conn in [pool.acquire("db") for _ in range(ahead)]:
        pool.release(conn, "db")
    get, ret = partial(pool.acquire, "db"), partial(pool.release, endpoint="db")
    return Handle(pool, get, ret, partial(pool.close, 1.0))


def _queue(kind: str, module: Any, make: Maker, size: int, _ahead: int) -> Handle:
    objects = getattr(module, kind)()
    for _ in range(size):
        objects.put(make())
    return Handle(objects, objects.get, objects.put, lambda: None)


@dataclass(frozen=True)
class Contender:
    """One pool, or proxy: how it is called, where it comes from, how it is built and used."""

    name: str
    module: str
    build: Callable[..., Any]
    """Makes of the module a pool of at most so many objects, so many of them ahead; or a proxy of a thing."""
    get: str = "pool.connection()"
    ret: str = "it.close()"
    """What a user writes to get `it` from `pool`, and to return it."""
    managed: str | None = "pool.connection()"
    """The same for a `with` statement."""


THIS = "ProxyPatternPool"
BY_PROXY = f"{THIS}, by proxy"
NO_HEALTH = f"{THIS}, no health hook"
FLOOR = "queue.SimpleQueue"
LIFO = Contender("queue.LifoQueue", "queue", partial(_queue, "LifoQueue"), "pool.get()", "pool.put(it)", None)
SQL = "pool.connect()"
GENERIC = ("generic-connection-pool", "generic_connection_pool.threading", _generic)

CONTENDERS = [
    Contender(THIS, THIS, _this, "pool.get()", "pool.ret(it)", "pool.obj()"),
    Contender("SQLAlchemy QueuePool", "sqlalchemy.pool", _sqlalchemy, SQL, managed=f"closing({SQL})"),
    Contender("psycopg_pool", "psycopg_pool", _psycopg, "pool.getconn()", "pool.putconn(it)"),
    Contender("DBUtils PooledDB", "dbutils.pooled_db", _dbutils),
    Contender("connpool", "connpool", _connpool, "pool.acquire()", "pool.release(it)"),
    Contender(*GENERIC, "pool.acquire('db')", "pool.release(it, 'db')", "pool.connection('db')"),
    LIFO,
    replace(LIFO, name=FLOOR, build=partial(_queue, "SimpleQueue")),
]

MAKERS = [contender for contender in CONTENDERS if contender.module != "queue"]
"""Those that make objects by themselves when they are asked for."""

_tidied = partial(_this, max_avail_delay=86400.0, delay=86400.0)
HOUSEKEEPERS = [
    replace(CONTENDERS[0], build=partial(_tidied, health=lambda _obj: True)),
    replace(CONTENDERS[0], name=NO_HEALTH, build=_tidied),
    *(contender for contender in CONTENDERS if contender.name in ("psycopg_pool", "connpool")),
]
"""Those that can be asked for a round; this module's has idle times, and health too, to look at."""
