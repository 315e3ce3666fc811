"""asyncio tasks, each with a connection of its own (scope VERSATILE goes by context).

    pip install ProxyPatternPool
    python asyncio_tasks.py

A task that waited in the pool would stop every other task. So tasks wait at an
`asyncio.Semaphore` with a permit for each object, and ask the pool with `timeout=0`,
which never waits. A task started while its parent has an object shares it: draw
objects in the tasks that use them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys

import ProxyPatternPool as ppp

SIZE = 3

db: ppp.Proxy[sqlite3.Connection] = ppp.Proxy(
    scope=ppp.Proxy.Scope.VERSATILE,
    max_size=SIZE,
    closer=sqlite3.Connection.close,
)


def query(task: int) -> int:
    """Use this task's connection, as code that knows nothing of tasks does."""
    # fails if another task were on this connection
    db.execute("CREATE TEMP TABLE mine (task)")
    db.execute("INSERT INTO mine VALUES (?)", (task,))
    (found,) = db.execute("SELECT task FROM mine").fetchone()
    db.execute("DROP TABLE mine")
    return int(found)


async def work(task: int, room: asyncio.Semaphore) -> int:
    """Query twice on one connection, in threads that get the task's context."""
    async with room:
        with db._obj(timeout=0):
            first = await asyncio.to_thread(query, task)
            await asyncio.sleep(0.001)  # other tasks go on with theirs
            return (first + await asyncio.to_thread(query, task)) // 2


async def inherit() -> bool:
    """Tell whether a task has the connection that its parent had when it started."""
    with db._obj(timeout=0) as mine:

        async def child() -> bool:
            return db._get_obj() is mine

        return await asyncio.create_task(child())


async def everything() -> int:
    """Run 50 tasks over 3 connections."""
    room = asyncio.Semaphore(SIZE)
    found = await asyncio.gather(*(work(task, room) for task in range(50)))
    if found != list(range(50)):
        print(f"mixed up: {found}", file=sys.stderr)
        return 1
    assert db._pool is not None
    print(f"{len(found)} tasks, {db._pool.stats()['ncreated']} connections")
    print(f"inherited by a task started meanwhile: {await inherit()}")
    return 0


def main() -> int:
    """Fill the proxy, and run the tasks."""
    db.set_fun(
        lambda number: sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None
        )
    )
    try:
        return asyncio.run(everything())
    finally:
        if db._pool is not None:
            db._pool.shutdown()


if __name__ == "__main__":
    sys.exit(main())
