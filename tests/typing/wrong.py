"""A user's program with mistakes: type checkers must report each line so marked, and no other."""

import sqlite3

import ProxyPatternPool as ppp


def connect(number: int) -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


def takes_nothing() -> None:
    pass


async def says_later(db: sqlite3.Connection) -> bool:
    return True


pool = ppp.Pool(connect)
proxy = ppp.Proxy(fun=connect)

ppp.Pool("connect")  # wrong
ppp.Pool(len)  # wrong
ppp.Pool(connect, health=str)  # wrong
ppp.Pool(connect, health=says_later)  # wrong
ppp.Pool(connect, closer=takes_nothing)  # wrong
ppp.Pool(connect, tracer=len)  # wrong
ppp.Pool(connect, max_size="4")  # wrong
ppp.Pool(connect, max_sise=4)  # wrong
text: str = pool.get()  # wrong
pool.get("soon")  # wrong
pool.ret("connection")  # wrong
pool.obj().close()  # wrong
number: int = proxy._get_obj()  # wrong
