"""Storms: many threads, failing hooks, interrupts and forks at once; afterwards nothing may be lost.

The short form is part of `make check`. `make stress SECONDS=600` goes on for as long as asked (the
environment variable `PPP_STRESS_SECONDS`) and prints what it did.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from conftest import Task, eventually

import ProxyPatternPool as ppp

SECONDS = float(os.environ.get("PPP_STRESS_SECONDS", "8"))
THREADS = 16
MOST = 4
LEAST = 2
PATIENCE = 20.0

pytestmark = [
    pytest.mark.timeout(SECONDS + 60),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


class Fault(Exception):
    """What a hook raises in a storm."""


class Broken(Exception):
    """What a holder raises when its object is broken (`invalidate_on`)."""


class Thing:
    """A pooled object: who has it in hand, and how often it was closed."""

    __slots__ = ("__weakref__", "busy", "closings", "holder", "pid", "serial")

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.pid = os.getpid()
        self.holder: str | None = None
        self.busy: str | None = None
        self.closings = 0


class Storm:
    """The makers and hooks of a pool in a storm; they fail at random and account for what is alive."""

    def __init__(self, kills: bool = False, torn: bool = False) -> None:
        self.kills = kills
        self.torn = torn
        self.lock = threading.Lock()
        self.rate = 0.03
        self.alive = 0
        self.most_alive = 0
        self.made: list[Thing] = []
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.pool: ppp.Pool[Thing] | None = None
        self.warned = 0

    def note(self, record: logging.LogRecord) -> bool:
        """Count the warnings about wrong returns; let no message through (a filter)."""
        self.warned += "unexpected object returned" in record.msg
        return False

    def fail(self, where: str) -> None:
        """Raise something now and then: an error mostly, an interrupt sometimes."""
        if random.random() >= self.rate:
            return
        kind = random.choice((Fault, Fault, Fault, KeyboardInterrupt, SystemExit))
        with self.lock:
            self.faults["faults" if kind is Fault else "interrupts"] += 1
        raise kind(where)

    def fun(self, number: int) -> Thing:
        """Make a thing. It counts as alive from the first moment on, as it does for a server."""
        with self.lock:
            self.alive += 1
            self.most_alive = max(self.alive, self.most_alive)
        try:
            self.fail("fun")
            with self.lock:
                thing = Thing(len(self.made))
                self.made.append(thing)
        except BaseException:
            with self.lock:
                self.alive -= 1
            raise
        return thing

    def closer(self, thing: Thing) -> None:
        """Close a thing. It counts as alive until the last moment."""
        try:
            self.enter(thing, "closer")
            self.fail("closer")
        finally:
            with self.lock:
                thing.closings += 1
                self.alive -= 1
                if thing.closings > 1:
                    self.wrong.append(f"thing {thing.serial} closed {thing.closings} times")

    def enter(self, thing: Thing, what: str) -> None:
        """Note that a hook has a thing in hand, which nobody else may have then."""
        with self.lock:
            if self.kills and what in ("getter", "health", "closer"):  # who gets it may be killed at once
                return
            if thing.closings:
                self.wrong.append(f"thing {thing.serial} in {what} after its end")
            if thing.busy is not None or thing.holder is not None:
                self.wrong.append(f"thing {thing.serial} in {what} and in {thing.busy or thing.holder}")

    def hook(self, thing: Thing, what: str) -> None:
        """Look at a thing, use the pool now and then, and fail now and then."""
        self.enter(thing, what)
        thing.busy = what
        try:
            if self.pool is not None and random.random() < 0.01:
                self.pool.stats()
            self.fail(what)
        finally:
            thing.busy = None

    def opener(self, thing: Thing) -> None:
        """Be the opener."""
        self.hook(thing, "opener")

    def getter(self, thing: Thing) -> None:
        """Be the getter."""
        self.hook(thing, "getter")

    def retter(self, thing: Thing) -> None:
        """Be the retter."""
        self.hook(thing, "retter")

    def reset(self, thing: Thing) -> None:
        """Be the reset hook."""
        self.hook(thing, "reset")

    def health(self, thing: Thing) -> bool:
        """Be the health hook, which also refuses now and then."""
        self.hook(thing, "health")
        return random.random() >= self.rate

    def tracer(self, thing: Thing) -> str:
        """Be the tracer."""
        self.fail("tracer")
        return f"thing {thing.serial}"

    def stats(self, thing: Thing) -> dict[str, Any]:
        """Be the stats hook."""
        self.fail("stats")
        return {"serial": thing.serial}

    def tally(self, what: str) -> None:
        """Count something before it is tried."""
        with self.lock:
            self.done[what] += 1

    def build(self) -> ppp.Pool[Thing]:
        """Build the pool; the constructor is part of the storm and may be interrupted."""
        while self.pool is None:
            try:
                self.pool = ppp.Pool(
                    self.fun,
                    max_size=MOST,
                    min_size=LEAST,
                    max_use=7,
                    max_avail_delay=0.01,
                    max_using_delay_kill=0.02 if self.kills else 0.0,
                    delay=0.005,
                    health_freq=2,
                    opener=self.opener,
                    getter=self.getter,
                    retter=self.retter,
                    closer=self.closer,
                    health=self.health,
                    stats=self.stats,
                    tracer=self.tracer,
                    max_lifetime=0.2,
                    check_after_idle=0.002,
                    reset=self.reset,
                    invalidate_on=(Broken,),
                    max_waiting=14,
                )
            except (KeyboardInterrupt, SystemExit):
                self.done["constructions interrupted"] += 1
        return self.pool

    def take(self, thing: Thing, who: str) -> None:
        """Note that a thread holds a thing, which nobody else may hold."""
        with self.lock:
            if thing.closings and not self.kills:
                self.wrong.append(f"thing {thing.serial} lent after its end")
            if thing.holder is not None or thing.busy is not None:
                self.wrong.append(f"thing {thing.serial} lent while with {thing.holder or thing.busy}")
            thing.holder = who

    def give(self, thing: Thing) -> None:
        """Note that a thread lets a thing go."""
        with self.lock:
            thing.holder = None


def hold(storm: Storm, chance: random.Random) -> None:
    """Hold an object for a moment, and now and then for longer than the kill delay."""
    if chance.random() < 0.3:
        time.sleep(0.03 if storm.kills and chance.random() < 0.05 else chance.random() * 0.001)


def one_operation(storm: Storm, pool: ppp.Pool[Thing], who: str, chance: random.Random) -> str:
    """Do one thing that a program does with a pool, at random, and name it."""
    draw = chance.random()
    timeout = chance.choice((0, 0.001, 0.05, 1.0))
    if draw < 0.40:
        thing = pool.get(timeout=timeout)
        storm.take(thing, who)
        hold(storm, chance)
        storm.give(thing)
        pool.ret(thing)
        return "get and ret"
    if draw < 0.75:
        with pool.obj(timeout) as thing:
            storm.take(thing, who)
            try:
                hold(storm, chance)
                if chance.random() < 0.2:
                    raise chance.choice((Fault, Broken, KeyboardInterrupt))("body")
            finally:
                storm.give(thing)
        return "with obj"
    if draw < 0.83:
        thing = pool.get(timeout)
        storm.take(thing, who)
        storm.give(thing)
        pool.invalidate(thing)
        return "invalidate"
    if draw < 0.88:
        storm.tally("foreign ret")
        pool.ret(Thing(-1))
        return "wrong return"
    if draw < 0.97:
        assert len(pool.stats()["using"]) <= MOST
        return "stats"
    if draw < 0.98:
        pool.drain()
        return "drain"
    if draw < 0.99:
        pool._hkRound()
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
    before = sys.gettrace()
    if storm.torn:
        sys.settrace(between_lines)
    try:
        operate(storm, pool, who, stop)
    finally:
        sys.settrace(before)


def operate(storm: Storm, pool: ppp.Pool[Thing], who: str, stop: threading.Event) -> None:
    """Do one operation after the other."""
    chance = random.Random(who)
    done: Counter[str] = Counter()
    while not stop.is_set():
        try:
            done[one_operation(storm, pool, who, chance)] += 1
        except ppp.TimeOut:
            done["timeout"] += 1
        except (Fault, Broken):
            done["error seen"] += 1
        except (KeyboardInterrupt, SystemExit):
            done["interrupt seen"] += 1
    with storm.lock:
        storm.done.update(done)


def child(storm: Storm, pool: ppp.Pool[Thing]) -> int:
    """Use the pool in a forked process; tell by a bit each what is wrong there."""
    storm.lock = threading.Lock()
    storm.rate = 0.0
    before = [(thing, thing.closings) for thing in storm.made]
    wrong = 0
    start = time.monotonic()
    thing = pool.get(timeout=PATIENCE)
    if time.monotonic() - start > PATIENCE / 2:
        wrong |= 1
    if thing.pid != os.getpid():
        wrong |= 2
    pool.ret(thing)
    pool.shutdown()
    if any(thing.closings != closings for thing, closings in before):
        wrong |= 4
    if thing.closings != 1:
        wrong |= 8
    return wrong


def fork(storm: Storm, pool: ppp.Pool[Thing]) -> int:
    """Fork in the middle of the storm, and give the child's verdict."""
    tracer = sys.gettrace()
    sys.settrace(
        None
    )  # a tracer's own lock may be held in another thread, and would be for ever in the child
    pid = os.fork()
    if pid:
        sys.settrace(tracer)
    else:
        status = 255
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(PATIENCE))  # whoever is stuck for so long dies of it
            threading.settrace(None)
            status = child(storm, pool)
        finally:
            os._exit(status)
    limit = time.monotonic() + 2 * PATIENCE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        assert time.monotonic() < limit, f"child {pid} does not end"
        time.sleep(0.005)


