"""Lending and returning: limits, timeouts, numbers, uses, statistics, and objects of every kind."""

from __future__ import annotations

import datetime
import json
import logging
import time
from typing import Any, NoReturn

import pytest
from conftest import Clock, Factory, MakePool, Messages, Resource, Spawn, eventually

import ProxyPatternPool as ppp

# making


def test_min_size_at_construction(factory: Factory, make_pool: MakePool) -> None:
    """A new pool makes its smallest number of objects at once."""
    pool = make_pool(min_size=3)
    assert factory.numbers == [0, 1, 2]
    assert (pool.stats()["navail"], pool.stats()["nobjs"]) == (3, 3)


def test_one_ahead_by_default(factory: Factory, make_pool: MakePool) -> None:
    """By default one object is made ahead."""
    make_pool()
    assert len(factory.made) == 1


def test_nothing_ahead(factory: Factory, make_pool: MakePool) -> None:
    """With a smallest number of 0, objects are made on demand."""
    pool = make_pool(min_size=0)
    assert factory.made == []
    assert pool.get() is factory.made[0]


def test_numbers(factory: Factory, make_pool: MakePool) -> None:
    """Objects are made with 0, 1, 2…, and a number is not used again after its object is gone."""
    pool = make_pool(max_use=1, min_size=0)
    for _ in range(4):
        pool.ret(pool.get())
    assert factory.numbers == [0, 1, 2, 3]


def test_failed_number_is_used_again(factory: Factory, make_pool: MakePool) -> None:
    """Numbers count successful creations: one that failed is used again."""
    pool = make_pool(min_size=0)
    pool.get()
    factory.fails["make"] = OSError("no server")
    with pytest.raises(OSError, match="no server"):
        pool.get()
    factory.fails.clear()
    pool.get()
    assert factory.numbers == [0, 1, 1]
    assert (pool.stats()["ncreating"], pool.stats()["ncreated"]) == (3, 2)


def test_fun_fails_in_get(factory: Factory, make_pool: MakePool) -> None:
    """The error of `fun` itself reaches the caller of `get`, and costs no token."""
    pool = make_pool(max_size=2, min_size=0)
    error = factory.fails["make"] = OSError("no server")
    for _ in range(5):
        with pytest.raises(OSError, match="no server") as raised:
            pool.get(timeout=0)
        assert raised.value is error
    factory.fails.clear()
    assert pool.get(timeout=0) is not pool.get(timeout=0)
    assert (pool.stats()["nuses"], pool.stats()["nobjs"], pool.stats()["ncreated"]) == (2, 2, 2)


