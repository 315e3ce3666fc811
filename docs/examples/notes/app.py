"""The application: `create_app` fills the proxy from the configuration.

Run it in several processes (each makes its own connections, on its first request):

    NOTES_DATABASE=notes.db gunicorn --preload --workers 2 --threads 8 "app:create_app()"

A process serves one application, since the proxy is the module's. Another call of `create_app`, as in tests,
fills the proxy anew: applications made earlier use the new database from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import database
from database import db
from flask import Flask, Response, current_app
from notes import notes

import ProxyPatternPool as ppp

DEFAULTS: dict[str, Any] = {
    "DATABASE": "notes.db",
    "BUSY_TIMEOUT": 5.0,
    # POOL_X is the pool's parameter x.
    "POOL_MAX_SIZE": 4,
    "POOL_MIN_SIZE": 0,  # no connection is made before the first request, hence none before a fork
    "POOL_TIMEOUT": 2.0,
    "POOL_MAX_USE": 0,
    "POOL_MAX_AVAIL_DELAY": 60.0,
    "POOL_MAX_USING_DELAY": 10.0,
    "POOL_DELAY": 0.0,
    "POOL_GETTER": None,
    "POOL_RETTER": None,
}
"""Settings; the environment's `NOTES_…` come over them, then those given to `create_app`."""


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the application, and fill the proxy.

    Args:
        config: settings over `DEFAULTS` and the environment.
    """
    app = Flask(__name__)
    app.config.from_mapping(DEFAULTS)
    app.config.from_prefixed_env("NOTES")
    app.config.update(config or {})

    path = str(app.config["DATABASE"])
    database.create_schema(path)
    database.fill(path, app.config["BUSY_TIMEOUT"], **app.config.get_namespace("POOL_"))

    app.register_blueprint(notes)
    app.after_request(commit)
    app.teardown_appcontext(give_back)
    app.register_error_handler(ppp.TimeOut, busy)
    app.add_url_rule("/", view_func=page)
    app.add_url_rule("/stats", view_func=stats)
    app.add_url_rule("/health", view_func=health)
    return app


def commit(response: Response) -> Response:
    """Commit before a successful response leaves; the pool's `reset` undoes everything else."""
    if response.status_code < 400 and db._has_obj():
        db.commit()
    return response


def give_back(error: BaseException | None) -> None:
    """Return the connection at the end of a request, a command or any other application context."""
    db._ret_obj()


def busy(error: Exception) -> tuple[dict[str, str], int, dict[str, str]]:
    """Say that every connection is in use."""
    return {"error": "all connections are in use, try again"}, 503, {"Retry-After": "1"}


def page() -> Response:
    """Show the pool live."""
    return current_app.send_static_file("pool.html")


def stats() -> dict[str, Any]:
    """Give the statistics of this process's pool. Takes no connection."""
    return {} if db._pool is None else db._pool.stats()


def health() -> dict[str, Any]:
    """Ask the database, and say which process asked over which connection."""
    db.execute("SELECT 1").fetchone()
    return {"status": "ok", "pid": os.getpid(), "connection": {"number": db.number, "pid": db.pid}}