@pytest.fixture
def _fast_switch() -> Iterator[None]:
    """Let threads be switched as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def blow(storm: Storm, seconds: float, forks: bool = True) -> ppp.Pool[Thing]:
    """Let the storm blow for that long; give the pool as it left it."""
    pool = storm.build()
    stop = threading.Event()
    tasks = [Task(work, storm, pool, f"{number}", stop) for number in range(THREADS)]
    for task in tasks:
        task.start()
    limit = time.monotonic() + seconds
    verdicts: list[int] = []
    while time.monotonic() < limit and not storm.wrong and all(task.is_alive() for task in tasks):
        if forks:
            verdicts.append(fork(storm, pool))
        stop.wait(0.1)
    stop.set()
    for task in tasks:
        task.result(PATIENCE)
    storm.rate = 0.0
    storm.done["forks"] = len(verdicts)
    storm.wrong += [f"child said {verdict}" for verdict in verdicts if verdict]
    return pool


def lost(storm: Storm, pool: ppp.Pool[Thing]) -> dict[str, int]:
    """Count what a pool has lost once the storm is over; shuts it down."""
    pool.resize(min_size=LEAST, max_size=MOST)
    start = time.monotonic()
    things: list[Thing] = []
    with suppress(ppp.TimeOut):
        for _ in range(MOST):
            things.append(pool.get(timeout=1.0))
    slow = int(time.monotonic() - start > 1.0)
    rounds = pool.stats()["hk_rounds"]
    with suppress(AssertionError):
        eventually(lambda: pool.stats()["hk_rounds"] > rounds)
    ended = int(pool.stats()["hk_rounds"] <= rounds)
    for thing in things:
        pool.ret(thing)
    tokens = 0
    with suppress(AssertionError):
        tokens = eventually(lambda: pool.stats()["sem"]["value"] == MOST and MOST)
    pool.shutdown(delay=PATIENCE)
    after = pool.stats()
    return {
        "objects in two hands": len(storm.wrong),
        "objects above max_size": max(0, storm.most_alive - MOST),
        "gets": MOST - len({id(thing) for thing in things}),
        "housekeepers": ended,
        "objects not closed": sum(thing.closings == 0 for thing in storm.made),
        "objects closed twice": sum(thing.closings > 1 for thing in storm.made),
        "tokens": MOST - min(tokens, after["sem"]["value"]),
        "waits": slow,
        "counters": abs(after["ncreated"] - after["ndestroys"]) + after["nobjs"],
    }


STORMS: dict[str, tuple[float, dict[str, bool]]] = {
    "calm": (0.45, {}),
    "kills": (0.25, {"kills": True}),
    "torn": (0.30, {"torn": True}),
}
"""The share of the time, and the storm: calm holders, holders killed, and switches between any two lines."""


@pytest.mark.usefixtures("_fast_switch")
@pytest.mark.parametrize("kind", STORMS)
def test_storm(kind: str) -> None:
    """Sixteen threads, failing hooks, interrupts, drains, resizes and forks lose no token and no object."""
    share, manner = STORMS[kind]
    storm, seconds = Storm(**manner), SECONDS * share
    ppp.log.addFilter(storm.note)
    try:
        pool = blow(storm, seconds)
        outcome = lost(storm, pool)
    finally:
        ppp.log.removeFilter(storm.note)
    others = ("forks", "foreign ret")
    operations = sum(count for name, count in storm.done.items() if name not in others)
    print(
        f"\nstorm ({kind}): {seconds:.0f} s, {operations} operations, "
        f"{storm.faults['faults']} faults, {storm.faults['interrupts']} interrupts, "
        f"{storm.done['forks']} forks, {len(storm.made)} objects made, "
        f"at most {storm.most_alive} alive; lost: {sum(outcome.values())}"
    )
    print(f"  {dict(storm.done)}")
    assert storm.wrong[:3] == []
    assert {name: count for name, count in outcome.items() if count} == {}
    assert storm.kills or storm.warned <= storm.done["foreign ret"]  # nobody was accused falsely
    assert operations > 100
    assert storm.faults["faults"] > 0
    assert storm.faults["interrupts"] > 0


class NoLock:
    """What stands in for a lock that was taken out."""

    def acquire(self, *_: object, **__: object) -> bool:
        """Exclude nobody."""
        return True

    def release(self) -> None:
        """Let nobody in."""

    def __enter__(self) -> bool:
        """Exclude nobody."""
        return True

    def __exit__(self, *_: object) -> None:
        """Let nobody in."""

    def _is_owned(self) -> bool:
        return False


@pytest.mark.usefixtures("_fast_switch")
def test_storm_finds_a_missing_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool whose lock does nothing does not survive the storm with switches between any two lines.

    Seen with the lock taken out: containers torn apart within a second (a waiter "not in deque", a lock
    released twice, links that lead nowhere). In the other storms nothing was seen on CPython 3.11, since the
    pool's transitions call nothing and the interpreter switches threads at calls only: hence the storm that
    switches everywhere.
    """
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)  # finalizers fail, too
    storm = Storm(torn=True)
    found: object = None
    ppp.log.addFilter(storm.note)
    try:
        for _ in range(5):
            pool = storm.build()
            pool._lock = pool._sem._lock = NoLock()  # type: ignore[union-attr]
            try:
                blow(storm, 1.5, forks=False)
                outcome = lost(storm, pool)
                found = storm.wrong or sum(outcome.values())
            except BaseException as error:  # hooks raise SystemExit, too
                found = error
                with suppress(BaseException):
                    pool.shutdown()
            if found:
                break
            storm = Storm(torn=True)
    finally:
        ppp.log.removeFilter(storm.note)
    print(f"\nwithout the lock: {found!r}")
    assert found