def test_fun_fails_at_construction(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A server that is down at construction is logged, and the pool works once it is up."""
    factory.fails["make"] = OSError("no server")
    pool = make_pool(max_size=2, min_size=2)
    assert any("new object failed: " in text and "no server" in text for text in messages("ERROR"))
    assert pool.stats()["nobjs"] == 0
    factory.fails.clear()
    assert pool.get(timeout=0) is not pool.get(timeout=0)


def test_construction_asks_a_dead_server_once(factory: Factory, make_pool: MakePool) -> None:
    """Filling stops at the first failure."""
    factory.fails["make"] = OSError("no server")
    make_pool(min_size=3)
    assert len(factory.numbers) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_fun_interrupted_in_get(factory: Factory, make_pool: MakePool, error: type[BaseException]) -> None:
    """An interrupted creation reaches the caller, and costs no token."""
    pool = make_pool(max_size=1, min_size=0)
    factory.fails["make"] = error()
    for _ in range(3):
        with pytest.raises(error):
            pool.get(timeout=0)
    factory.fails.clear()
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0).number == 0


# lending


def test_get_and_ret(make_pool: MakePool) -> None:
    """A returned object is lent again."""
    pool = make_pool()
    first = pool.get()
    pool.ret(first)
    assert pool.get() is first


def test_one_holder_each(factory: Factory, make_pool: MakePool) -> None:
    """Objects lent at the same time are different ones."""
    pool = make_pool(max_size=5)
    lent = [pool.get() for _ in range(5)]
    assert len({id(each) for each in lent}) == 5
    stats = pool.stats()
    assert (stats["navail"], stats["nusing"], stats["nobjs"], stats["nuses"]) == (0, 5, 5, 5)


@pytest.mark.parametrize("max_size", [0, None])
def test_no_limit(factory: Factory, make_pool: MakePool, max_size: int | None) -> None:
    """A pool without a limit makes as many as are asked for, and never waits."""
    pool = make_pool(max_size=max_size)
    lent = [pool.get(timeout=0) for _ in range(50)]
    assert len({id(each) for each in lent}) == 50
    assert (pool.stats()["max_size"], pool.stats()["sem"]) == (max_size, None)


def test_time_out(make_pool: MakePool) -> None:
    """A `get` that finds no object within its time raises `TimeOut`, and not before that time."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    start = time.monotonic()
    with pytest.raises(ppp.TimeOut, match=r"timeout after 0\.05"):
        pool.get(timeout=0.05)
    assert 0.04 < time.monotonic() - start < 2.0
    pool.ret(lent)
    assert pool.get(timeout=0.05) is lent


def test_time_out_tells_numbers(make_pool: MakePool) -> None:
    """The text of a timeout names the pool and tells how many objects are in use."""
    pool = make_pool(max_size=3, name="db")
    for _ in range(3):
        pool.get()
    with pytest.raises(ppp.TimeOut, match=r"^pool 'db': timeout after .*3 of 3"):
        pool.get(timeout=0.001)


def test_default_timeout(make_pool: MakePool) -> None:
    """Without a time of its own, `get` takes the pool's."""
    pool = make_pool(max_size=1, timeout=0.01)
    pool.get()
    with pytest.raises(ppp.TimeOut, match=r"timeout after 0\.01"):
        pool.get()
    with pytest.raises(ppp.TimeOut, match=r"timeout after 0\.02"):
        pool.get(timeout=0.02)


@pytest.mark.parametrize("default", [None, 30.0])
def test_zero_does_not_wait(make_pool: MakePool, default: float | None) -> None:
    """A timeout of 0 is no wait, whatever the pool's default."""
    pool = make_pool(max_size=1, timeout=default)
    lent = pool.get(timeout=0)
    start = time.monotonic()
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)
    assert time.monotonic() - start < 2.0
    assert pool.stats()["nwaiting"] == 0
    pool.ret(lent)
    assert pool.get(timeout=0) is lent


def test_zero_as_default(make_pool: MakePool) -> None:
    """A pool's own timeout may be 0 too."""
    pool = make_pool(max_size=1, timeout=0)
    pool.get()
    with pytest.raises(ppp.TimeOut):
        pool.get()


def test_none_waits(make_pool: MakePool, spawn: Spawn) -> None:
    """Without any timeout, `get` waits until an object comes back."""
    pool = make_pool(max_size=1)
    lent = pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    pool.ret(lent)
    assert waiter.result() is lent


def test_most_recent_first(make_pool: MakePool) -> None:
    """The most recently returned is lent first, so that the surplus idles."""
    pool = make_pool()
    first, second, third = pool.get(), pool.get(), pool.get()
    pool.ret(second)
    pool.ret(third)
    pool.ret(first)
    assert [pool.get() for _ in range(3)] == [first, third, second]


def test_obj(make_pool: MakePool) -> None:
    """`with pool.obj()` lends for the time of its body."""
    pool = make_pool(max_size=1)
    with pool.obj() as lent:
        assert pool.stats()["nusing"] == 1
        with pytest.raises(ppp.TimeOut), pool.obj(timeout=0.001):
            raise AssertionError("nothing was there to lend")
    assert pool.stats()["nusing"] == 0
    assert pool.get(timeout=0) is lent


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_obj_returns_whatever_happens(make_pool: MakePool, error: type[BaseException]) -> None:
    """An exception in the body returns the object and goes on to the caller."""
    pool = make_pool(max_size=1)
    raised = error()
    with pytest.raises(error) as caught, pool.obj():
        raise raised
    assert caught.value is raised
    assert (pool.stats()["nusing"], pool.stats()["navail"]) == (0, 1)


