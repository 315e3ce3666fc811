"""`with proxy._obj()`: the block ends the lease that was current when it was entered, and no other."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from conftest import Clock, Factory, Keep, Messages, Resource
from helpers_proxy import SCOPES, Conn, Scope, all_back, held_elsewhere, in_thread, of_each_kind

import ProxyPatternPool as ppp


@pytest.mark.parametrize("error", [None, ValueError("no"), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("found", [False, True])
def test_object_is_returned_at_the_end(keep: Keep, found: bool, error: BaseException | None) -> None:
    """The block gives the thread's object, drawn there or found, and returns it, whatever its body raises."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1))
    if found:
        proxy._get_obj()
    caught: Any = pytest.raises(type(error)) if error else contextlib.nullcontext()
    block = proxy._obj(timeout=0)
    assert proxy._has_obj() == found
    with caught as raised, block as conn:
        assert [proxy._get_obj()] == list(proxy._pool._using) == [conn]
        if error:
            raise error
    assert error is None or (raised.value, error.__context__) == (error, None)
    assert (proxy._has_obj(), list(proxy._pool._avail)) == (False, [conn])


def test_entry_that_fails_after_another_draw(keep: Keep) -> None:
    """Where `fun` draws another object by the proxy, and then fails, that one stays the thread's."""

    def connect(number: int) -> Conn:
        if not proxy._has_obj() and number == 0:
            kept.append(proxy._get_obj())
            raise ConnectionError("no server")
        return Conn(number)

    kept = list[Conn]()
    proxy = keep(ppp.Proxy(fun=connect, max_size=2, min_size=0))
    with pytest.raises(ConnectionError), proxy._obj():
        pass
    assert proxy._has_obj()
    assert [proxy._get_obj()] == list(proxy._pool._using) == kept


def test_nested_blocks(keep: Keep, factory: Factory) -> None:
    """Of nested blocks the outermost returns, also when an inner one raises."""
    proxy = keep(ppp.Proxy(fun=factory, max_size=1, retter=Resource.take_back))
    with proxy._obj() as outer:
        with contextlib.suppress(ValueError), proxy._obj(), proxy._obj(timeout=0) as inner:
            assert inner is outer
            raise ValueError("inner")
        assert (proxy._has_obj(), outer.rets) == (True, 0)
    assert (proxy._has_obj(), outer.rets) == (False, 1)


def test_block_in_use(keep: Keep) -> None:
    """A block is for one use: it cannot be entered within itself."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=2))
    block = proxy._obj()
    with block, pytest.raises(ppp.PPPException, match="entered already"), block:
        pytest.fail("entered twice")
    assert all_back(proxy)


def test_block_dropped_elsewhere(keep: Keep) -> None:
    """A block that goes in another thread, not being left, takes its object from where it was entered."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1))
    blocks = [proxy._obj()]
    blocks[0].__enter__()
    in_thread(blocks.clear)
    assert (proxy._has_obj(), all_back(proxy)) == (False, True)


class Overriding(ppp.Proxy[Any]):
    """Overrides both ends of a lending."""

    def _get_obj(self, timeout: float | None = None) -> Any:
        return super()._get_obj(timeout)

    def _ret_obj(self) -> None:
        super()._ret_obj()


@pytest.mark.parametrize("kind", [ppp.Proxy, Overriding])
def test_block_left_twice(keep: Keep, kind: Any) -> None:
    """Leaving a block once more ends nothing, though the same object was drawn anew; it keeps none alive."""
    proxy = keep(kind(fun=Conn, max_size=1))
    block = proxy._obj()
    with block as obj:
        pass
    assert proxy._get_obj() is obj
    block.__exit__(None, None, None)
    assert (proxy._has_obj(), list(proxy._pool._using)) == (True, [obj])
    proxy._invalidate_obj()
    gone = weakref.ref(obj)
    del obj
    gc.collect()
    assert gone() is None


def test_error_that_is_like_a_group(keep: Keep) -> None:
    """An attribute `subgroup` of an error that is no group is not asked; the outermost block returns."""

    class Unfit(ConnectionError):
        subgroup = property(lambda self: 1 / 0)

    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, invalidate_on=KeyError))
    with proxy._obj() as conn:
        with pytest.raises(Unfit), proxy._obj():
            raise Unfit
        assert (proxy._get_obj(), conn.closed) == (conn, False)
    assert all_back(proxy)
    assert list(proxy._pool._avail) == [conn]


