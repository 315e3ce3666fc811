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
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from helpers import Task, rounds
from helpers_faults import GIL, PATIENCE, STRESS, check_usable, in_child

import ProxyPatternPool as ppp

SECONDS = STRESS or 6.0
THREADS = 16
MOST = 4
LEAST = 2
RATE = 0.03
"""How often a hook fails."""

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.timeout(STRESS + 60),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


class Fault(Exception):
    """What a hook raises in a storm."""


class Broken(Exception):
    """What a holder raises when its object is broken (`invalidate_on`)."""


class Thing:
    """A pooled object: who has it in hand, and how often it was closed."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.pid = os.getpid()
        self.busy: str | None = None
        self.closings = 0


class Storm:
    """The makers and hooks of a pool in a storm; they fail at random and account for what is alive."""

    def __init__(self, kills: bool = False, torn: bool = False) -> None:
        self.kills = kills
        self.torn = torn
        self.lock = threading.Lock()
        self.rate = RATE
        self.most_alive = 0
        self.made: list[Thing] = []
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()

    @property
    def alive(self) -> list[Thing]:
        """The things that nobody has closed."""
        return [thing for thing in self.made if thing.closings == 0]

    def note(self, record: logging.LogRecord) -> bool:
        """Count the warnings about wrong returns; let no message through (a filter)."""
        self.done["warnings"] += "unexpected object returned" in record.getMessage()
        return False

    def tally(self, what: str, count: int = 1) -> None:
        """Count something."""
        with self.lock:
            self.done[what] += count
            self.most_alive = max(self.done["alive"], self.most_alive)

    def fail(self, where: str) -> None:
        """Raise something now and then: an error mostly, an interruption sometimes."""
        if random.random() < self.rate:
            kind = random.choice((Fault, Fault, Fault, KeyboardInterrupt, SystemExit))
            self.tally("faults" if kind is Fault else "interruptions")
            raise kind(where)

    def fun(self, number: int) -> Thing:
        """Make a thing. It counts as alive from the first moment on, as it does for a server."""
        self.tally("alive")
        try:
            self.fail("fun")
        except BaseException:
            self.tally("alive", -1)
            raise
        with self.lock:
            self.made.append(Thing(len(self.made)))
            return self.made[-1]

    def closer(self, thing: Thing) -> None:
        """Close a thing. It counts as alive until the last moment."""
        try:
            self.enter(thing, "closer")
            self.fail("closer")
        finally:
            thing.closings += 1
            self.tally("alive", -1)

    def enter(self, thing: Thing, what: str) -> None:
        """Note that a hook, or a holder, has a thing in hand, which nobody else may have then."""
        with self.lock:
            if self.kills and what in ("getter", "health", "closer"):  # who gets it may be killed at once
                return
            if thing.closings and not (self.kills and what == "holder"):
                self.wrong.append(f"thing {thing.serial} with {what} after its end")
            if thing.busy is not None:
                self.wrong.append(f"thing {thing.serial} with {what} and with {thing.busy}")

    def hook(self, what: str) -> Callable[[Thing], bool]:
        """Give a hook that looks at a thing, and now and then fails or refuses."""

        def run(thing: Thing) -> bool:
            self.enter(thing, what)
            thing.busy = what
            try:
                self.fail(what)
            finally:
                thing.busy = None
            return random.random() >= self.rate

        return run

    def describe(self, thing: Thing) -> str:
        """Be the tracer."""
        self.fail("tracer")
        return f"thing {thing.serial}"

    def build(self) -> ppp.Pool[Thing]:
        """Build the pool; the constructor is part of the storm and may be interrupted."""
        names = ("opener", "getter", "retter", "health", "reset")
        hooks: dict[str, Any] = {name: self.hook(name) for name in names}
        while True:
            with suppress(KeyboardInterrupt, SystemExit):
                return ppp.Pool(
                    self.fun,
                    max_size=MOST,
                    min_size=LEAST,
                    max_use=7,
                    max_avail_delay=0.01,
                    max_using_delay_kill=0.02 if self.kills else 0.0,
                    delay=0.005,
                    health_freq=2,
                    closer=self.closer,
                    tracer=self.describe,
                    max_lifetime=0.2,
                    check_after_idle=0.002,
                    invalidate_on=(Broken,),
                    max_waiting=14,
                    **hooks,
                )

    def hold(self, thing: Thing, chance: random.Random) -> None:
        """Hold an object for a moment, and now and then for longer than the kill delay."""
        self.enter(thing, "holder")
        thing.busy = "another holder"
        if chance.random() < 0.3:
            time.sleep(0.03 if self.kills and chance.random() < 0.05 else chance.random() * 0.001)
        thing.busy = None


def one_operation(storm: Storm, pool: ppp.Pool[Thing], chance: random.Random) -> str:
    """Do one thing that a program does with a pool, at random, and name it."""
    draw = chance.random()
    timeout = chance.choice((0, 0.001, 0.05, 1.0))
    if draw < 0.47:
        thing = pool.get(timeout)
        storm.hold(thing, chance)
        (pool.ret if draw < 0.40 else pool.invalidate)(thing)
        return "get and ret"
    if draw < 0.82:
        with pool.obj(timeout) as thing:
            storm.hold(thing, chance)
            if chance.random() < 0.2:
                raise chance.choice((Fault, Broken, KeyboardInterrupt))("body")
        return "with obj"
    if draw < 0.87:
        storm.tally("foreign")
        pool.ret(Thing(-1))
        return "wrong return"
    if draw < 0.96:
        assert len(pool.stats()["using"]) <= MOST
        return "stats"
    if draw < 0.97:
        with pool._lock:
            time.sleep(0.0005)
        return "lock"
    if draw < 0.98:
        pool.drain()
        return "drain"
    if draw < 0.99:
        pool._hkRound()
        pool._health_check()
        pool._empty()
        return "round"
    pool.resize(min_size=chance.randint(0, 2), max_size=chance.randint(2, MOST))
    return "resize"


def between_lines(frame: FrameType, event: str, arg: object) -> Any:
    """Let other threads run between any two lines of the library (a trace function)."""
    if frame.f_code.co_filename != ppp.__file__:
        return None
    if event == "line" and random.random() < 0.1:
        time.sleep(0)
    return between_lines


def work(storm: Storm, pool: ppp.Pool[Thing], who: str, stop: threading.Event) -> None:
    """Be one thread of the storm."""
    if storm.torn:
        sys.settrace(between_lines)
    chance = random.Random(who)
    while not stop.is_set():
        try:
            done = one_operation(storm, pool, chance)
        except (ppp.TimeOut, Fault, Broken, KeyboardInterrupt, SystemExit) as error:
            done = type(error).__name__
        storm.tally(done)
    sys.settrace(None)


def child(storm: Storm, pool: ppp.Pool[Thing]) -> bool:
    """Use the pool in a forked process, which has its own objects and its own housekeeper."""
    storm.lock = threading.Lock()
    storm.rate = 0.0
    theirs = [(thing, thing.closings) for thing in storm.made]
    with pool.obj(timeout=PATIENCE / 4) as thing:
        assert thing.pid == os.getpid()
        assert pool._housekeeper is not None
        assert pool._housekeeper.is_alive()
    pool.shutdown(delay=PATIENCE / 4)
    own = storm.made[len(theirs) :]
    return {thing.closings for thing in own} == {1} and all(
        thing.closings == closings for thing, closings in theirs
    )


def blow(storm: Storm, seconds: float) -> ppp.Pool[Thing]:
    """Let the storm blow for that long; give the pool as it left it."""
    storm.rate = RATE
    pool = storm.build()
    stop = threading.Event()
    tasks = [Task(work, storm, pool, f"{number}", stop) for number in range(THREADS)]
    for task in tasks:
        task.start()
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not storm.wrong and all(task.is_alive() for task in tasks):
        if GIL and hasattr(os, "fork") and (status := in_child(lambda: child(storm, pool), int(PATIENCE))):
            storm.wrong.append(f"child ended with {status}")
        storm.tally("forks")
        stop.wait(0.01)
    stop.set()
    for task in tasks:
        task.result(PATIENCE)
    storm.rate = 0.0
    return pool


def check_nothing_lost(storm: Storm, pool: ppp.Pool[Thing]) -> None:
    """See that a pool has lost nothing once the storm is over; shuts it down."""
    assert storm.wrong[:3] == []
    pool.resize(min_size=LEAST, max_size=MOST)
    rounds(pool)
    check_usable(pool, storm)
    assert {thing.closings for thing in storm.made} == {1}
    assert storm.most_alive <= MOST


STORMS: dict[str, tuple[float, dict[str, bool]]] = {
    "calm": (0.45, {}),
    "kills": (0.25, {"kills": True}),
    "torn": (0.30, {"torn": True}),
}
"""The share of the time, and the storm: calm holders, holders killed, and switches between any two lines."""


@pytest.mark.parametrize("kind", STORMS)
def test_storm(kind: str) -> None:
    """Sixteen threads, failing hooks, interruptions, drains, resizes and forks lose nothing."""
    share, manner = STORMS[kind]
    storm = Storm(**manner)
    done = storm.done
    ppp.log.addFilter(storm.note)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):  # on a loaded machine, little happens in one
            check_nothing_lost(storm, blow(storm, SECONDS * share))
            enough = min(done["get and ret"], done["faults"], done["interruptions"]) > 10
            if enough:
                break
    finally:
        sys.setswitchinterval(interval)
        ppp.log.removeFilter(storm.note)
    print(f"\n{dict(done)}, {len(storm.made)} made, at most {storm.most_alive} alive")
    assert storm.kills or done["warnings"] <= done["foreign"]  # nobody was accused falsely
    assert enough, done
