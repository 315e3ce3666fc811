"""A state machine over the whole public interface of `Pool`, against a naive model in plain lists.

Time is turned by hand, and the steps of the housekeeper are steps like all others: its thread, which a
return wakes to fill the pool, does nothing, and each step ends with a filling instead. Hooks that fail, and
hooks that are interrupted, are rules too. Without an interruption the model says exactly what has to happen;
after one it accepts what the contract leaves open (an object is back or closed), and still nothing may be
lost. By default the machine does the same steps each time; with `PPP_STRESS_SECONDS` it looks for new ones.
"""

from __future__ import annotations

import gc
import json
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Clock
from helpers_faults import HOUR, STRESS
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ProxyPatternPool as ppp

HOOKS = ("fun", "opener", "getter", "retter", "reset", "closer", "health")
CAUSES = ("nkilled", "nrecycled", "nwornout", "nexpired", "ninvalidated", "nreset_errors")
CHECKS = ("nhealth", "bad_health", "hc_errors", "nchecks")
COUNTED = ("nuses", *CAUSES, *CHECKS)


class Fault(Exception):
    """What a failing hook raises."""


class Broken(Exception):
    """What destroys an object when it leaves `with pool.obj()`."""


class Still(ppp.Pool[Any]):
    """A pool whose clock is the machine's, and whose housekeeper does nothing."""

    clock: Clock
    home = threading.get_ident()

    def _now(self) -> float:
        return self.clock.now

    def _fill(self) -> None:
        if threading.get_ident() == self.home:
            super()._fill()


@dataclass(eq=False)
class Thing:
    """A pooled object, and what the model knows of it."""

    serial: int
    closings: int = 0
    sick: bool = False
    born: float = 0.0
    back: float = 0.0
    got: float = 0.0
    uses: int = 0
    old: bool | None = False  # drained while lent; None: perhaps


def forget_frames(*errors: BaseException | None) -> None:
    """Let go of what an interrupted step has left behind: a lending that was interrupted may end then."""
    for error in errors:
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error.__traceback__ = None
            error = error.__context__
    gc.collect()


