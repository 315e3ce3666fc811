"""A pool is a value: its copies are itself, and a class attribute that an instance shadows."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Factory, MakePool

import ProxyPatternPool as ppp


@dataclasses.dataclass
class Settings:
    """What an application keeps together."""

    pool: Any


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": lambda pool: copy.deepcopy([{"pool": pool}])[0]["pool"],
    "asdict": lambda pool: dataclasses.asdict(Settings(pool))["pool"],
}


@pytest.mark.parametrize("how", COPIES)
def test_copies(make_pool: MakePool, how: str) -> None:
    """A copy of a pool, by whatever way, is the pool; another pool is not equal to it."""
    pool, other = make_pool(max_size=1, min_size=0), make_pool()
    with pool.obj():
        assert COPIES[how](pool) is pool
    assert len({pool, other, COPIES[how](pool)}) == 2
    assert bool(pool) is True


def test_class_attribute(factory: Factory, make_pool: MakePool) -> None:
    """A pool that is a class attribute is read from instances, and shadowed by what is assigned to one."""
    shared, own = make_pool(max_size=2), make_pool()

    @dataclasses.dataclass
    class Model:
        name: str
        pool: Any = shared

    one, other = Model("one"), Model("other", own)
    assert (Model.pool, one.pool, other.pool) == (shared, shared, own)
    one.pool = "its own"
    assert (one.pool, Model("another").pool is shared) == ("its own", True)
    assert factory.closed == []


def test_shadow_is_deleted(make_pool: MakePool, factory: Factory) -> None:
    """Deleting what shadows a pool in an instance brings the pool back; there is nothing else to delete."""

    class Service:
        pool = make_pool(max_size=1)

    service: Any = Service()
    service.pool = "other"
    del service.pool
    assert isinstance(service.pool, ppp.Pool)
    with pytest.raises(AttributeError, match="pool"):
        del service.pool
    assert factory.closed == []
