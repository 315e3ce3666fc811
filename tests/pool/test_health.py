"""Health: idle objects are examined in rounds, and by `check_after_idle` before they are lent."""

from __future__ import annotations

import pytest
from conftest import Clock, Factory, MakePool, Resource, Spawn
from helpers import HOUR, SECONDS, Gate, keep_house, no_luck, none_left, numbers, permits, waiting


@pytest.mark.parametrize("how", ["refuses", "raises"])
def test_health(factory: Factory, make_pool: MakePool, how: str) -> None:
    """Idle objects that health refuses, or raises about, are closed and counted; others stay."""

    def check(resource: Resource) -> bool:
        resource.check()
        return resource.serial != 1 or (how == "raises" and no_luck())

    pool = make_pool(max_size=4, min_size=4, health=check, delay=HOUR)
    pool.get()
    keep_house(pool)
    calls = [(name, resource.serial) for name, resource in factory.calls]
    assert calls == [("check", 0), ("check", 1), ("close", 1), ("check", 2)]  # one after the other
    assert numbers(pool, "nhealth nborrows nreturns ndestroys nuses nobjs") == [3, 3, 3, 1, 1, 4]
    assert numbers(pool, "bad_health hc_errors hc_rounds") == [how == "refuses", how == "raises", 1]


@pytest.mark.parametrize("examined", [False, True])
def test_last_used_is_lent_first(make_pool: MakePool, clock: Clock, examined: bool) -> None:
    """What was used last is lent first, also when a round has examined all idle objects."""
    pool = make_pool(max_size=3, health=bool, delay=HOUR)
    lent = [pool.get() for _ in range(3)]
    for rank in (2, 0, 1):
        clock.advance(1.0)
        pool.ret(lent[rank])
    if examined:
        pool._health_check()
    assert [pool.get() for _ in range(3)] == [lent[1], lent[0], lent[2]]


@pytest.mark.parametrize("verdict", [True, False])
def test_examined_is_not_lent(factory: Factory, make_pool: MakePool, spawn: Spawn, verdict: bool) -> None:
    """While an object is examined it holds a permit and nobody gets it, nor ever if it is refused."""
    gate = Gate()
    pool = make_pool(max_size=1, min_size=1, health=lambda _: gate() and verdict, delay=HOUR)
    with gate.holds(pool._health_check) as checking:
        assert (len(pool._avail), list(pool._using), permits(pool)) == (0, factory.made, (0, 1))
        none_left(pool)
        waiter = spawn(pool.get, SECONDS)
        waiting(pool, 1)
    checking.result()
    assert (waiter.result().serial, factory.made[0].closings) == (1 - verdict, 1 - verdict)


@pytest.mark.parametrize(("after", "seconds", "checks"), [(10.0, 9.0, 0), (10.0, 11.0, 2), (0.0, 0.0, 2)])
def test_check_after_idle(
    factory: Factory, make_pool: MakePool, clock: Clock, after: float, seconds: float, checks: int
) -> None:
    """What is idle for that long is examined before it is lent; if refused, it is closed before the next."""
    pool = make_pool(max_size=2, min_size=2, check_after_idle=after, health=Resource.check, delay=HOUR)
    healthy, sick = factory.made
    sick.healthy = not checks
    clock.advance(seconds)
    assert pool.get(timeout=0) is (healthy if checks else sick)
    assert factory.calls == [("check", sick), ("close", sick), ("check", healthy)] * (checks > 0)
    assert numbers(pool, "nchecks nhealth bad_health nuses") == [checks, checks, checks > 0, 1]
    assert permits(pool) == (1, 2)
