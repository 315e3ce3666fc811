"""A state machine over the whole public interface of `Pool`, against a naive model in plain lists.

Time is turned by hand, and rounds of the housekeeper are steps like all others. Hooks that fail, and hooks
that are interrupted, are rules too. Without an interrupt the model says exactly what has to happen; after
one it accepts what the contract leaves open (an object is back or closed), and still nothing may be lost. In
`make check` the machine does the same steps each time; with `PPP_STRESS_SECONDS` set it looks for new ones.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import Clock
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ProxyPatternPool as ppp

SECONDS = float(os.environ.get("PPP_STRESS_SECONDS", "0"))

HOOKS = ("fun", "opener", "getter", "retter", "reset", "closer", "health", "tracer", "stats")
CAUSES = ("nkilled", "nrecycled", "nwornout", "nexpired", "ninvalidated", "nreset_errors")
CHECKS = ("nhealth", "bad_health", "hc_errors", "nchecks", "hk_rounds", "hc_rounds", "hk_errors")
COUNTED = ("nuses", *CAUSES, *CHECKS)


class Fault(Exception):
    """What a failing hook raises."""


class Broken(Exception):
    """What destroys an object when it leaves `with pool.obj()`."""


class WorseThanBroken(Broken):
    """What does so too, being a kind of it."""


class Still(ppp.Pool[Any]):
    """A pool whose rounds are called by the test only."""

    def _start_housekeeper(self) -> None:
        """Start none."""


class Thing:
    """A pooled object."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.closings = 0
        self.sick = False
        self.checked = -1.0  # when health last said that it is good

    def __repr__(self) -> str:
        return f"thing {self.serial}"


def forget_frames(*errors: BaseException | None) -> None:
    """Let go of what an interrupted step has left behind, so that what follows from it belongs to the step.

    A lending that was interrupted ends when it is forgotten; then the pool fills, too.
    """
    for error in errors:
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error.__traceback__ = None
            error = error.__context__
    gc.collect()