def test_decorator(keep: Keep) -> None:
    """`_obj()` decorates a function: each call, a recursive one too, runs in a block of its own."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, timeout=0))

    @proxy._obj()  # type: ignore[untyped-decorator]
    def work(depth: int) -> int:
        proxy.write(depth)
        if depth:
            work(depth=depth - 1)
        assert proxy._has_obj()
        return depth

    assert (work(2), proxy._has_obj()) == (2, False)
    assert in_thread(work, 0) == 0
    assert all_back(proxy)
    assert proxy.log == [2, 1, 0, 0]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("end", ["_ret_obj", "_invalidate_obj"])
def test_object_ended_inside(keep: Keep, messages: Messages, scope: Any, end: str) -> None:
    """A block whose object ended inside returns nothing; a block or a draw after that is another lease."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=scope, max_size=1, min_size=0, timeout=0))
    with proxy._obj(), proxy._obj():
        getattr(proxy, end)()
        assert not proxy._has_obj()
        with proxy._obj() as conn:
            assert list(proxy._pool._using) == [conn]
        assert all_back(proxy)
        later = proxy._get_obj()
    assert proxy._get_obj() is later
    assert list(proxy._pool._using) == [later]
    assert (messages(), proxy._pool.stats()["nuses"]) == ([], 3)


@pytest.mark.parametrize("end", ["block", "_ret_obj"])
def test_returned_to_the_pool_by_hand(keep: Keep, messages: Messages, end: str) -> None:
    """An object that the program gave to the pool itself is left to the one who has it; a warning says so."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, timeout=0))
    block = proxy._obj()
    proxy._pool.ret(block.__enter__())
    with held_elsewhere(proxy) as theirs:
        if end == "_ret_obj":
            proxy._ret_obj()
        block.__exit__(None, None, None)
        assert not proxy._has_obj()
        assert list(proxy._pool._using) == [theirs]
    assert ["unexpected object returned" in message for message in messages()] == [True]


def test_blocks_without_a_pool() -> None:
    """Where there is no pool the block gives the object, and returns nothing, nor what is set meanwhile."""
    thing = Conn()
    for proxy in of_each_kind(thing):
        with proxy._obj() as same, proxy._obj():
            assert same is thing
        assert proxy._has_obj()
        with proxy._obj():
            proxy._set_obj("new")
        assert proxy == "new"


class Noting(ppp.Proxy[Any]):
    """Notes what a block uses, and fails there if it has to."""

    fails = ""
    seen: tuple[object, ...] = ()

    def _note(self, *what: object) -> None:
        self.seen += what
        if self.fails in what:
            raise OSError("no")

    def _get_obj(self, timeout: float | None = None) -> Any:
        obj = super()._get_obj(timeout)
        self._note("get", timeout)
        return obj

    def _ret_obj(self) -> None:
        self._note("ret")
        super()._ret_obj()


@pytest.mark.parametrize("kind", [ppp.Proxy, Noting])
@pytest.mark.parametrize("error", [ConnectionError, ValueError])
def test_invalidate_on(keep: Keep, error: type[Exception], kind: type[ppp.Proxy[Any]]) -> None:
    """What leaves the outermost block destroys the object if the pool's `invalidate_on` says so."""
    proxy = keep(kind(fun=Conn, max_size=1, min_size=0, invalidate_on=ConnectionError))
    caught = pytest.raises(error)
    with caught, proxy._obj() as outer:
        with contextlib.suppress(error), proxy._obj():
            raise error  # caught within: the outermost block decides
        assert proxy._has_obj()
        raise error
    with proxy._obj() as next_one:
        assert (next_one is outer) == (error is ValueError)
    assert proxy._pool.stats()["ninvalidated"] == (error is ConnectionError)


def test_warning_names_the_line_of_the_block(keep: Keep, clock: Clock, messages: Messages) -> None:
    """The warning about an object held too long names the program's line that entered the block."""
    proxy = keep(ppp.Proxy(fun=lambda number: "a", max_size=1, max_using_delay=5.0, delay=1000.0))
    with proxy._obj():
        clock.advance(10.0)
        proxy._pool._hkRound()
    line = test_warning_names_the_line_of_the_block.__code__.co_firstlineno + 3
    assert any(f"{__file__}:{line}" in text for text in messages()), messages()


