"""FastAPI: the halves of a `yield` dependency run in different threads and contexts, and nothing is lost.

That what a refused request wrote is undone, the page's own program shows (test_pages.py).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from anyio import to_thread
from conftest import Keep
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from helpers import numbers

import ProxyPatternPool as ppp

REQUESTS = 300
CLIENTS = 16  # fewer than the 40 threads of the server, which waiting dependencies and routes share
CONNECTIONS = 4
PATHS = ("/async", "/sync", "/stream")


class Connection:
    """Knows whether one request has it, and is not made for two."""

    holders = shared = 0

    def query(self) -> bool:
        """Take some time, for one request alone."""
        self.shared += self.holders != 1
        time.sleep(0.001)
        return self.shared == 0


def application(draw: Any) -> FastAPI:
    """Build a route of each kind, which depends on a connection in a block of `draw`."""
    app = FastAPI()

    def connection() -> Iterator[Connection]:
        with draw() as drawn:
            drawn.holders += 1
            try:
                yield drawn
            finally:
                drawn.holders -= 1

    @app.get("/async")
    async def in_loop(db: Annotated[Connection, Depends(connection)]) -> bool:
        await asyncio.sleep(0.001)
        return await to_thread.run_sync(db.query)

    @app.get("/sync")
    def in_thread(db: Annotated[Connection, Depends(connection)]) -> bool:
        return db.query()

    @app.get("/stream")
    async def stream(db: Annotated[Connection, Depends(connection)]) -> StreamingResponse:
        async def rows() -> AsyncIterator[str]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                yield str(db.query())

        return StreamingResponse(rows())

    return app


async def ask_all(app: FastAPI) -> list[int]:
    """Send the requests from a few clients at once, and give the statuses."""
    statuses: list[int] = []
    some = asyncio.Semaphore(CLIENTS)

    async def ask(client: httpx.AsyncClient, path: str) -> None:
        async with some:
            statuses.append((await client.get(path)).status_code)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60.0) as client:
        await asyncio.gather(*[ask(client, path) for path in PATHS * (REQUESTS // len(PATHS))])
    return statuses


@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_yield_dependencies(keep: Keep, through: str) -> None:
    """Of 300 requests on 4 connections none fails and no two share one; all are back at the end."""
    made: list[Connection] = []

    def connect(_number: int) -> Connection:
        made.append(Connection())
        return made[-1]

    scope = ppp.Proxy.Scope.WERKZEUG
    proxy = keep(ppp.Proxy(fun=connect, scope=scope, max_size=CONNECTIONS, timeout=5.0))
    draw = proxy._pool.obj if through == "pool" else proxy._obj
    assert asyncio.run(ask_all(application(draw))) == [200] * REQUESTS
    assert sum(connection.shared for connection in made) == 0
    assert numbers(proxy._pool, "nusing navail nuses") == [0, len(made), REQUESTS]
    assert len(made) <= CONNECTIONS
