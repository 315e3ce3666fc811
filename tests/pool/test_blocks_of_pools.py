"""`with pool.obj()`, also as a decorator."""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import Any

import pytest
from conftest import Factory, Keep, MakePool, Messages, Resource
from helpers import at_rest

import ProxyPatternPool as ppp


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_obj(make_pool: MakePool, error: type[BaseException]) -> None:
    """`with pool.obj()` lends for the time of its body, whatever that raises, and before that nothing."""
    pool = make_pool(max_size=1)
    manager = pool.obj()
    assert len(pool._using) == 0
    raised, expected = error(), pytest.raises(error)
    with expected as caught, manager as lent:
        assert list(pool._using) == [lent]
        with pytest.raises(ppp.TimeOut), pool.obj(0):
            pytest.fail("nothing was there to lend")
        raise raised
    assert caught.value is raised
    assert pool.get(timeout=0) is lent


@pytest.mark.parametrize("through", ["pool", "proxy"])
def test_dropped_block(keep: Keep, factory: Factory, through: str) -> None:
    """A block that is entered, and never left, costs no permit once nobody refers to it."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, min_size=0, closer=Resource.close))
    block = proxy._pool.obj if through == "pool" else proxy._obj
    type(block())()  # what is left of one whose making was interrupted
    block().__enter__()
    gc.collect()
    assert not proxy._has_obj()
    at_rest(proxy._pool, factory)


def test_block_that_is_being_entered(make_pool: MakePool, factory: Factory) -> None:
    """A block cannot be entered a second time while the first `get` is busy, by a hook or a thread."""
    raised, first = list[BaseException](), iter([True])

    def enter_again(_: Resource) -> None:
        if next(first, False):
            with pytest.raises(ppp.PPPException, match="entered already") as caught:
                block.__enter__()
            raised.append(caught.value)

    pool = make_pool(max_size=2, getter=enter_again)
    block = pool.obj()
    with block as lent:
        assert list(pool._using) == [lent]
    assert len(raised) == 1
    at_rest(pool, factory)


def test_block_in_use(make_pool: MakePool, factory: Factory) -> None:
    """A block is for one use: it cannot be entered again, neither within itself nor when it has been left."""
    pool = make_pool(max_size=2)
    block = pool.obj()
    with block as lent:
        with pytest.raises(ppp.PPPException, match="entered already"), block:
            pytest.fail("entered twice")
        assert list(pool._using) == [lent]
    with pytest.raises(ppp.PPPException, match="entered already"), block:
        pytest.fail("entered twice")
    at_rest(pool, factory)


def test_block_that_was_not_entered(make_pool: MakePool, factory: Factory) -> None:
    """Leaving a block by hand that was not entered, or in vain, or left already, leaves all as it was."""
    pool = make_pool(max_size=1)
    other, block = pool.obj(), pool.obj(timeout=0)
    with other, pytest.raises(ppp.TimeOut):
        block.__enter__()
    for each in (block, other, pool.obj()):
        each.__exit__(None, None, None)
    at_rest(pool, factory)


def test_decorator(make_pool: MakePool, factory: Factory) -> None:
    """A function decorated with `pool.obj()` holds an object for each call under way, also if it fails."""
    pool = make_pool(max_size=3, min_size=0, invalidate_on=ConnectionError)

    @pool.obj(timeout=0)
    def work(depth: int, *, error: Exception | None = None) -> int:
        """Work."""
        if depth:
            return work(depth - 1, error=error)
        if error:
            raise error
        return len(pool._using)

    assert (work.__name__, work.__doc__, len(pool._using)) == ("work", "Work.", 0)
    assert [work(0), work(2)] == [1, 3]
    for error, closed in ((KeyError(), 0), (ConnectionError(), 2)):
        with pytest.raises(type(error)):
            work(1, error=error)
        assert sum(factory.closings) == closed
        at_rest(pool, factory)


class Counted(ppp.Pool[Resource]):
    """Counts its blocks."""

    blocks = 0

    def obj(self, timeout: float | None = None) -> Any:
        self.blocks += 1
        return super().obj(timeout)


def test_decorator_that_is_a_block_as_well(factory: Factory) -> None:
    """A block decorates also while it is entered and when it was left, by the program's own `obj`."""
    with Counted(factory, 3) as pool:
        block = pool.obj(timeout=0)
        work = block(lambda: len(pool._using))
        with block:
            assert work() == 2
        assert (work(), block(work)(), pool.blocks) == (1, 2, 5)
        at_rest(pool, factory)


@pytest.mark.parametrize("hooks", [{}, {"retter": Resource.take_back}], ids=["bare", "retter"])
@pytest.mark.parametrize("error", [None, ConnectionError])
@pytest.mark.parametrize("how", ["ret", "invalidate", "shutdown"])
def test_lease_ended_within_its_block(
    factory: Factory, messages: Messages, error: Any, hooks: Any, how: str
) -> None:
    """What has ended within its block is not ended again; a warning says so, unless it was invalidated."""
    with ppp.Pool(factory, 1, 1, invalidate_on=ConnectionError, closer=Resource.close, **hooks) as pool:
        with suppress(ConnectionError), pool.obj() as mine:
            pool.shutdown() if how == "shutdown" else getattr(pool, how)(mine)
            known = len(messages())
            if how == "ret":
                assert pool.get(0) is mine
            if error is not None:
                raise error
        returned = how == "ret"
        assert list(pool._using) == [mine] * returned
        assert (mine.closings, mine.rets) == (not returned, returned and len(hooks))
        warned = ["unexpected object returned" in message for message in messages()[known:]]
        assert warned == [True] * (how != "invalidate")
        if returned:
            pool.ret(mine)