@pytest.mark.parametrize("first", ["parent", "copy"])
def test_overlapping_blocks_of_two_contexts(keep: Keep, first: str) -> None:
    """Where contexts share an object, it goes back when the last of their blocks is left, not the first."""
    proxy = keep(ppp.Proxy(fun=Conn, scope=Scope.WERKZEUG, max_size=1, timeout=0))
    parent = contextvars.Context()
    mine, copy = parent.run(lambda: (proxy._get_obj(), contextvars.copy_context()))
    contexts = [parent, copy] if first == "parent" else [copy, parent]
    blocks = [proxy._obj(), proxy._obj()]
    for context, block in zip(contexts, blocks, strict=True):
        assert context.run(block.__enter__) is mine
    for context, block in zip(contexts, blocks, strict=True):
        assert list(proxy._pool._using) == [mine]
        context.run(block.__exit__, None, None, None)
    assert all_back(proxy)


@pytest.mark.parametrize("fails", ["", "get", "ret"])
def test_overrides_are_used(keep: Keep, fails: str) -> None:
    """A block uses a subclass's `_get_obj` and `_ret_obj`, without a pool too; failing they lose nothing."""
    pooled = keep(Noting(fun=Conn, max_size=1))
    for proxy in (pooled, Noting(Conn())):
        proxy.fails = fails
        with pytest.raises(OSError, match="no") if fails else contextlib.nullcontext(), proxy._obj(0.5):
            assert proxy.seen == ("get", 0.5)
        assert (proxy.seen == ("get", 0.5, "ret")) or fails == "get"
    assert all_back(pooled)
    pooled.fails = ""
    assert not pooled._has_obj()


