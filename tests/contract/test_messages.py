"""The table of log messages: each has its level and its fragment, which programs look for."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource
from helpers import BUSY, HOUR, Hostile, eventually, no_luck

Scene = Callable[[MakePool], Any]


def scene(how: str, *args: Any, **parameters: Any) -> Scene:
    """Make a scene in which this method is called of a pool that has lent two objects, or with the first."""

    def play(make_pool: MakePool) -> None:
        pool = make_pool(max_use=1, **parameters)
        with suppress(ValueError):
            lent = pool.get(), pool.get()
            getattr(pool, how)(*args or lent[:1])

    return play


def round_fails(make_pool: MakePool) -> None:
    """Let the housekeeper's round fail, twice."""
    pool = make_pool(delay=BUSY)
    pool._hkRound = no_luck  # type: ignore[method-assign]
    eventually(lambda: pool._hk_errors >= 2)
    assert pool._housekeeper is not None


HOOKS = ("opener", "getter", "retter", "reset", "closer")
UNKNOWN = "exception in tracer on unexpected returned object: …no luck"
TWISTED = "inconsistent max_using_delay_warn > max_using_delay_kill"
MESSAGES: list[tuple[str, str, Scene]] = [
    *[("ERROR", f"exception in {hook}: …no luck", scene("ret", **{hook: no_luck})) for hook in HOOKS],
    ("ERROR", "object creation failed: …no luck", scene("ret", fun=no_luck, min_size=0)),
    ("ERROR", "new object failed: …no luck", lambda make_pool: make_pool(no_luck)),
    ("ERROR", "bad health: …", lambda make_pool: make_pool(health=lambda _: False)._health_check()),
    ("ERROR", "health check error: …no luck", lambda make_pool: make_pool(health=no_luck)._health_check()),
    ("ERROR", "housekeeper round error: …no luck", round_fails),
    ("ERROR", UNKNOWN, scene("ret", "foreign", tracer=no_luck)),
    ("WARNING", "unexpected object returned: …", scene("ret", Hostile())),
    ("WARNING", "deleting in-use objects: 2", scene("shutdown", 0.0)),
    ("WARNING", "deleting in-use objects: 2", scene("__delete__", None)),
    ("WARNING", TWISTED, scene("ret", max_using_delay=20.0, max_using_delay_kill=10.0)),
    ("INFO", "housekeeper …db… running every …3600", scene("ret", delay=HOUR, name="db")),
]


@pytest.mark.parametrize(("level", "fragment", "play"), MESSAGES)
def test_message(make_pool: MakePool, caplog: Any, level: str, fragment: str, play: Scene) -> None:
    """Each message of the contract has its level and its fragment; the traceback of an error is kept."""
    caplog.set_level(logging.DEBUG, logger="ppp")
    play(make_pool)
    parts = fragment.split("…")
    records = eventually(lambda: [each for each in caplog.records if each.levelname == level], seconds=2.0)
    assert any(all(part in record.getMessage() for part in parts) for record in records)
    assert [bool(record.exc_info) for record in records] == ["no luck" in fragment] * len(records)


def test_long_running(make_pool: MakePool, messages: Messages, clock: Clock) -> None:
    """A round says how many objects of which pool are held too long, their mean time, how many it kills."""
    pool = make_pool(max_using_delay=10.0, max_using_delay_kill=20.0, delay=HOUR, name="db")
    for seconds in (8.0, 8.0, 6.0):
        pool.get()
        clock.advance(seconds)
        pool._hkRound()
    first, second = [text for text in messages() if "long running objects" in text]
    assert re.match(r"pool 'db': long running objects: 1 \(16(\.0*)? seconds, 0 to kill\)", first)
    assert re.match(r"pool 'db': long running objects: 2 \(18(\.0*)? seconds, 1 to kill\)", second)


def test_werkzeug_workaround(
    make_pool: MakePool, factory: Factory, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first process of `flask --debug` a pool makes nothing ahead, and says so."""
    fragment = "skipping housekeeper thread creation under werkzeug empty start"
    monkeypatch.setenv("PPP_WERKZEUG_WORKAROUND", "1")
    pool = make_pool(delay=HOUR)
    assert any(fragment in text for text in messages())
    assert (pool._housekeeper, factory.made) == (None, [])
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    assert make_pool(delay=HOUR)._housekeeper is not None
    assert len(factory.made) == 1


@pytest.mark.parametrize(("level", "least"), [(logging.DEBUG, 2), (logging.INFO, 0)])
def test_debug_lines(make_pool: MakePool, messages: Messages, level: int, least: int) -> None:
    """While debugging, each get, return, creation and destruction has its line; else nothing is described."""
    described: list[Resource] = []
    pool = make_pool(max_use=1, min_size=0, log_level=level, tracer=described.append)
    resource = pool.get()
    before = len(messages("DEBUG"))
    pool.ret(resource)
    after = len(messages("DEBUG"))
    assert min(before, after - before) >= least
    assert (after > 0, bool(described)) == (least > 0, least > 0)
