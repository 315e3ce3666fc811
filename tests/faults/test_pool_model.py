"""A walk over the whole public interface of `Pool`, against a naive model in plain lists.

Time is turned by hand, and the steps of the housekeeper are steps like all others: its thread, which a
return wakes to fill the pool, does nothing, and each step ends with a filling instead. Hooks that fail are a
step too, and the model says exactly what has to happen then. By default the machine does the same steps each
time; with `PPP_STRESS_SECONDS` it looks for new ones.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Clock
from helpers import HOUR
from helpers_faults import STRESS, Fault, quiet
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import ProxyPatternPool as ppp

SIZES = ((0, 0), (0, 2), (1, 0), (1, 1), (2, 1), (3, 1), (3, 3), (4, 2))
HOOKS = ("opener", "getter", "retter", "reset")
FEATURES: dict[str, tuple[Any, ...]] = {
    "max_use": (0, 0, 1, 2, 5),
    "max_avail_delay": (0.0, 25.0),
    "max_using_delay": (0.0, 15.0),
    "max_using_delay_kill": (0.0, 45.0),
    "max_lifetime": (0.0, 0.0, 106.0),
    "check_after_idle": (None, 0.0, 25.0),
}


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

    number: int
    closings: int = 0
    sick: bool = False
    born: float = 0.0
    back: float = 0.0
    got: float = 0.0
    uses: int = 0
    old: bool = False  # drained while lent


class Machine:
    """The pool and its model, step by step."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.clock = Still.clock = Clock()
        # what the pool has made, and what fails when it is called next
        self.made: list[Thing] = []
        self.armed: set[str] = set()
        self.wrong: list[str] = []
        # the model
        self.idle: list[Thing] = []
        self.lent: list[Thing] = []
        self.shut = False
        self.features = {name: self.choose(*values) for name, values in FEATURES.items()}
        self.max_size, self.min_size = self.choose(*SIZES)
        self.hooks = {"closer", "health", *data.draw(st.sets(st.sampled_from(HOOKS)))}
        parameters = self.features | {name: self.hook(name) for name in sorted(self.hooks)}
        parameters |= {"timeout": 0.0, "invalidate_on": (BrokenPipeError,), "delay": HOUR}
        self.pool: Any = None
        self.do(lambda: Still(self.fun, self.max_size, self.min_size, **parameters))
        self.pool = self.result
        assert len(self.new) == self.min_size
        self.fill()
        self.check()

    def choose(self, *options: Any) -> Any:
        return self.data.draw(st.sampled_from(options))

    def call(self, hook: str) -> None:
        """Note a call, look at the pool from inside of it, and fail if armed."""
        self.calls.append(hook)
        str(self.pool)
        if hook in self.armed:
            self.armed.remove(hook)
            self.fired[hook] = Fault(hook)
            raise self.fired[hook]

    def fun(self, number: int) -> Thing:
        self.call("fun")
        self.made.append(Thing(number))
        return self.made[-1]

    def hook(self, name: str) -> Callable[[Thing], bool]:
        """Make the hook of that name."""

        def run(thing: Thing) -> bool:
            if name == "closer":
                thing.closings += 1
            else:
                self.wrong += [f"{name} of {thing} after its end"] * thing.closings
            self.call(name)
            return not thing.sick

        return run

    def add(self, things: list[Thing]) -> None:
        """Put new things among the idle ones."""
        for thing in things:
            thing.born = thing.back = self.clock.now
        self.idle += things

    def close(self, *things: Thing) -> None:
        """Strike out things, which have been closed."""
        for thing in things:
            (self.idle if thing in self.idle else self.lent).remove(thing)
            assert thing.closings == 1, f"{thing} is still open"

    def expired(self, thing: Thing) -> bool:
        """Whether its lifetime is over: no step of time ends in the random part of it."""
        limit = self.features["max_lifetime"]
        return bool(limit) and self.clock.now - thing.born >= limit * 0.95

    @property
    def alive(self) -> int:
        return len(self.idle) + len(self.lent)

    def do(self, work: Callable[[], Any]) -> None:
        """Do a step with the real pool, and note all that came of it."""
        made = len(self.made)
        self.fired: dict[str, Fault] = {}
        self.calls: list[str] = []
        self.result: Any = None
        self.error: BaseException | None = None
        try:
            self.result = work()
        except BaseException as error:
            self.error = error
        self.new = self.made[made:]

    def fill(self) -> None:
        """See that a step has failed in nothing and made no more than was missing; fill the pool."""
        assert self.error is None
        assert self.alive + len(self.new) <= max(self.alive, self.min_size)
        self.add(self.new)
        missing = max(0, self.min_size - self.alive)
        self.do(self.pool._fill)
        assert len(self.new) == missing or (self.fired and len(self.new) < missing)
        self.add([thing for thing in self.new if not thing.closings])
        self.new = []

    def expect_get(self, got: Thing | None, error: BaseException | None = None) -> bool:
        """See whether the right object was lent, if one had to be; move it to the lent ones."""
        raised, self.error = self.error, None
        if self.shut or (self.max_size and len(self.lent) >= self.max_size):
            assert (got, type(raised)) == (None, ppp.PoolException if self.shut else ppp.TimeOut)
            assert ("shutting down" if self.shut else "timeout after") in str(raised)
            return False
        now, check = self.clock.now, self.features["check_after_idle"]
        chosen = got if got in self.idle else None
        due = [thing for thing in self.idle if check is not None and now - thing.back >= check]
        for thing in list(self.idle):
            if thing is chosen or (chosen and not thing.closings and thing.back <= chosen.back):
                continue
            assert chosen is None or thing.back >= chosen.back, "the most recently used is lent first"
            self.close(thing)
            assert self.expired(thing) or (thing in due and (thing.sick or "health" in self.fired))
        if chosen is not None:
            assert not self.expired(chosen)
            assert not (chosen in due and chosen.sick)
        elif self.new:
            chosen = self.new.pop(0)
            assert chosen is got
            self.add([chosen])
        else:
            assert (got, raised) == (None, self.fired["fun"])
            return False
        assert (raised, self.new) == (error, [])
        assert self.calls.count("getter") == ("getter" in self.hooks)
        self.idle.remove(chosen)
        chosen.got, chosen.uses = now, chosen.uses + 1
        self.lent.append(chosen)
        return True

    def get(self) -> None:
        self.do(lambda: self.pool.get(self.choose(None, 0, 0.0)))
        self.expect_get(self.result)

    def expect_ret(self, thing: Thing, broken: bool) -> None:
        """See what has to come of a return; what is broken is destroyed, with neither hook."""
        for hook in ("retter", "reset"):
            assert self.calls.count(hook) == (hook in self.hooks and not broken)
        surplus = thing.old or (self.max_size and self.alive > self.max_size)
        worn_out = 0 < self.features["max_use"] <= thing.uses
        if broken or surplus or worn_out or self.expired(thing) or "reset" in self.fired:
            self.close(thing)
        else:
            self.lent.remove(thing)
            thing.back = self.clock.now
            self.idle.append(thing)

    def ret(self) -> None:
        """Return an object, or have it destroyed."""
        thing, broken = self.choose(*self.lent), self.choose(False, False, False, True)
        self.do(lambda: (self.pool.invalidate if broken else self.pool.ret)(thing))
        self.expect_ret(thing, broken)

    def with_obj(self) -> None:
        """Use an object in a block, which may end by an exception."""
        got: list[Thing] = []
        body = self.choose(None, None, Fault(), BrokenPipeError(), KeyboardInterrupt())

        def use() -> None:
            with self.pool.obj() as thing:
                got.append(thing)
                if body is not None:
                    raise body

        self.do(use)
        if self.expect_get(got[0] if got else None, body):
            self.expect_ret(got[0], isinstance(body, BrokenPipeError))

    def wrong_return(self) -> None:
        """Return what is not lent: idle, destroyed, or never seen."""
        gone = [thing for thing in self.made if thing.closings]
        thing = self.choose(Thing(-1), *gone[-1:], *self.idle)
        self.do(lambda: self.choose(self.pool.invalidate, self.pool.ret)(thing))
        assert (self.error, self.calls) == (None, [])

    def drain(self) -> None:
        self.do(self.pool.drain)
        for thing in self.lent:
            thing.old = True
        self.close(*self.idle)

    def resize(self) -> None:
        if self.shut:
            return
        least, most = self.choose(None, 0, 1, 2, 3), self.choose(None, 1, 2, 4) if self.max_size else None
        self.do(lambda: self.pool.resize(min_size=least, max_size=most))
        self.max_size = self.max_size if most is None else most
        least = self.min_size if least is None else least
        self.min_size = min(least, self.max_size) if self.max_size else least
        stats = self.pool.stats()
        assert (stats["max_size"], stats["min_size"]) == (self.max_size, self.min_size)
        surplus = max(0, self.alive - self.max_size) if self.max_size else 0
        closed = [thing for thing in self.idle if thing.closings]
        assert len(closed) == min(surplus, len(self.idle))
        self.close(*closed)

    def close_all(self) -> None:
        """Close every object, and keep the pool."""
        self.do(self.pool.__delete__)
        self.close(*self.idle, *self.lent)

    def shutdown(self) -> None:
        self.do(self.pool.shutdown)
        self.shut, self.min_size = True, 0
        self.close_all()

    def round(self) -> None:
        check, now = self.choose(True, False), self.clock.now
        kill, limit = self.features["max_using_delay_kill"], self.features["max_avail_delay"]

        def keep_house() -> None:
            self.pool._hkRound()
            assert self.calls == [], "it calls no foreign code"
            if check:
                self.pool._health_check()
            self.pool._empty()

        self.do(keep_house)
        self.close(*[thing for thing in self.lent if kill and now - thing.got >= kill])
        self.close(*filter(self.expired, self.idle))
        for thing in sorted(self.idle, key=lambda thing: (not thing.closings, thing.back)):
            if limit and now - thing.back >= limit and self.alive > self.min_size:
                self.close(thing)
        if check:
            failed = "health" in self.fired
            bad = [thing for thing in self.idle if thing.closings]
            sick = [thing for thing in self.idle if thing.sick]
            assert all(thing in bad for thing in sick)
            assert failed >= len(bad) - len(sick) >= 0
            assert bad or not failed
            self.close(*bad)

    def arm(self) -> None:
        """Let the next call of a hook fail."""
        self.armed.add(self.choose("fun", *sorted(self.hooks)))

    def fall_sick(self) -> None:
        self.choose(*self.idle).sick = True

    def step(self) -> None:
        """Do a step at random, and see that all is well."""
        # time passes, but never to the very moment at which something is due
        self.clock.advance(self.choose(*10 * [0], 10, 10, 30, 50, 100, 500))
        steps = 4 * [self.get] + 3 * [self.with_obj, self.round] + 2 * [self.wrong_return, self.arm]
        steps += 4 * [self.ret] * bool(self.lent)
        steps += [self.drain, self.resize, self.close_all] + [self.fall_sick] * bool(self.idle)
        self.choose(*steps)()
        self.fill()
        self.check()

    def check(self) -> None:
        """See that model and pool agree, object by object, permit by permit."""
        pool, size, alive = self.pool, self.max_size, [thing for thing in self.made if not thing.closings]
        stats = json.loads(str(pool))
        expected = {
            "navail": len(self.idle),
            "nusing": len(self.lent),
            "nobjs": self.alive,
            "ncreated": len(self.made),
            "ndestroys": len(self.made) - self.alive,
            "nwaiting": 0,
            "ntodel": 0,
            "sem": {"value": max(0, size - len(self.lent)), "init": size} if size else None,
            "shutdown": self.shut,
        }
        assert {name: stats[name] for name in expected} == expected
        assert stats["ncreating"] >= stats["ncreated"]
        assert (set(self.idle), set(self.lent)) == (set(pool._avail), set(pool._using))
        assert {*self.idle, *self.lent} == set(alive)
        assert not size or self.alive <= size or self.idle == []  # a resize leaves alone those which are lent
        assert all(thing.closings <= 1 for thing in self.made)
        assert (self.wrong, list(pool._todel)) == ([], [])
        assert len({thing.number for thing in alive}) == len(alive)


@pytest.mark.timeout(60 + 10 * STRESS)
@settings(
    max_examples=int(10 * STRESS) if STRESS else 60,
    deadline=None,
    derandomize=not STRESS,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_model(data: st.DataObject) -> None:
    """No sequence of uses and failures of a pool loses a permit or an object."""
    with quiet():
        machine = Machine(data)
        with machine.pool:  # shut down in any case: Hypothesis may break off the walk anywhere
            for _ in range(40):
                machine.step()
            machine.armed.clear()
            machine.shutdown()
            machine.fill()
            for _ in range(3):
                machine.step()