class World:
    """The makers and hooks that a pool calls: they note every call, and fail when armed to."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.numbers: list[int] = []
        self.calls: list[str] = []
        self.armed: dict[str, BaseException] = {}
        self.fired: dict[str, BaseException] = {}
        self.pool: Still | None = None
        self.wrong: list[str] = []

    @property
    def alive(self) -> list[Thing]:
        """The things not closed yet."""
        return [thing for thing in self.made if not thing.closings]

    def call(self, hook: str) -> None:
        """Note a call, look at the pool from inside of it, and fail if armed."""
        self.calls.append(hook)
        str(self.pool)
        if hook in self.armed:
            self.fired[hook] = self.armed.pop(hook)
            raise self.fired[hook]

    def fun(self, number: int) -> Thing:
        """Make a thing."""
        self.call("fun")
        self.made.append(Thing(len(self.made)))
        self.numbers.append(number)
        return self.made[-1]

    def hook(self, name: str) -> Callable[[Thing], Any]:
        """Make the hook of that name."""

        def run(thing: Thing) -> bool:
            if name == "closer":
                thing.closings += 1
            else:
                self.wrong += [f"{name} of {thing} after its end"] * thing.closings
            self.call(name)
            return not thing.sick

        return run


@dataclass
class Outcome:
    """What came of one step."""

    result: Any
    error: BaseException | None
    fired: dict[str, BaseException]
    made: list[Thing]
    calls: list[str]

    @property
    def interrupted(self) -> bool:
        """Whether some hook was interrupted in it."""
        return any(not isinstance(error, Exception) for error in self.fired.values())


class Machine(RuleBasedStateMachine):
    """The pool and its model, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.world = World()
        self.idle: list[Thing] = []
        self.lent: list[Thing] = []
        self.gone: list[Thing] = []
        self.counted: Counter[str] = Counter()
        self.shut = False
        self.open_counts = False  # whether the contract leaves open what this step has counted
        ppp.log.disabled = True

    def teardown(self) -> None:
        """Shut down, and look whether everything was closed once."""
        ppp.log.disabled = False
        if not hasattr(self, "pool"):
            return
        self.world.armed.clear()
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
                "max_lifetime": st.sampled_from([0.0, 0.0, 106.0]),
                "check_after_idle": st.sampled_from([None, 0.0, 25.0]),
            }
        ),
        hooks=st.sets(st.sampled_from(["getter", "retter", "reset", "opener"])),
    )
    def build(self, sizes: tuple[int, int], features: dict[str, Any], hooks: set[str]) -> None:
        """Build the pool."""
        self.max_size, self.min_size = sizes
        self.features = features
        self.hooks = hooks | {"closer", "health"}
        Still.clock = self.clock
        parameters: dict[str, Any] = {**features, "timeout": 0.0, "invalidate_on": (Broken,), "delay": HOUR}
        parameters.update({name: self.world.hook(name) for name in sorted(self.hooks)})
        self.pool = Still(self.world.fun, self.max_size, self.min_size, **parameters)
        self.world.pool = self.pool
        self.add(self.world.made)
        assert len(self.idle) == self.min_size
        self.open_counts = True

    def add(self, things: list[Thing]) -> None:
        """Put new things among the idle ones."""
        for thing in things:
            thing.born = thing.back = self.clock.now
        self.idle += things

    def close(self, thing: Thing, *causes: str) -> None:
        """Move an thing to those gone."""
        place = self.idle if thing in self.idle else self.lent
        place.remove(thing)
        self.gone.append(thing)
        assert thing.closings == 1, f"{thing} is still open"
        if len(causes) == 1:
            self.counted[causes[0]] += 1
        self.open_counts |= len(causes) > 1  # any of them is counted

    def lend(self, thing: Thing) -> None:
        """Move a thing to the lent ones."""
        self.idle.remove(thing)
        thing.got, thing.uses = self.clock.now, thing.uses + 1
        self.lent.append(thing)

    def take_back(self, thing: Thing) -> None:
        """Move a thing to the idle ones."""
        self.lent.remove(thing)
        thing.back = self.clock.now
        self.idle.append(thing)

    def expired(self, thing: Thing) -> bool:
        """Whether its lifetime is over: no step of time ends in the random part of it."""
        limit = self.features["max_lifetime"]
        return bool(limit) and self.clock.now - thing.born >= limit * 0.95

    @property
    def alive(self) -> int:
        """How many there are."""
        return len(self.idle) + len(self.lent)

    def do(self, work: Callable[[], Any]) -> Outcome:
        """Do a step with the real pool, and note all that came of it."""
        world, made = self.world, len(self.world.made)
        world.fired, world.calls = {}, []
        result, failure = None, None
        try:
            result = work()
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            failure = error
        outcome = Outcome(result, failure, world.fired, world.made[made:], world.calls)
        if outcome.interrupted:
            forget_frames(failure, *outcome.fired.values())
            assert failure is None or not isinstance(failure, Exception) or failure in outcome.fired.values()
        elif failure is not None and not isinstance(failure, Exception):
            raise failure
        return outcome

    def interrupted(
        self,
        outcome: Outcome,
        closable: Callable[[Thing], bool] = lambda thing: False,
        lent: tuple[Thing, ...] = (),
    ) -> bool:
        """Say whether a step was interrupted: then nothing may be lost, and nothing else touched."""
        if not outcome.interrupted:
            assert outcome.error is None
            return False
        self.pool._empty()  # what was taken out, and not destroyed yet
        using, avail = list(self.pool._using), list(self.pool._avail)
        self.add(outcome.made)
        for thing in [*self.idle, *self.lent]:
            was_lent = thing in self.lent
            places = [thing.closings == 1, thing in using, thing in avail]
            assert sum(places) == 1, f"{thing} is in {places} (closed, using, available)"
            if places[0]:
                assert not was_lent or thing in lent or closable(thing), f"{thing} closed in somebody's hands"
                self.close(thing)
            elif places[1]:
                assert was_lent or thing in lent, f"{thing} is with nobody and in use"
                if not was_lent:
                    self.lend(thing)
            elif was_lent:
                assert closable(thing), f"{thing} taken from its holder"
                self.take_back(thing)
        self.refill()
        self.open_counts = True
        return True

    def fill(self, outcome: Outcome) -> None:
        """See that a step has made no more than was missing, then fill the pool."""
        assert len(outcome.made) <= (0 if self.shut else max(0, self.min_size - self.alive))
        self.add(outcome.made)
        self.refill()

    def refill(self) -> None:
        """Fill the pool up to `min_size`, unless a creation fails."""
        outcome = self.do(self.pool._fill)
        missing = 0 if self.shut else max(0, self.min_size - self.alive)
        self.add([thing for thing in outcome.made if not thing.closings])
        if outcome.fired:
            assert len(outcome.made) <= missing
            self.gone += [thing for thing in outcome.made if thing.closings]
        else:
            assert len(outcome.made) == missing

    def expect_get(self, outcome: Outcome, got: Thing | None) -> Thing | None:
        """See whether the right object was lent, if one had to be; move it to the lent ones."""
        if self.shut or (self.max_size and len(self.lent) >= self.max_size):
            assert got is None
            assert isinstance(outcome.error, ppp.PoolException)
            assert isinstance(outcome.error, ppp.TimeOut) is not self.shut
            assert ("shutting down" if self.shut else "timeout after") in str(outcome.error)
            return None
        now, check = self.clock.now, self.features["check_after_idle"]
        chosen = got if got in self.idle else None
        due = [thing for thing in self.idle if check is not None and now - thing.back >= check]
        for thing in list(self.idle):
            if thing is chosen or (chosen and not thing.closings and thing.back <= chosen.back):
                continue
            assert chosen is None or thing.back >= chosen.back, "the most recently used is lent first"
            if self.expired(thing):
                self.close(thing, "nexpired")
                continue
            assert thing in due
            assert thing.sick or "health" in outcome.fired
            self.close(thing)
            self.open_counts = True  # by a failing hook or for being sick: counted differently
        if chosen is None:
            if not outcome.made:
                assert (got, outcome.error) == (None, outcome.fired["fun"])
                return None
            chosen = outcome.made.pop(0)
            assert chosen is got
            self.add([chosen])
        else:
            assert not self.expired(chosen)
            assert not (chosen in due and chosen.sick)
            self.counted.update({"nchecks": chosen in due, "nhealth": chosen in due})
        self.counted["nuses"] += 1
        self.lend(chosen)
        return chosen

    @rule(timeout=st.sampled_from([None, 0, 0.0]))
    def get(self, timeout: float | None) -> None:
        """Get an object."""
        outcome = self.do(lambda: self.pool.get(timeout))
        if outcome.interrupted:
            self.interrupted(outcome, lent=(outcome.result,) if outcome.result else ())
            return
        thing = self.expect_get(outcome, outcome.result)
        assert outcome.made == []
        assert outcome.error is None or thing is None
        assert (outcome.calls.count("getter") == 1) is ("getter" in self.hooks and thing is not None)
        self.refill()

    def expect_ret(self, thing: Thing, outcome: Outcome) -> None:
        """See what has to come of a return."""
        for hook in ("retter", "reset"):
            assert outcome.calls.count(hook) == (hook in self.hooks)
        reasons = {
            "nreset_errors": "reset" in outcome.fired,
            "nexpired": self.expired(thing),
            "nwornout": 0 < self.features["max_use"] <= thing.uses,
            "": thing.old or (self.max_size and self.alive > self.max_size),
        }
        causes = [name for name, holds in reasons.items() if holds]
        if causes or (thing.old is None and thing.closings):
            self.close(thing, *causes)
        else:
            self.take_back(thing)
        self.fill(outcome)

    @precondition(lambda self: self.lent)
    @rule(which=st.integers(0, 9))
    def ret(self, which: int) -> None:
        """Return an object."""
        thing = self.lent[which % len(self.lent)]
        outcome = self.do(lambda: self.pool.ret(thing))
        if self.interrupted(outcome, lambda other: other is thing):
            assert thing not in self.lent
        else:
            self.expect_ret(thing, outcome)

    @rule(error=st.sampled_from([None, None, Fault, Broken, KeyboardInterrupt]))
    def with_obj(self, error: type[BaseException] | None) -> None:
        """Use an object in a block, which may end by an exception."""
        got: list[Thing] = []
        raised: list[BaseException] = []

        def use() -> None:
            try:
                with self.pool.obj() as thing:
                    got.append(thing)
                    if error is not None:
                        raise error("body")
            except BaseException as exc:
                if exc.args != ("body",):
                    raise
                raised.append(exc)

        outcome = self.do(use)
        if outcome.interrupted:
            self.interrupted(outcome)
            assert not set(got) & set(self.lent)
            return
        thing = self.expect_get(outcome, got[0] if got else None)
        if thing is None:
            assert outcome.error is not None
            assert outcome.made == []
            self.refill()
            return
        assert outcome.error is None
        assert bool(raised) is (error is not None)
        if error is not None and issubclass(error, Broken):
            self.close(thing, "ninvalidated")
            assert "retter" not in outcome.calls
            self.fill(outcome)
        else:
            self.expect_ret(thing, outcome)

    @precondition(lambda self: self.lent)
    @rule(which=st.integers(0, 9))
    def invalidate(self, which: int) -> None:
        """Give an object up as broken."""
        thing = self.lent[which % len(self.lent)]
        outcome = self.do(lambda: self.pool.invalidate(thing))
        if self.interrupted(outcome, lambda other: other is thing):
            assert thing in self.gone
            return
        assert "retter" not in outcome.calls
        self.close(thing, "ninvalidated")
        self.fill(outcome)

    @rule(which=st.integers(0, 99), invalidate=st.booleans())
    def wrong_return(self, which: int, invalidate: bool) -> None:
        """Return what is not lent: returned already, destroyed, or never seen."""
        others = [*self.idle, *self.gone, Thing(-1)]
        thing = others[which % len(others)]
        outcome = self.do(lambda: (self.pool.invalidate if invalidate else self.pool.ret)(thing))
        assert (outcome.error, outcome.calls) == (None, [])
        self.refill()

    @rule()
    def drain(self) -> None:
        """Replace all objects."""
        outcome = self.do(self.pool.drain)
        for thing in self.lent:
            thing.old = thing.old or (None if outcome.interrupted else True)
        if not self.interrupted(outcome):
            for thing in list(self.idle):
                self.close(thing)
            self.fill(outcome)

    @rule(least=st.sampled_from([None, 0, 1, 2, 3]), most=st.sampled_from([None, 1, 2, 4]))
    def resize(self, least: int | None, most: int | None) -> None:
        """Change the sizes."""
        if self.shut:
            return
        most = most if self.max_size else None
        outcome = self.do(lambda: self.pool.resize(min_size=least, max_size=most))
        self.max_size = self.max_size if most is None else most
        least = self.min_size if least is None else least
        self.min_size = min(least, self.max_size) if self.max_size else least
        stats = self.pool.stats()
        assert (stats["max_size"], stats["min_size"]) == (self.max_size, self.min_size)
        if self.interrupted(outcome):
            return
        surplus = max(0, self.alive - self.max_size) if self.max_size else 0
        closed = [thing for thing in self.idle if thing.closings]
        assert len(closed) == min(surplus, len(self.idle))
        for thing in closed:
            self.close(thing)
        self.fill(outcome)

    @rule(sure=st.integers(0, 4))
    def shutdown(self, sure: int) -> None:
        """Shut down, now and then."""
        if sure and not self.shut:
            return
        outcome = self.do(self.pool.shutdown)
        assert outcome.interrupted or outcome.error is None
        if outcome.interrupted:  # whoever was interrupted may try again
            self.pool.shutdown()
        self.shut, self.min_size = True, 0
        assert outcome.made == []
        for thing in [*self.idle, *self.lent]:
            self.close(thing)
        self.open_counts = True

    @rule(sure=st.integers(0, 3))
    def delete(self, sure: int) -> None:
        """Close every object, and keep the pool, now and then."""
        if sure:
            return
        outcome = self.do(self.pool.__delete__)
        if not self.interrupted(outcome, lambda thing: True):
            for thing in [*self.idle, *self.lent]:
                self.close(thing)
            self.fill(outcome)

    @rule(seconds=st.sampled_from([10, 10, 30, 100, 500]))
    def advance(self, seconds: float) -> None:
        """Let time pass: never to the very moment at which something is due."""
        self.clock.advance(seconds)

    @rule(check=st.booleans())
    def round(self, check: bool) -> None:
        """Do a round of housekeeping."""
        now = self.clock.now
        kill, limit = self.features["max_using_delay_kill"], self.features["max_avail_delay"]
        killable = [thing for thing in self.lent if kill and now - thing.got >= kill]

        def keep_house() -> None:
            self.pool._hkRound()
            assert self.world.calls == [], "it calls no foreign code"
            if check:
                self.pool._health_check()
            self.pool._empty()

        outcome = self.do(keep_house)
        if self.interrupted(outcome, killable.__contains__):
            return
        for thing in killable:
            self.close(thing, "nkilled")
        for thing in [thing for thing in self.idle if self.expired(thing)]:
            self.close(thing, "nexpired")
        for thing in sorted(self.idle, key=lambda thing: (not thing.closings, thing.back)):
            if limit and now - thing.back >= limit and self.alive > self.min_size:
                self.close(thing, "nrecycled")
        if check:
            failed = "health" in outcome.fired
            bad = [thing for thing in self.idle if thing.closings]
            sick = [thing for thing in self.idle if thing.sick]
            assert all(thing in bad for thing in sick)
            assert failed >= len(bad) - len(sick) >= 0
            assert bad or not failed
            self.counted["nhealth"] += len(self.idle)
            self.counted.update({"hc_errors": failed, "bad_health": len(bad) - failed})
            for thing in bad:
                self.close(thing)
        self.fill(outcome)

    @rule(hook=st.sampled_from(HOOKS), error=st.sampled_from([Fault, Fault, KeyboardInterrupt, SystemExit]))
    def arm(self, hook: str, error: type[BaseException]) -> None:
        """Let the next call of a hook fail, or be interrupted."""
        if hook in (*self.hooks, "fun"):
            self.world.armed[hook] = error(hook)

    @precondition(lambda self: self.idle)
    @rule(which=st.integers(0, 9))
    def fall_sick(self, which: int) -> None:
        """Let an idle object fall sick."""
        self.idle[which % len(self.idle)].sick = True

    @invariant()
    def nothing_is_lost(self) -> None:
        """See that model and pool agree, object by object, permit by permit, counter by counter."""
        if not hasattr(self, "pool"):
            return
        world, pool = self.world, self.pool
        stats = self.pool.stats()
        json.dumps(stats)
        assert world.wrong == []
        assert set(self.idle) == set(pool._avail)
        assert set(self.lent) == set(pool._using)
        assert len(pool._todel) == 0
        assert {*self.idle, *self.lent} == set(world.alive)
        assert all(thing.closings == 1 for thing in self.gone)
        if self.max_size:
            free = max(0, self.max_size - len(self.lent))
            assert stats["sem"] == {"value": free, "init": self.max_size}
            # a resize leaves those alone which are lent
            assert self.alive <= self.max_size or self.idle == []
        else:
            assert stats["sem"] is None
        assert (stats["navail"], stats["nusing"]) == (len(self.idle), len(self.lent))
        assert stats["nobjs"] == self.alive
        assert stats["ncreated"] == len(world.made)
        assert stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
        assert stats["ncreating"] >= stats["ncreated"]
        assert stats["nwaiting"] == stats["ntodel"] == 0
        if self.open_counts:
            self.counted.update({name: stats[name] - self.counted[name] for name in COUNTED})
            self.open_counts = False
        assert {name: stats[name] for name in COUNTED} == {name: self.counted[name] for name in COUNTED}
        numbers = [world.numbers[thing.serial] for thing in world.alive]
        assert len(numbers) == len(set(numbers))
        assert stats["shutdown"] is self.shut


Machine.TestCase.settings = settings(
    max_examples=int(10 * STRESS) if STRESS else 40,
    stateful_step_count=40,
    deadline=None,
    derandomize=not STRESS,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(60 + 10 * STRESS)
class TestModel(Machine.TestCase):  # type: ignore[misc, valid-type]
    """No sequence of uses, failures and interruptions of a pool loses a permit or an object."""
