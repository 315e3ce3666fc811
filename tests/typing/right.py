"""A user's program, all of it right: type checkers must say nothing, and know each type."""

import sqlite3
from typing import Any

from typing_extensions import assert_type

import ProxyPatternPool as ppp


def connect(number: int) -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def healthy(db: sqlite3.Connection) -> bool:
    return db.total_changes >= 0


pool = ppp.Pool(
    connect,
    4,
    1,
    timeout=1.0,
    max_use=100,
    opener=healthy,
    getter=lambda db: db.rollback(),
    retter=sqlite3.Connection.rollback,
    closer=sqlite3.Connection.close,
    health=healthy,
    stats=lambda db: {"changes": db.total_changes},
    tracer=str,
    name="right",
    invalidate_on=(sqlite3.OperationalError,),
)
assert_type(pool, ppp.Pool[sqlite3.Connection])

lent = pool.get(0.5)
assert_type(lent, sqlite3.Connection)
pool.ret(lent)

with pool.obj(timeout=None) as held:
    assert_type(held, sqlite3.Connection)


@pool.obj()
def count(first: int) -> int:
    return first + 1


assert_type(count(1), int)

broken = pool.get()
pool.invalidate(broken)
pool.resize(max_size=2)
pool.drain()
pool.shutdown(0.1, grace=0.1)

with ppp.Pool(lambda number: [number], max_size=None) as lists:
    assert_type(lists.get(), list[int])

# as a configuration in YAML says it
ppp.Pool(connect, 4, None, None, None, None, None, None, None, None, log_level=None).shutdown()
ppp.Pool(connect, max_lifetime=None, check_after_idle=None, max_waiting=None).shutdown()

maker: ppp.FunHook = connect
hook: ppp.PoolHook = sqlite3.Connection.rollback
tracer: ppp.TraceHook = str
keys: list[str] = list(pool.stats())

proxy: ppp.Proxy[sqlite3.Connection] = ppp.Proxy(max_size=4)
proxy._set_pool(max_size=2)
proxy._set_fun(connect)
proxy.set_fun(connect)
assert_type(proxy._has_obj(), bool)
assert_type(proxy._get_obj(), sqlite3.Connection)
with proxy._obj() as mine:
    assert_type(mine, sqlite3.Connection)
proxy.execute("SELECT 1")


def show(connection: sqlite3.Connection) -> None:
    print(connection.total_changes)


show(proxy)  # it goes wherever its object goes
proxy._ret_obj()
proxy._set_obj(None)

assert_type(ppp.Proxy(fun=connect)._get_obj(), sqlite3.Connection)
assert_type(ppp.Proxy(obj="text", scope=ppp.Proxy.Scope.SHARED)._get_obj(), str)


class Reference(ppp.Proxy[sqlite3.Connection]):
    """A proxy with a constructor of its own."""

    def __init__(self, path: str) -> None:
        super().__init__(fun=lambda number: sqlite3.connect(path), max_size=None)


assert_type(Reference(":memory:")._get_obj(), sqlite3.Connection)

# as the README begins: what it stands for is not known yet, and may be used in any way
db = ppp.Proxy()
assert_type(db._get_obj(), Any)
db.execute("SELECT 1")
named = ppp.Proxy(set_name="become", max_size=4)
named.become_fun(connect)

number: ppp.Proxy[int] = ppp.Proxy(obj=12)
print(~number, +number, -number, abs(number), round(number), divmod(number, 5), divmod(25, number))
print(number @ number, number << 1, 1 << number, number >> 1, 1 >> number, number & 1, 1 & number)
print(number | 1, 1 | number, number ^ 1, 1 ^ number, number**2, 2**number, number // 5, 5 // number)
print(number % 5, 5 % number, number + 1, 1 + number, number - 1, 1 - number, number * 2, 2 * number)