def test_overrides_that_keep_the_object_elsewhere(keep: Keep) -> None:
    """Where a subclass keeps its current object in a place of its own, a block ends by its `_ret_obj`."""
    request = SimpleNamespace(conn=None)

    class PerRequest(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            request.conn = request.conn or self._pool.get(timeout)
            return request.conn

        def _ret_obj(self) -> None:
            self._pool.ret(request.conn)
            request.conn = None

    proxy = keep(PerRequest(fun=Conn, max_size=1, timeout=0))
    for _ in range(2):
        with proxy._obj() as conn:
            assert list(proxy._pool._using) == [conn]
        assert all_back(proxy)


def test_override_that_gives_something_else(keep: Keep) -> None:
    """A block ends the lease that is current also where a subclass's `_get_obj` wraps the object."""

    class Wrapping(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            return [super()._get_obj(timeout)]

    proxy = keep(Wrapping(fun=Conn, max_size=1, timeout=0))
    with proxy._obj() as (conn,), proxy._obj() as (same,):
        assert list(proxy._pool._using) == [conn] == [same]
    assert all_back(proxy)


def test_failed_end_ends_no_other_lease(keep: Keep) -> None:
    """Where `_get_obj` is overridden, too, a block whose end fails leaves alone what its thread has since."""

    class Asking(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            return super()._get_obj(timeout)

    proxy = keep(Asking(fun=Conn, max_size=2, timeout=0))
    block = proxy._obj()
    in_thread(block.__enter__)
    mine = proxy._get_obj()
    failing = mock.patch.object(proxy._pool, "ret", side_effect=OSError("no"))
    with failing, pytest.raises(OSError, match="no"):
        block.__exit__(None, None, None)
    assert (proxy._get_obj() is mine, list(proxy._pool._using)) == (True, [mine])


def test_after_a_failed_end(keep: Keep) -> None:
    """A block whose end fails, since the program's own `ret` does, leaves the next one its object."""
    proxy = keep(ppp.Proxy(fun=Conn, max_size=1, timeout=0))
    with (
        mock.patch.object(proxy._pool, "ret", side_effect=OSError("no")),
        pytest.raises(OSError, match="no"),
        proxy._obj(),
    ):
        pass
    with proxy._obj() as conn:
        assert list(proxy._pool._using) == [conn]
    assert all_back(proxy)


def test_override_is_not_asked_for_another_lease(keep: Keep) -> None:
    """Where its lease is not the current one, the block ends without the subclass's `_ret_obj`."""
    proxy = keep(Noting(fun=Conn, max_size=2))
    block = proxy._obj()
    first = in_thread(block.__enter__)
    mine = proxy._get_obj()
    block.__exit__(None, None, None)
    assert "ret" not in proxy.seen
    assert (first in proxy._pool._avail, mine in proxy._pool._using) == (True, True)


def test_failed_end_leaves_the_next_lending_of_the_same_object(keep: Keep) -> None:
    """Where an object was killed, and made and lent again, a block that fails to end does not close it."""

    class Failing(ppp.Proxy[Any]):
        def _ret_obj(self) -> None:
            raise OSError("cannot roll back")

    closed: list[Any] = []
    same = Conn(0)
    proxy = keep(Failing(fun=lambda number: same, max_size=1, min_size=0, closer=closed.append))
    block = proxy._obj()
    block.__enter__()
    proxy._pool._del(same)
    assert proxy._pool.get() is same
    with pytest.raises(OSError, match="roll back"):
        block.__exit__(None, None, None)
    assert (closed, list(proxy._pool._using)) == ([same], [same])
    proxy._pool.ret(same)


# blocks that are left elsewhere, or late, as web frameworks do


class Place:
    """Somewhere that has a current object of its own, where functions run one after the other."""

    def __init__(self, scope: Any) -> None:
        self.run: Callable[..., Any] = contextvars.Context().run
        self.end: Callable[[], Any] = int
        if scope is not Scope.WERKZEUG:
            threads = ThreadPoolExecutor(1)  # or a greenlet, in a patched program
            self.run = lambda function, *args: threads.submit(function, *args).result(5)
            self.end = threads.shutdown


def stream(proxy: Any) -> Generator[Any, None, None]:
    """Give the object from within a block, as a streamed answer does."""
    with proxy._obj() as conn:
        yield conn


def left_elsewhere(proxy: Any, here: Place, there: Place) -> None:
    """A block left elsewhere returns its object, drawn or found, clears its place, and stops no error."""
    for found in (False, True):
        if found:
            here.run(proxy._get_obj)
        block = proxy._obj()
        conn = here.run(block.__enter__)
        assert here.run(proxy._has_obj)
        assert not there.run(block.__exit__, ValueError, ValueError("cancelled"), None)
        assert not here.run(proxy._has_obj)
        assert list(proxy._pool._avail) == [conn]
    with proxy._obj() as other:
        assert here.run(proxy._get_obj) is not other, "in two hands"


def left_by_the_collector(proxy: Any, here: Place, there: Place) -> None:
    """A forgotten generator's block is left wherever the collector comes, and ends no other block there."""
    generators = [stream(proxy)]
    conn = here.run(next, generators[0])
    here.run(int)  # by now that thread has forgotten the generator
    with_own = stream(proxy)
    theirs = there.run(next, with_own)
    there.run(generators.clear)
    there.run(gc.collect)
    assert (here.run(proxy._has_obj), there.run(proxy._has_obj)) == (False, True)
    assert (list(proxy._pool._avail), list(proxy._pool._using)) == ([conn], [theirs])
    there.run(with_own.close)
    assert not there.run(proxy._has_obj)


def left_late(proxy: Any, here: Place, there: Place) -> None:
    """A block whose object was given back ends no lease that its place, or another, has begun since."""
    for place in (here, there):
        generator = stream(proxy)
        conn = here.run(next, generator)
        here.run(proxy._ret_obj)
        assert place.run(proxy._get_obj) is conn
        place.run(generator.close)
        assert (place.run(proxy._has_obj), list(proxy._pool._using)) == (True, [conn])
        place.run(proxy._ret_obj)


def left_in_the_wrong_order(proxy: Any, here: Place, there: Place) -> None:
    """Where nested blocks are left in the wrong order, elsewhere, the last one returns the object."""
    outer, inner = stream(proxy), stream(proxy)
    conn = here.run(next, outer)
    assert here.run(next, inner) is conn
    there.run(outer.close)
    assert list(proxy._pool._using) == [conn]
    there.run(inner.close)
    assert not here.run(proxy._has_obj)


def left_after_its_place(proxy: Any, here: Place, there: Place) -> None:
    """A block whose thread or greenlet has ended returns its object when it is left elsewhere."""
    generator = stream(proxy)
    here.run(next, generator)
    here.end()
    here.run, here.end = there.run, int
    theirs = there.run(proxy._get_obj)
    there.run(generator.close)
    assert (there.run(proxy._has_obj), list(proxy._pool._using)) == (True, [theirs])


CASES = [case for name, case in list(globals().items()) if name.startswith("left_")]


def play(case: Callable[[Any, Place, Place], None], scope: Any) -> None:
    """Run a case, on a pool of two, in two places of that scope; both give back what they have at its end."""
    proxy: Any = ppp.Proxy(fun=Conn, scope=scope, max_size=2, min_size=0, timeout=0)
    here, there = Place(scope), Place(scope)
    try:
        case(proxy, here, there)
        here.run(proxy._ret_obj)
        there.run(proxy._ret_obj)
        assert all_back(proxy)
    finally:
        here.end()
        there.end()
        proxy._pool.shutdown()


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", CASES)
def test_block_left_elsewhere(case: Any, scope: Any) -> None:
    """A block ends its own lease and clears it where it was put, wherever and whenever it is left."""
    play(case, scope)
