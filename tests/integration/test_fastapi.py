"""FastAPI: the halves of a `yield` dependency run in different threads and contexts, and nothing is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated

import httpx
import pytest
from anyio import to_thread
from fastapi import Depends, FastAPI, HTTPException
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.responses import StreamingResponse

import ProxyPatternPool as ppp

REQUESTS = 300
CLIENTS = 16  # fewer than the 40 threads of the server, which waiting dependencies and routes share
CONNECTIONS = 4


class Connection:
    """Knows which requests have it, and is not made for two."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.holders = 0
        self.shared = 0

    def query(self) -> int:
        """Take some time, for one request alone."""
        self.shared += self.holders != 1
        time.sleep(0.001)
        return self.number


class Database:
    """Four connections, behind a pool or a proxy, and the blocks in which requests have one."""

    def __init__(self, through: str) -> None:
        self.made: list[Connection] = []
        proxy: ppp.Proxy[Connection] = ppp.Proxy(
            fun=self.connect, scope=ppp.Proxy.Scope.WERKZEUG, max_size=CONNECTIONS, timeout=5.0
        )
        assert proxy._pool is not None
        self.pool = proxy._pool
        self.draw: Callable[[], AbstractContextManager[Connection]]
        self.draw = self.pool.obj if through == "pool" else proxy._obj

    def connect(self, number: int) -> Connection:
        """Connect (the pool's `fun`)."""
        self.made.append(Connection(number))
        return self.made[-1]

    @contextmanager
    def block(self) -> Iterator[Connection]:
        """Have a connection for one request."""
        with self.draw() as connection:
            connection.holders += 1
            try:
                yield connection
            finally:
                connection.holders -= 1


def application(database: Database) -> FastAPI:
    """Build routes and dependencies of each kind."""
    app = FastAPI()
    seats: list[asyncio.Semaphore] = []

    def sync_connection() -> Iterator[Connection]:
        with database.block() as connection:
            yield connection

    async def async_connection() -> AsyncIterator[Connection]:
        """Wait for a seat where the loop goes on, so that the pool, which would stop it, has one free."""
        if not seats:
            seats.append(asyncio.Semaphore(CONNECTIONS))
        async with seats[0]:
            with database.block() as connection:
                yield connection

    async def threaded_connection() -> AsyncIterator[Connection]:
        """Wait for the pool in one of the server's threads."""
        async with contextmanager_in_threadpool(database.block()) as connection:
            yield connection

    @app.get("/sync")
    def sync_route(db: Annotated[Connection, Depends(sync_connection)]) -> int:
        return db.query()

    @app.get("/async")
    async def async_route(db: Annotated[Connection, Depends(async_connection)]) -> int:
        await asyncio.sleep(0.001)
        return db.query()

    @app.get("/sync-async")
    async def sync_then_async(db: Annotated[Connection, Depends(sync_connection)]) -> int:
        await asyncio.sleep(0.001)
        return await to_thread.run_sync(db.query)

    @app.get("/async-sync")
    def async_then_sync(db: Annotated[Connection, Depends(threaded_connection)]) -> int:
        return db.query()

    @app.get("/refused")
    def refused(db: Annotated[Connection, Depends(sync_connection)]) -> None:
        db.query()
        raise HTTPException(409)

    @app.get("/stream")
    def stream(db: Annotated[Connection, Depends(sync_connection)]) -> StreamingResponse:
        return StreamingResponse(f"{db.query()}\n" for _ in range(3))

    @app.get("/stream-async")
    async def stream_async(db: Annotated[Connection, Depends(threaded_connection)]) -> StreamingResponse:
        async def rows() -> AsyncIterator[str]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                yield f"{db.query()}\n"

        return StreamingResponse(rows())

    return app


async def ask_all(app: FastAPI, paths: tuple[str, ...]) -> list[int]:
    """Send the requests from a few clients at once, and give the statuses."""
    numbers = iter(range(REQUESTS))
    statuses = []

    async def ask(client: httpx.AsyncClient) -> None:
        for number in numbers:
            answer = await client.get(paths[number % len(paths)])
            statuses.append(answer.status_code)
            if 500 in statuses:  # the others would fail as well, slowly
                break

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60.0) as client:
        await asyncio.gather(*[ask(client) for _ in range(CLIENTS)])
    return statuses


@pytest.mark.parametrize("through", ["pool", "proxy"])
@pytest.mark.parametrize(
    "paths",
    [
        ("/sync",),
        ("/async",),
        ("/sync", "/sync-async", "/refused", "/async-sync", "/stream", "/stream-async"),
    ],
    ids=["sync", "async", "mixed"],
)
def test_yield_dependencies(through: str, paths: tuple[str, ...]) -> None:
    """Of 300 requests on 4 connections none fails and no two share one; all are back at the end."""
    database = Database(through)
    statuses = asyncio.run(ask_all(application(database), paths))
    assert set(statuses) <= {200, 409}
    assert statuses.count(409) == REQUESTS * paths.count("/refused") // len(paths)
    assert sum(connection.shared for connection in database.made) == 0
    stats = database.pool.stats()
    assert (stats["nusing"], stats["navail"]) == (0, len(database.made))
    assert stats["ncreated"] <= CONNECTIONS
    assert stats["nuses"] == REQUESTS
    database.pool.shutdown()
