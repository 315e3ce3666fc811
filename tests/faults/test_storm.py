"""Storms: many threads, failing hooks, interruptions and forks at once; afterwards nothing may be lost.

`PPP_STRESS_SECONDS=600` makes the short form proportionally longer.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest
from conftest import HOOKS, Factory, Resource
from helpers import keep_house, rounds, start
from helpers_faults import GIL, PATIENCE, STRESS, Fault, check_usable, in_child, switching

import ProxyPatternPool as ppp

SECONDS = (STRESS or 4.5) / 3
MOST = 4
LEAST = 2
PARAMETERS: dict[str, Any] = {"max_use": 7, "health_freq": 2, "max_waiting": 14, "check_after_idle": 0.002}
PARAMETERS |= {"max_avail_delay": 0.01, "delay": 0.005, "max_lifetime": 0.2, "invalidate_on": BrokenPipeError}

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.timeout(STRESS + 60),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


class Storm(Factory):
    """The maker of things in a storm; it and their hooks fail at random and account for what is alive."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kills = kind == "holders are killed"
        self.torn = kind == "switches between any two lines"
        self.rate = 0.0  # how often a hook fails
        self.busy: dict[Resource, str] = {}  # who has it in hand
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()

    @property
    def enough(self) -> bool:
        """Whether enough has happened: on a loaded machine, little does in a second."""
        return min(self.done[what] for what in ("held", "faults", "interruptions")) > 10

    def note(self, record: logging.LogRecord) -> bool:
        """Count the warnings about wrong returns; let no message through (a filter)."""
        self.done["warnings"] += "unexpected object returned" in record.getMessage()
        return False

    def tally(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.done[what] += count
            self.most_alive = max(self.done["alive"], self.most_alive)

    def fail(self, where: str) -> str:
        """Raise something now and then: an error mostly, an interruption sometimes."""
        if random.random() < self.rate:
            kind = random.choice((Fault, Fault, Fault, KeyboardInterrupt, SystemExit))
            self.tally("faults" if kind is Fault else "interruptions")
            raise kind(where)
        return where

    def __call__(self, number: int) -> Resource:
        """Make a thing. It counts as alive from the first moment on, as it does for a server."""
        self.tally("alive")
        try:
            self.fail("make")
        except BaseException:
            self.tally("alive", -1)
            raise
        with self.lock:
            self.made.append(Resource(self, number, len(self.made)))
            return self.made[-1]

    def happen(self, name: str, thing: Resource) -> None:
        """Be a hook, which fails or refuses at random. A thing counts as alive until its closer has ended."""
        try:
            with self.in_hand(thing, name):
                self.fail(name)
            thing.healthy = random.random() >= self.rate
        finally:
            self.tally("alive", -(name == "close"))

    @contextmanager
    def in_hand(self, thing: Resource, what: str) -> Iterator[None]:
        """Note that a hook, or a holder, has a thing in hand, which nobody else may have then."""
        with self.lock:
            if not self.kills or what not in ("lend", "check", "close"):  # who gets it may be killed at once
                if thing.closings > (what == "close") and not (self.kills and what == "holder"):
                    self.wrong.append(f"{thing} with {what} after its end")
                if thing in self.busy:
                    self.wrong.append(f"{thing} with {what} and with {self.busy[thing]}")
        if what != "close":
            self.busy[thing] = what
        try:
            yield
        finally:
            if what != "close":
                self.busy.pop(thing, None)

    def hold(self, thing: Resource, chance: random.Random) -> None:
        """Hold an object for a moment, and now and then for longer than the kill delay."""
        with self.in_hand(thing, "holder"):
            if chance.random() < 0.3:
                time.sleep(0.03 if self.kills and chance.random() < 0.05 else chance.random() * 0.001)
        self.tally("held")

    def use(self, pool: ppp.Pool[Resource], chance: random.Random) -> None:
        """Do one thing that a program does with a pool, at random."""
        draw = chance.random()
        timeout = chance.choice((0, 0.001, 0.05, 1.0))
        if draw < 0.47:
            thing = pool.get(timeout)
            self.hold(thing, chance)
            (pool.ret if draw < 0.40 else pool.invalidate)(thing)
        elif draw < 0.82:
            with pool.obj(timeout) as thing:
                self.hold(thing, chance)
                if chance.random() < 0.2:
                    raise chance.choice((Fault, BrokenPipeError, KeyboardInterrupt))("body")
        elif draw < 0.87:
            self.tally("foreign")
            pool.ret(Resource(self, -1, -1))
        elif draw < 0.96:
            assert len(pool.stats()["using"]) <= MOST
        elif draw < 0.97:
            with pool._lock:
                time.sleep(0.0005)
        elif draw < 0.98:
            pool.drain()
        elif draw < 0.99:
            keep_house(pool)
        else:
            pool.resize(min_size=chance.randint(0, 2), max_size=chance.randint(2, MOST))

    def work(self, pool: ppp.Pool[Resource], seed: int, stop: threading.Event) -> None:
        """Be one thread of the storm."""
        chance = random.Random(seed)
        if self.torn:
            sys.settrace(between_lines)
        while not stop.is_set():
            with suppress(ppp.TimeOut, Fault, BrokenPipeError, KeyboardInterrupt, SystemExit):
                self.use(pool, chance)
        sys.settrace(None)

    def child(self, pool: ppp.Pool[Resource]) -> bool:
        """Use the pool in a forked process, which has its own objects and its own housekeeper."""
        self.lock, self.rate = threading.RLock(), 0.0
        theirs = self.closings
        with pool.obj(timeout=PATIENCE / 4) as thing:
            assert thing.serial >= len(theirs)
            assert pool._housekeeper is not None
            assert pool._housekeeper.is_alive()
        pool.shutdown(delay=PATIENCE / 4)
        return self.closings == theirs + [1] * (len(self.made) - len(theirs))


def between_lines(frame: FrameType, event: str, arg: object) -> Any:
    """Let other threads run between any two lines of the library (a trace function)."""
    if frame.f_code.co_filename != ppp.__file__:
        return None
    if event == "line" and random.random() < 0.1:
        time.sleep(0)
    return between_lines


@pytest.mark.parametrize("kind", ["calm", "holders are killed", "switches between any two lines"])
def test_storm(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Sixteen threads, failing hooks, interruptions, drains, resizes and forks lose nothing."""
    storm = Storm(kind)
    monkeypatch.setattr(ppp.log, "filters", [storm.note])
    with switching(1e-6):
        hooks: dict[str, Any] = {"tracer": lambda _: storm.fail("tracer"), **HOOKS}
        pool = ppp.Pool(storm, MOST, LEAST, max_using_delay_kill=0.02 * storm.kills, **PARAMETERS, **hooks)
        storm.rate = 0.03
        stop = threading.Event()
        tasks = [start(storm.work, pool, seed, stop) for seed in range(16)]
        limit = time.monotonic() + SECONDS
        while (
            (time.monotonic() < limit or not storm.enough)
            and not storm.wrong
            and all(task.is_alive() for task in tasks)
        ):
            if GIL and hasattr(os, "fork") and (status := in_child(lambda: storm.child(pool), int(PATIENCE))):
                storm.wrong.append(f"child ended with {status}")
            stop.wait(0.01)
        stop.set()
        for task in tasks:
            task.result(PATIENCE)
    storm.rate = 0.0
    assert storm.wrong[:3] == []
    pool.resize(min_size=LEAST, max_size=MOST)
    rounds(pool)
    check_usable(pool, storm)
    assert set(storm.closings) == {1}
    assert storm.most_alive <= MOST
    print(f"\n{dict(storm.done)}, {len(storm.made)} made, at most {storm.most_alive} alive")
    assert storm.kills or storm.done["warnings"] <= storm.done["foreign"]  # nobody was accused falsely