def test_obj_takes_nothing_before_with(make_pool: MakePool) -> None:
    """Asking for the context manager lends nothing: entering it does."""
    pool = make_pool(max_size=1)
    manager = pool.obj()
    assert pool.stats()["nusing"] == 0
    with manager:
        assert pool.stats()["nusing"] == 1


# returning


def test_ret_of_foreign(make_pool: MakePool, messages: Messages) -> None:
    """Returning what was never lent is a warning and nothing else."""
    pool = make_pool(max_size=2, retter=Resource.take_back, tracer=str)
    before = {key: pool.stats()[key] for key in ("sem", "navail", "nusing", "nobjs")}
    pool.ret("stranger")
    assert {key: pool.stats()[key] for key in before} == before
    (warning,) = messages()
    assert "unexpected object returned: stranger" in warning


def test_ret_twice(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """A second return is a warning, calls no hook and gives no token."""
    pool = make_pool(max_size=2, retter=Resource.take_back, tracer=str)
    lent = pool.get()
    pool.ret(lent)
    pool.ret(lent)
    (warning,) = messages()
    assert f"unexpected object returned: {lent}" in warning
    assert lent.rets == 1
    assert (pool.stats()["sem"], pool.stats()["navail"]) == ({"value": 2, "init": 2}, 1)
    assert pool.get(timeout=0) is not pool.get(timeout=0)


def test_ret_of_idle(make_pool: MakePool, messages: Messages) -> None:
    """An idle object, never lent, cannot be returned."""
    pool = make_pool(max_size=2)
    lent = pool.get()
    pool.ret(lent)
    other = make_pool(max_size=2)
    other.ret(lent)
    assert len(messages()) == 1
    assert (pool.stats()["navail"], other.stats()["navail"]) == (1, 1)


def test_ret_of_killed(make_pool: MakePool, clock: Clock, messages: Messages) -> None:
    """An object killed while it was held is not taken back."""
    pool = make_pool(max_size=1, min_size=0, max_using_delay_kill=10.0, delay=3600.0)
    lent = pool.get()
    clock.advance(11.0)
    pool._hkRound()
    known = len(messages())
    pool.ret(lent)
    assert "unexpected object returned: " in messages()[known]
    assert (lent.closings, pool.stats()["navail"], pool.stats()["sem"]["value"]) == (1, 0, 1)


def test_ret_describes_by_tracer(make_pool: MakePool, messages: Messages) -> None:
    """A tracer's text, where there is one, stands for the object in messages."""
    pool = make_pool(tracer=lambda thing: f"<<{thing}>>")
    pool.ret("stranger")
    (warning,) = messages()
    assert "unexpected object returned: <<stranger>>" in warning


def no_text(*_: object) -> NoReturn:
    """Refuse to describe anything."""
    raise ValueError("no text")


def test_ret_whose_tracer_fails(make_pool: MakePool, messages: Messages) -> None:
    """Where describing a wrong return fails, that is logged as an error, and `ret` does not raise."""
    pool = make_pool(tracer=no_text)
    pool.ret("stranger")
    assert any("no text" in text for text in messages("ERROR"))


class Silent:
    """A thing without a text."""

    __str__ = __repr__ = no_text


def test_ret_without_tracer(make_pool: MakePool, messages: Messages) -> None:
    """Without a tracer an object is told by its class alone: its text might hold a password, or fail."""
    pool = make_pool()
    pool.ret("secret")
    pool.ret(Silent())
    first, second = messages()
    assert "unexpected object returned: str" in first
    assert "secret" not in first
    assert "unexpected object returned: Silent" in second
    assert messages("ERROR") == []


# uses


def test_max_use(factory: Factory, make_pool: MakePool) -> None:
    """An object is destroyed when returned after its last use, and another one is made."""
    pool = make_pool(max_size=1, max_use=3)
    lent = [pool.get() for _ in range(1)]
    pool.ret(lent[0])
    for _ in range(5):
        lent.append(pool.get())
        pool.ret(lent[-1])
    assert [each.serial for each in lent] == [0, 0, 0, 1, 1, 1]
    assert [resource.closings for resource in factory.made] == [1, 1, 0]
    stats = pool.stats()
    assert (stats["nwornout"], stats["ndestroys"], stats["nuses"], stats["nobjs"]) == (2, 2, 6, 1)


def test_max_use_in_hand(make_pool: MakePool) -> None:
    """An object on its last use stays good as long as it is held."""
    pool = make_pool(max_size=1, max_use=1, delay=3600.0)
    lent = pool.get()
    pool._hkRound()
    assert lent.closings == 0


def test_no_max_use(make_pool: MakePool) -> None:
    """Without a limit of uses an object is used for ever."""
    pool = make_pool(max_size=1)
    first = pool.get()
    pool.ret(first)
    for _ in range(100):
        pool.ret(pool.get())
    assert (first.closings, pool.stats()["avail"][0]["uses"]) == (0, 101)


def test_min_size_after_return(factory: Factory, make_pool: MakePool) -> None:
    """Without a housekeeper, the returning thread makes up for what its return destroyed."""
    pool = make_pool(min_size=2, max_use=1)
    pool.ret(pool.get())
    assert (pool.stats()["navail"], len(factory.made)) == (2, 3)


def test_returns_ask_a_dead_server_once(
    factory: Factory, make_pool: MakePool, clock: Clock, messages: Messages
) -> None:
    """While creations fail, returns ask for a new object at most once a second, and raise nothing."""
    pool = make_pool(max_size=4, min_size=4, max_use=1)
    lent = [pool.get() for _ in range(4)]
    asked = len(factory.numbers)
    factory.fails["make"] = OSError("no server")
    for each in lent[:3]:
        pool.ret(each)
    assert len(factory.numbers) == asked + 1
    assert any("new object failed: " in text for text in messages("ERROR"))
    clock.advance(1.5)
    pool.ret(lent[3])
    assert len(factory.numbers) == asked + 2
    clock.advance(1.5)
    factory.fails.clear()
    pool.ret(pool.get())
    assert pool.stats()["nobjs"] == 4


def test_get_asks_a_dead_server_each_time(factory: Factory, make_pool: MakePool, clock: Clock) -> None:
    """While creations fail, each `get` asks, and gets the server's own error."""
    factory.fails["make"] = OSError("no server")
    pool = make_pool(max_size=2)
    asked = len(factory.numbers)
    for _ in range(3):
        with pytest.raises(OSError, match="no server"):
            pool.get()
    assert len(factory.numbers) == asked + 3


# statistics


def test_ids(make_pool: MakePool) -> None:
    """Pools are numbered one after the other in the process."""
    first, second = make_pool().stats()["id"], make_pool().stats()["id"]
    assert (first >= 1, second) == (True, first + 1)


def test_stats_times(make_pool: MakePool, clock: Clock) -> None:
    """Times are as documented: start as local time, now since the epoch, the rest relative to now."""
    pool = make_pool(max_size=2, min_size=2, delay=3600.0)
    lent = pool.get()
    pool.ret(pool.get())
    clock.advance(3.0)
    pool._hkRound()
    clock.advance(4.0)
    stats = pool.stats()
    started = datetime.datetime.fromisoformat(stats["started"]).replace(tzinfo=None)
    assert abs((datetime.datetime.now() - started).total_seconds()) < 60.0
    assert abs(stats["now"] - time.time()) < 60.0
    assert stats["running"] == pytest.approx(7.0)
    assert stats["rel_hk_last"] == pytest.approx(-4.0)
    assert stats["time_per_hk"] >= 0.0
    ((used,), (idle,)) = stats["using"], stats["avail"]
    assert (used["str"], used["uses"]) == (str(lent), 1)
    assert used["last_get"] == pytest.approx(-7.0)
    assert idle["uses"] == 1
    assert (idle["last_get"], idle["last_ret"]) == (pytest.approx(-7.0), pytest.approx(-7.0))


def test_stats_before_anything(make_pool: MakePool) -> None:
    """Times of what has not happened yet are not in the future."""
    pool = make_pool(max_size=2, min_size=2, delay=3600.0)
    pool.get()
    stats = pool.stats()
    assert stats["rel_hk_last"] <= 0.0
    assert stats["running"] >= 0.0
    for entry in stats["avail"] + stats["using"]:
        assert entry["last_get"] <= 0.0
        assert entry["last_ret"] <= 0.0


def test_stats_describe(make_pool: MakePool) -> None:
    """An object is described by the stats hook, else by the tracer, else by its text."""

    def describe(thing: Resource) -> dict[str, int]:
        return {"serial": thing.serial}

    def trace(thing: Resource) -> str:
        return f"#{thing.number}"

    shown = [
        (make_pool(stats=describe, tracer=trace), {"stats": {"serial": 0}}),
        (make_pool(tracer=trace), {"trace": "#0"}),
        (make_pool(), {"str": "resource 2"}),
    ]
    for pool, description in shown:
        (entry,) = pool.stats()["avail"]
        assert {key: value for key, value in entry.items() if key in ("stats", "trace", "str")} == description


@pytest.mark.parametrize("hooks", [{"stats": no_text}, {"tracer": no_text}, {}])
def test_stats_whose_description_fails(make_pool: MakePool, hooks: dict[str, Any]) -> None:
    """An object that cannot be described has an entry that says so, and `stats` does not raise."""
    pool = make_pool(lambda number: Silent(), max_size=2, min_size=2, **hooks)
    pool.get()
    stats = pool.stats()
    for (entry,) in (stats["avail"], stats["using"]):
        assert entry["error"] == "ValueError: no text"
        assert set(entry) == {"error", "uses", "last_get", "last_ret"}


def test_stats_sem(make_pool: MakePool) -> None:
    """The tokens are told, free ones and all of them; an idle object holds none."""
    pool = make_pool(max_size=3, min_size=2)
    assert pool.stats()["sem"] == {"value": 3, "init": 3}
    lent = pool.get()
    assert pool.stats()["sem"] == {"value": 2, "init": 3}
    pool.ret(lent)
    assert pool.stats()["sem"] == {"value": 3, "init": 3}


def test_text_is_json(make_pool: MakePool) -> None:
    """The text of a pool is its statistics as JSON, whatever state it is in."""
    pool = make_pool(max_size=2, name="told")
    pool.get()
    assert json.loads(str(pool))["name"] == "told"
    pool.shutdown()
    assert json.loads(str(pool))["shutdown"] is True


def test_messages_name_the_pool(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """Each message, debugging ones too, begins with the name of the pool."""
    factory.fails["take_back"] = ValueError("no luck")
    pool = make_pool(
        log_level=logging.DEBUG, max_size=2, min_size=3, max_use=1, name="told", retter=Resource.take_back
    )
    pool.ret(pool.get())
    pool.ret("stranger")
    pool.get()
    pool.shutdown()
    for level in ("DEBUG", "WARNING", "ERROR"):
        assert messages(level)
        assert all(text.startswith("pool 'told': ") for text in messages(level))


def test_counters_balance(make_pool: MakePool, factory: Factory) -> None:
    """At rest, created is alive and destroyed, also after closing everything and at the end."""

    def balanced() -> bool:
        stats = pool.stats()
        return bool(
            stats["ncreated"] == stats["nobjs"] + stats["ndestroys"] == len(factory.made)
            and stats["ndestroys"] == len(factory.closed)
            and stats["nobjs"] == stats["navail"] + stats["nusing"] == len(factory.alive)
        )

    pool = make_pool(max_size=4, min_size=2, max_use=2)
    for _ in range(5):
        pool.ret(pool.get())
    assert balanced()
    lent = pool.get()
    pool.__delete__()
    assert balanced()
    pool.ret(lent)
    pool.get()
    assert balanced()
    pool.shutdown()
    assert balanced()
    assert pool.stats()["nobjs"] == 0


def test_delete(factory: Factory, make_pool: MakePool, messages: Messages) -> None:
    """`__delete__` closes idle and lent objects now, and the pool goes on with new ones."""
    pool = make_pool(max_size=2, min_size=2)
    lent = pool.get()
    pool.__delete__()
    assert [resource.closings for resource in factory.made[:2]] == [1, 1]
    fresh = [pool.get(timeout=0), pool.get(timeout=0)]
    assert [each.closings for each in fresh] == [0, 0]
    pool.ret(lent)
    assert "unexpected object returned: " in messages()[-1]
    with pytest.raises(ppp.TimeOut):
        pool.get(timeout=0)


# objects of every kind


def refuse(*_: object) -> NoReturn:
    """Refuse an operation."""
    raise TypeError("refused")


class Hostile:
    """A thing that refuses to be compared, hashed, judged or told."""

    __eq__ = __ne__ = __hash__ = __bool__ = __len__ = __str__ = __repr__ = refuse


class Liar:
    """A thing that claims to equal everything, and to be nothing."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return False


class Slotted:
    """A thing without a dictionary and without weak references."""

    __slots__ = ()


KINDS: list[Any] = [
    lambda number: [],
    lambda number: {},
    lambda number: float("nan"),
    lambda number: f"text {number}",
    lambda number: 100_000 + number,
    lambda number: Hostile(),
    lambda number: Liar(),
    lambda number: Slotted(),
]


@pytest.mark.parametrize("fun", KINDS)
@pytest.mark.parametrize("max_size", [0, 3])
def test_any_object(clock: Clock, messages: Messages, fun: Any, max_size: int) -> None:
    """Unhashable, falsy, equal and hostile objects are tracked by identity, through a whole life."""
    closed: list[int] = []
    with ppp.Pool(
        fun,
        max_size=max_size,
        min_size=1,
        max_use=3,
        max_avail_delay=10.0,
        max_using_delay_kill=20.0,
        delay=3600.0,
        closer=lambda thing: closed.append(id(thing)),
        health=lambda thing: True,
        tracer=lambda thing: "a thing",
    ) as pool:
        first, second, third = (pool.get() for _ in range(3))
        assert len({id(first), id(second), id(third)}) == 3
        pool.ret(second)
        assert pool.get() is second
        pool.ret(second)
        pool.ret(second)
        assert len(messages()) == 1
        pool.ret(first)
        clock.advance(11.0)
        pool._hkRound()
        assert sorted(closed) == sorted([id(first), id(second)])
        clock.advance(11.0)
        pool._hkRound()
        assert sorted(closed) == sorted([id(first), id(second), id(third)])
        stats = pool.stats()
        assert (stats["nrecycled"], stats["nkilled"], stats["ndestroys"], stats["nusing"]) == (2, 1, 3, 0)


@pytest.mark.parametrize("thing", [0, "", (), False, None])
def test_one_falsy_object(thing: object) -> None:
    """Even nothing can be pooled, closed and lent again."""
    closed: list[object] = []
    with ppp.Pool(lambda number: thing, max_size=1, max_use=2, closer=closed.append) as pool:
        for _ in range(4):
            with pool.obj(timeout=0) as lent:
                assert lent is thing
    assert len(closed) == 3


def test_same_object_twice(messages: Messages) -> None:
    """A function that gives what the pool already has is an error, and harms nothing."""
    thing = ["only one"]
    closed: list[object] = []
    with ppp.Pool(lambda number: thing, max_size=3, closer=closed.append) as pool:
        lent = pool.get()
        for _ in range(4):
            with pytest.raises(ppp.PoolException) as raised:
                pool.get(timeout=0)
            assert not isinstance(raised.value, ppp.TimeOut)
        assert closed == []
        stats = pool.stats()
        assert (stats["nobjs"], stats["ncreated"], stats["sem"]["value"]) == (1, 1, 2)
        pool.ret(lent)
        assert pool.get() is thing
        pool.ret(thing)
    assert closed == [thing]


def test_same_object_after_its_end() -> None:
    """An object that was destroyed may come again."""
    thing = ["only one"]
    closed: list[object] = []
    with ppp.Pool(lambda number: thing, max_size=1, max_use=1, closer=closed.append) as pool:
        for _ in range(3):
            with pool.obj() as lent:
                assert lent is thing
    assert closed == [thing] * 4
