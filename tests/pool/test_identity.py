"""Any object can be pooled: unhashable, falsy, equal and hostile ones, `None` too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import HOUR, Clock, Messages, keep_house, no_luck, numbers

import ProxyPatternPool as ppp


class Hostile:
    """A thing that refuses to be compared, hashed, judged or told."""

    __eq__ = __ne__ = __hash__ = __bool__ = __len__ = __str__ = __repr__ = no_luck


class Liar:
    """A thing that claims to equal everything, and to be nothing; it cannot be referred to weakly."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return False


KINDS: dict[str, Callable[[int], object]] = {
    "list": lambda number: [],
    "nan": lambda number: float("nan"),
    "int": lambda number: 100_000 + number,
    "hostile": lambda number: Hostile(),
    "liar": lambda number: Liar(),
}


@pytest.mark.parametrize("max_size", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_any_object(clock: Clock, messages: Messages, kind: str, max_size: int) -> None:
    """Unhashable, falsy, equal and hostile objects are tracked by identity, through a whole life."""
    closed: list[int] = []
    with ppp.Pool(
        KINDS[kind],
        max_size=max_size,
        max_avail_delay=10.0,
        max_using_delay_kill=20.0,
        delay=HOUR,
        closer=lambda thing: closed.append(id(thing)),
        health=lambda thing: True,
    ) as pool:
        first, second, third = (pool.get() for _ in range(3))
        assert len({id(first), id(second), id(third)}) == 3
        pool.ret(second)
        assert pool.get() is second
        pool.ret(second)
        assert messages() == []
        pool.ret(second)
        assert len(messages()) == 1
        pool.ret(first)
        assert len(pool.stats()["avail"]) == 2
        for gone in ({id(first), id(second)}, {id(first), id(second), id(third)}):
            clock.advance(11.0)
            keep_house(pool)
            assert set(closed) == gone
        assert numbers(pool, "nrecycled nkilled ndestroys nusing") == [2, 1, 3, 0]


@pytest.mark.parametrize("thing", [0, "", (), False, None])
def test_one_falsy_object(clock: Clock, thing: object) -> None:
    """Even nothing can be pooled, killed, closed and lent again; `None` is never examined."""
    closed: list[object] = []
    asked: list[object] = []

    def examine(obj: object) -> bool:
        asked.append(obj)
        return True

    with ppp.Pool(
        lambda number: thing,
        max_size=1,
        max_use=2,
        max_using_delay_kill=10.0,
        delay=HOUR,
        closer=closed.append,
        health=examine,
        check_after_idle=0.0,
    ) as pool:
        for _ in range(2):
            keep_house(pool)
            with pool.obj(timeout=0) as lent:
                assert lent is thing
        keep_house(pool)
        assert pool.get() is thing
        clock.advance(11.0)
        keep_house(pool)
        assert (closed, bool(asked)) == ([thing] * 2, thing is not None)