class World:
    """The makers and hooks that a pool calls: they note every call, and fail when armed to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.made: list[Thing] = []
        self.numbers: list[int] = []
        self.calls: list[str] = []
        self.armed: dict[str, BaseException] = {}
        self.fired: dict[str, BaseException] = {}
        self.twin = False
        self.attempts: list[str] = []
        self.most_alive = 0
        self.pool: Still | None = None
        self.messages: list[str] = []
        self.wrong: list[str] = []

    @property
    def alive(self) -> list[Thing]:
        """The things not closed yet."""
        return [thing for thing in self.made if not thing.closings]

    def call(self, hook: str) -> None:
        """Note a call, look at the pool from inside of it, and fail if armed."""
        self.calls.append(hook)
        if self.pool is not None and hook not in ("tracer", "stats"):
            str(self.pool)
        if hook in self.armed:
            self.fired[hook] = self.armed.pop(hook)
            raise self.fired[hook]

    def fun(self, number: int) -> Thing:
        """Make a thing, or give one again that the pool has already."""
        self.attempts.append("failed")
        self.call("fun")
        if self.twin and self.alive:
            self.twin = False
            self.attempts[-1] = "twin"
            return self.alive[-1]
        self.attempts[-1] = "made"
        thing = Thing(len(self.made))
        self.made.append(thing)
        self.numbers.append(number)
        self.most_alive = max(self.most_alive, len(self.alive))
        return thing

    def hook(self, name: str) -> Callable[[Thing], Any]:
        """Make the hook of that name."""

        def run(thing: Thing) -> Any:
            if name == "closer":
                thing.closings += 1
            elif name not in ("tracer", "stats"):
                self.wrong += [f"{name} of {thing} after its end"] * thing.closings
            self.call(name)
            if name == "health":
                thing.checked = thing.checked if thing.sick else self.clock.now
                return not thing.sick
            return {"serial": thing.serial} if name == "stats" else repr(thing)

        return run


@dataclass
class Entry:
    """What the model knows of an object."""

    thing: Thing
    born: float
    back: float
    got: float = 0.0
    uses: int = 0
    old: bool = False


@dataclass
class Outcome:
    """What came of one step."""

    result: Any = None
    error: BaseException | None = None
    fired: dict[str, BaseException] = field(default_factory=dict)
    made: list[Thing] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def interrupted(self) -> bool:
        """Whether some hook was interrupted in it."""
        return any(not isinstance(error, Exception) for error in self.fired.values())


class Machine(RuleBasedStateMachine):
    """The pool and its model, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.world = World(self.clock)
        self.idle: list[Entry] = []  # the most recently used is the last
        self.lent: list[Entry] = []
        self.gone: list[Entry] = []
        self.counted: Counter[str] = Counter()
        self.shut = False
        self.failing = False
        self.handler = logging.Handler()
        self.handler.emit = self._note  # type: ignore[method-assign]
        ppp.log.addHandler(self.handler)
        self.propagate, ppp.log.propagate = ppp.log.propagate, False
        self.level = ppp.log.level

    def _note(self, record: logging.LogRecord) -> None:
        self.world.messages.append(record.getMessage())

    def teardown(self) -> None:
        """Shut down, and look whether everything was closed once."""
        ppp.log.removeHandler(self.handler)
        ppp.log.propagate = self.propagate
        if not hasattr(self, "pool"):
            return
        self.world.armed.clear()
        self.world.twin = False
        self.pool.shutdown()
        self.world.pool = None
        assert [thing for thing in self.world.made if thing.closings != 1] == []
        stats = self.pool.stats()
        assert stats["nobjs"] == 0
        assert stats["ncreated"] == stats["ndestroys"] == len(self.world.made)
        if self.max_size:
            assert stats["sem"] == {"value": self.max_size, "init": self.max_size}

    @initialize(
        sizes=st.sampled_from([(0, 0), (0, 2), (1, 0), (1, 1), (2, 1), (3, 1), (3, 3), (4, 2)]),
        features=st.fixed_dictionaries(
            {
                "max_use": st.sampled_from([0, 0, 1, 2, 5]),
                "max_avail_delay": st.sampled_from([0.0, 0.0, 25.0]),
                "max_using_delay": st.sampled_from([0.0, 15.0]),
                "max_using_delay_kill": st.sampled_from([0.0, 0.0, 45.0]),
                "health_freq": st.sampled_from([1, 1, 2]),
                "max_lifetime": st.sampled_from([0.0, 0.0, 106.0]),
                "check_after_idle": st.sampled_from([None, 0.0, 25.0]),
                "max_waiting": st.sampled_from([0, 1]),
            }
        ),
        hooks=st.sets(st.sampled_from(["getter", "retter", "reset", "opener", "tracer", "stats"])),
    )
    def build(self, sizes: tuple[int, int], features: dict[str, Any], hooks: set[str]) -> None:
        """Build the pool."""
        self.max_size, self.min_size = sizes
        self.features = features
        self.hooks = hooks | {"closer", "health"}
        Still._clock = self.clock
        parameters: dict[str, Any] = {**features, "timeout": 0.0, "invalidate_on": (Broken,)}
        parameters.update({name: self.world.hook(name) for name in sorted(self.hooks)})
        self.pool = Still(self.world.fun, self.max_size, self.min_size, **parameters)
        self.world.pool = self.pool
        self.made = len(self.world.made)
        self.add(self.world.made)
        assert len(self.idle) == self.min_size
        self.resync()

    # What the model knows

    def add(self, things: list[Thing]) -> None:
        """Put new things among the idle ones."""
        now = self.clock.now
        self.idle += [Entry(thing, now, now) for thing in things]

    def close(self, entry: Entry, *causes: str) -> None:
        """Move an entry to those gone."""
        place = self.idle if entry in self.idle else self.lent
        place.remove(entry)
        self.gone.append(entry)
        assert entry.thing.closings == 1, f"{entry} is still open"
        if len(causes) == 1:
            self.counted[causes[0]] += 1
        elif causes:  # any of them
            self.resync()

    def resync(self) -> None:
        """Take the counters over, where the contract leaves them open."""
        stats = self.look()
        self.counted.update({name: stats[name] - self.counted[name] for name in COUNTED})

    def look(self) -> dict[str, Any]:
        """Ask for the statistics without any hook failing."""
        armed, self.world.armed = self.world.armed, {}
        stats = self.pool.stats()
        self.world.armed = armed
        return stats

    def expired(self, entry: Entry) -> bool:
        """Whether its lifetime is over: no step of time ends in the random part of it."""
        limit = self.features["max_lifetime"]
        return bool(limit) and self.clock.now - entry.born >= limit * 0.95

    @property
    def alive(self) -> int:
        """How many there are."""
        return len(self.idle) + len(self.lent)

    def do(self, work: Callable[[], Any]) -> Outcome:
        """Do a step with the real pool, and note all that came of it."""
        world = self.world
        world.fired, world.calls, world.messages, world.attempts = {}, [], [], []
        made = len(world.made)
        self.checked = {thing: thing.checked for thing in world.alive}
        outcome = Outcome()
        try:
            outcome.result = work()
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            outcome.error = error
        outcome.fired, outcome.calls, outcome.messages = world.fired, world.calls, world.messages
        if outcome.interrupted:
            forget_frames(outcome.error, *outcome.fired.values())
        outcome.made, outcome.attempts = world.made[made:], world.attempts
        if outcome.interrupted:
            seen = outcome.error
            assert seen is None or not isinstance(seen, Exception) or seen in outcome.fired.values()
        elif outcome.error is not None and not isinstance(outcome.error, Exception):
            raise outcome.error
        return outcome

    def settle(self, outcome: Outcome, lent: list[Thing], closable: Callable[[Entry], bool]) -> None:
        """After an interrupt, see where the pool has what: nothing may be lost, nothing else touched."""
        using = list(self.pool._using)
        avail = list(self.pool._avail)
        assert len(self.pool._todel) == 0
        self.add([thing for thing in outcome.made if thing not in lent])
        now = self.clock.now
        self.lent += [Entry(thing, now, now, now, 1) for thing in outcome.made if thing in lent]
        for entry in [*self.idle, *self.lent]:
            thing = entry.thing
            was_lent = entry in self.lent
            places = [thing.closings == 1, any(thing is other for other in using), thing in avail]
            assert sum(places) == 1, f"{thing} is in {places} (closed, using, available)"
            if places[0]:
                assert not was_lent or thing in lent or closable(entry), f"{thing} closed in somebody's hands"
                self.close(entry)
            elif places[1]:
                assert was_lent or thing in lent, f"{thing} is with nobody and in use"
                if not was_lent:
                    self.idle.remove(entry)
                    entry.got, entry.uses = now, entry.uses + 1
                    self.lent.append(entry)
            elif was_lent:
                assert closable(entry), f"{thing} taken from its holder"
                self.lent.remove(entry)
                entry.back = now
                self.idle.append(entry)
        order = [thing.serial for thing in avail]
        assert len(order) == len(set(order))
        self.rank()
        self.failing = True
        self.resync()

    def rank(self) -> None:
        """Take over, after an interrupt, which of those returned or made at one moment counts as the latest.

        The contract leaves that open, and nothing that users see tells it before the next `get`.
        """
        order: list[Thing] = []
        use = self.pool._idle.newer
        while use is not self.pool._idle:
            order.append(use.obj)
            use = use.newer
        self.idle.sort(key=lambda entry: next(at for at, thing in enumerate(order) if thing is entry.thing))
        returns = [self.pool._uses[entry.thing].last_ret for entry in self.idle]
        assert returns == sorted(returns)

    def fill(self, outcome: Outcome, surely: bool = False, never: bool = False) -> None:
        """See that the pool has been filled to `min_size`, unless creations fail."""
        missing = 0 if self.shut else max(0, self.min_size - self.alive)
        made = len(outcome.made)
        if outcome.attempts and outcome.attempts[-1] != "made":
            assert made < missing
            assert outcome.attempts == ["made"] * made + outcome.attempts[-1:]
            self.failing = True
        elif (self.failing or never) and not surely:
            assert made in (0, missing)
        else:
            assert made == missing, f"{made} made instead of {missing}"
        if made and outcome.attempts[-1] == "made":
            self.failing = False
        self.add(outcome.made)

    # What users do

    def expect_get(self, outcome: Outcome) -> Entry | None:
        """Say which object a get has to lend, if it has to lend one; move it to the lent ones."""
        if self.shut:
            assert isinstance(outcome.error, ppp.PoolException)
            assert not isinstance(outcome.error, ppp.TimeOut)
            assert "shutting down" in str(outcome.error)
            return None
        if self.max_size and len(self.lent) >= self.max_size:
            assert isinstance(outcome.error, ppp.TimeOut)
            assert "timeout after" in str(outcome.error)
            return None
        now = self.clock.now
        check = self.features["check_after_idle"]
        failure = outcome.fired.get("health")
        while self.idle:
            entry = self.idle[-1]
            if self.expired(entry):
                self.close(entry, "nexpired")
                continue
            if check is not None and now - max(entry.back, self.checked[entry.thing]) >= check:
                self.counted["nchecks"] += 1
                self.counted["nhealth"] += 1
                if failure is not None or entry.thing.sick:
                    self.counted["hc_errors"] += failure is not None
                    self.counted["bad_health"] += 1
                    failure = None
                    self.close(entry)
                    continue
            self.idle.remove(entry)
            break
        else:
            attempt = outcome.attempts.pop(0)
            if attempt != "made":
                assert attempt == "twin" or outcome.error is outcome.fired["fun"]
                assert attempt == "failed" or isinstance(outcome.error, ppp.PoolException)
                self.failing = True
                return None
            self.failing = False
            entry = Entry(outcome.made.pop(0), now, now)
        entry.got = now
        entry.uses += 1
        self.counted["nuses"] += 1
        self.lent.append(entry)
        return entry

    @rule(timeout=st.sampled_from([None, 0, 0.0]))
    def get(self, timeout: float | None) -> None:
        """Get an object."""
        outcome = self.do(lambda: self.pool.get(timeout))
        if outcome.interrupted:
            self.settle(outcome, [outcome.result] if outcome.result else [], lambda entry: False)
            return
        entry = self.expect_get(outcome)
        assert outcome.made == []
        assert outcome.error is None or entry is None
        assert outcome.result is (entry and entry.thing)
        assert (outcome.calls.count("getter") == 1) is ("getter" in self.hooks and entry is not None)

    def expect_ret(self, entry: Entry, outcome: Outcome) -> None:
        """See what has to come of a return."""
        assert outcome.error is None
        for hook in ("retter", "reset"):
            assert outcome.calls.count(hook) == (hook in self.hooks)
        causes = []
        if "reset" in outcome.fired:
            causes.append("nreset_errors")
        if self.expired(entry):
            causes.append("nexpired")
        if 0 < self.features["max_use"] <= entry.uses:
            causes.append("nwornout")
        if entry.old or (self.max_size and self.alive > self.max_size):
            causes.append("")
        if causes:
            self.close(entry, *causes)
        else:
            self.lent.remove(entry)
            entry.back = self.clock.now
            self.idle.append(entry)
        self.fill(outcome)

    @precondition(lambda self: self.lent)
    @rule(which=st.integers(0, 9))
    def ret(self, which: int) -> None:
        """Return an object."""
        entry = self.lent[which % len(self.lent)]
        outcome = self.do(lambda: self.pool.ret(entry.thing))
        if outcome.interrupted:
            self.settle(outcome, [], lambda other: other is entry)
            assert entry not in self.lent
        else:
            self.expect_ret(entry, outcome)

    @rule(error=st.sampled_from([None, None, Fault, Broken, WorseThanBroken, KeyboardInterrupt]))
    def with_obj(self, error: type[BaseException] | None) -> None:
        """Use an object in a block, which may end by an exception."""
        got: list[Thing] = []

        def use() -> None:
            with self.pool.obj() as thing:
                got.append(thing)
                if error is not None:
                    raise error("body")

        raised: BaseException | None = None

        def caught() -> None:
            nonlocal raised
            try:
                use()
            except BaseException as exc:
                if exc.args != ("body",):
                    raise
                raised = exc

        outcome = self.do(caught)
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
            assert [entry for entry in self.lent if entry.thing in got] == []
            return
        entry = self.expect_get(outcome)
        assert got == ([entry.thing] if entry else [])
        if entry is None:
            assert outcome.error is not None
            assert outcome.made == []
            return
        assert outcome.error is None
        assert (raised is None) is (error is None)
        if error is not None and issubclass(error, Broken):
            self.close(entry, "ninvalidated")
            assert "retter" not in outcome.calls
            self.fill(outcome)
        else:
            self.expect_ret(entry, outcome)

    @precondition(lambda self: self.lent)
    @rule(which=st.integers(0, 9))
    def invalidate(self, which: int) -> None:
        """Give an object up as broken."""
        entry = self.lent[which % len(self.lent)]
        outcome = self.do(lambda: self.pool.invalidate(entry.thing))
        if outcome.interrupted:
            self.settle(outcome, [], lambda other: other is entry)
            assert entry in self.gone
            return
        assert outcome.error is None
        assert "retter" not in outcome.calls
        self.close(entry, "ninvalidated")
        self.fill(outcome)

    @rule(which=st.integers(0, 99), invalidate=st.booleans())
    def wrong_return(self, which: int, invalidate: bool) -> None:
        """Return what is not lent: returned already, destroyed, or never seen."""
        others = [entry.thing for entry in [*self.idle, *self.gone]] + [Thing(-1)]
        thing = others[which % len(others)]
        outcome = self.do(lambda: (self.pool.invalidate if invalidate else self.pool.ret)(thing))
        assert {"retter", "reset", "closer"}.isdisjoint(outcome.calls)
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
            return
        assert outcome.error is None
        warnings = [text for text in outcome.messages if "unexpected object returned" in text]
        assert len(warnings) == (0 if self.shut else 1)
        self.fill(outcome, never=True)

    @rule()
    def stats(self) -> None:
        """Ask for statistics while a hook may fail."""
        outcome = self.do(lambda: (self.pool.stats(), str(self.pool)))
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
            return
        assert outcome.error is None
        stats, text = outcome.result
        assert json.loads(text).keys() == stats.keys()
        entries = stats["avail"] + stats["using"]
        failed = [entry for entry in entries if "error" in entry]
        fired = [hook for hook in ("stats", "tracer") if hook in outcome.fired]
        assert len(failed) <= len(fired)
        key = "stats" if "stats" in self.hooks else "trace" if "tracer" in self.hooks else "str"
        assert sum(key in entry for entry in entries) == len(entries) - len(failed)
        assert sorted(entry["uses"] for entry in stats["using"]) == sorted(entry.uses for entry in self.lent)
        assert all(entry["last_get"] <= 0 and entry["last_ret"] <= 0 for entry in entries)

    @rule()
    def drain(self) -> None:
        """Replace all objects."""
        outcome = self.do(self.pool.drain)
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
            for entry in self.lent:
                entry.old = bool(self.pool._uses[entry.thing].expires < 0)
            return
        assert outcome.error is None
        for entry in list(self.idle):
            self.close(entry)
        for entry in self.lent:
            entry.old = True
        self.fill(outcome)

    @rule(least=st.sampled_from([None, 0, 1, 2, 3]), most=st.sampled_from([None, 1, 2, 4]))
    def resize(self, least: int | None, most: int | None) -> None:
        """Change the sizes."""
        if not self.max_size:
            most = None
        outcome = self.do(lambda: self.pool.resize(min_size=least, max_size=most))
        if not self.shut:
            stats = self.look()
            self.max_size = self.max_size if most is None else most
            least = self.min_size if least is None else least
            self.min_size = min(least, self.max_size) if self.max_size else least
            assert (stats["max_size"], stats["min_size"]) == (self.max_size, self.min_size)
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
            return
        if self.shut:
            assert outcome.error is None or isinstance(outcome.error, ppp.PoolException)
            return
        assert outcome.error is None
        surplus = max(0, self.alive - self.max_size) if self.max_size else 0
        closed = [entry for entry in self.idle if entry.thing.closings]
        assert len(closed) == min(surplus, len(self.idle))
        for entry in closed:
            self.close(entry)
        self.fill(outcome)

    @precondition(lambda self: not self.shut)
    @rule()
    def no_limit_and_back(self) -> None:
        """Try to give a limit to a pool without one, or the reverse."""
        with pytest.raises(ppp.PoolException, match="max_size"):
            self.pool.resize(max_size=0 if self.max_size else 3)

    @rule(method=st.sampled_from(["shutdown", "with", "again"]), sure=st.integers(0, 4))
    def shutdown(self, method: str, sure: int) -> None:
        """Shut down, now and then."""
        if sure and not self.shut:
            return

        def leave() -> None:
            with self.pool:
                pass

        outcome = self.do(leave if method == "with" else self.pool.shutdown)
        assert outcome.interrupted or outcome.error is None
        if outcome.interrupted:  # whoever was interrupted may try again
            self.pool.shutdown()
        self.shut, self.min_size = True, 0
        assert outcome.made == []
        for entry in [*self.idle, *self.lent]:
            self.close(entry)
        self.resync()

    @rule(sure=st.integers(0, 3))
    def delete(self, sure: int) -> None:
        """Close every object, and keep the pool."""
        if sure:
            return
        outcome = self.do(self.pool.__delete__)
        assert outcome.interrupted or outcome.error is None
        for entry in [*self.idle, *self.lent]:
            self.close(entry)
        if outcome.interrupted:
            self.settle(outcome, [], lambda entry: False)
        else:
            self.fill(outcome, never=True)

    # What time does

    @rule(seconds=st.sampled_from([10, 10, 30, 100, 500]))
    def advance(self, seconds: float) -> None:
        """Let time pass: never to the very moment at which something is due."""
        self.clock.advance(seconds)

    @rule()
    def round(self) -> None:
        """Do a round of housekeeping."""
        now = self.clock.now
        kill = self.features["max_using_delay_kill"]
        outcome = self.do(self.pool._hkRound)

        def killable(entry: Entry) -> bool:
            return bool(kill) and now - entry.got >= kill

        if outcome.interrupted:
            self.settle(outcome, [], killable)
            return
        assert outcome.error is None
        self.counted["hk_rounds"] += 1
        for entry in [entry for entry in self.lent if killable(entry)]:
            self.close(entry, "nkilled")
        for entry in [entry for entry in self.idle if self.expired(entry)]:
            self.close(entry, "nexpired")
        limit = self.features["max_avail_delay"]
        for entry in [entry for entry in self.idle if limit and now - entry.back >= limit]:
            if self.alive > self.min_size:
                self.close(entry, "nrecycled")
        if self.counted["hk_rounds"] % self.features["health_freq"] == 0:
            self.counted["hc_rounds"] += 1
            failed = "health" in outcome.fired
            examined = list(self.idle)
            self.counted["nhealth"] += len(examined)
            bad = [entry for entry in examined if entry.thing.closings]
            assert all(entry in bad for entry in examined if entry.thing.sick)
            assert len(bad) - sum(entry.thing.sick for entry in bad) <= failed
            assert bad or not failed
            self.counted["hc_errors"] += failed
            self.counted["bad_health"] += len(bad)
            for entry in bad:
                self.close(entry)
        self.fill(outcome, surely=True)

    # What goes wrong

    @rule(hook=st.sampled_from(HOOKS), error=st.sampled_from([Fault, Fault, KeyboardInterrupt, SystemExit]))
    def arm(self, hook: str, error: type[BaseException]) -> None:
        """Let the next call of a hook fail, or be interrupted."""
        if hook in (*self.hooks, "fun"):
            self.world.armed[hook] = error(hook)

    @rule()
    def make_a_twin(self) -> None:
        """Let `fun` return, next time, an object that the pool has already."""
        self.world.twin = True

    @precondition(lambda self: self.idle)
    @rule(which=st.integers(0, 9))
    def fall_sick(self, which: int) -> None:
        """Let an idle object fall sick."""
        self.idle[which % len(self.idle)].thing.sick = True

    # What holds at all times

    @invariant()
    def nothing_is_lost(self) -> None:
        """See that model and pool agree, object by object, token by token, counter by counter."""
        if not hasattr(self, "pool"):
            return
        world, pool = self.world, self.pool
        stats = self.look()
        json.dumps(stats)
        assert world.wrong == []
        assert {entry.thing for entry in self.idle} == set(pool._avail)
        assert {entry.thing for entry in self.lent} == set(pool._using)
        assert len(pool._todel) == 0
        assert {entry.thing for entry in [*self.idle, *self.lent]} == set(world.alive)
        assert all(entry.thing.closings == 1 for entry in self.gone)
        if self.max_size:
            free = max(0, self.max_size - len(self.lent))
            assert stats["sem"] == {"value": free, "init": self.max_size}
        else:
            assert stats["sem"] is None
        assert (stats["navail"], stats["nusing"]) == (len(self.idle), len(self.lent))
        assert stats["nobjs"] == self.alive
        assert stats["ncreated"] == len(world.made)
        assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
        assert stats["ncreating"] >= stats["ncreated"]
        assert stats["nwaiting"] == stats["ntodel"] == 0
        assert {name: stats[name] for name in COUNTED} == {name: self.counted[name] for name in COUNTED}
        numbers = [world.numbers[thing.serial] for thing in world.alive]
        assert len(numbers) == len(set(numbers))
        assert stats["shutdown"] is self.shut

    @invariant()
    def never_too_many(self) -> None:
        """See that at no moment were there more than `max_size`."""
        if not hasattr(self, "pool") or not self.max_size:
            return
        if len(self.lent) <= self.max_size:
            assert self.alive <= self.max_size
        else:  # a resize has left them alone
            assert self.idle == []


Machine.TestCase.settings = settings(
    max_examples=int(10 * SECONDS) if SECONDS else 60,
    stateful_step_count=40,
    deadline=None,
    derandomize=not SECONDS,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(60 + 10 * SECONDS)
class TestModel(Machine.TestCase):  # type: ignore[misc, valid-type]
    """No sequence of uses, failures and interrupts of a pool loses a token or an object."""
