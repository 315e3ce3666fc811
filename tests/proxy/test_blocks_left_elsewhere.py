"""Blocks that are left in another thread, context, task or greenlet, late, or by the garbage collector.

Web frameworks do all of that: they enter a dependency here and leave it there. Each case runs for THREAD and
WERKZEUG in this process, and for GEVENT and EVENTLET in a process of its own.
"""

from __future__ import annotations

import contextvars
import gc
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import run_well
from helpers_proxy import SCOPES, Conn, Scope, all_back

import ProxyPatternPool as ppp


class Place:
    """Somewhere that has a current object of its own, where functions run one after the other."""

    def __init__(self, scope: Any) -> None:
        self.run: Callable[..., Any] = contextvars.Context().run
        self.end: Callable[[], Any] = int
        if scope is Scope.THREAD:
            threads = ThreadPoolExecutor(1)
            self.run = lambda function, *args: threads.submit(function, *args).result(5)
            self.end = threads.shutdown
        elif scope is not Scope.WERKZEUG:
            import greenlet

            place = greenlet.greenlet(run_in_greenlet)
            place.switch(int, ())  # its first arguments are kept as long as it runs
            self.run = lambda function, *args: place.switch(function, args)
            self.end = lambda: place.switch(None, ())


def run_in_greenlet(function: Any, args: Any) -> None:
    """Run what the parent gives, and give the results to the parent, until that gives nothing."""
    import greenlet

    while function is not None:
        results = [function(*args)]
        function = args = None  # which nothing here keeps meanwhile
        function, args = greenlet.getcurrent().parent.switch(results.pop())


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


def greenlet_leaves_it(proxy: Any, here: Place, there: Place) -> None:
    """A greenlet that is forgotten inside its block leaves that when it is collected."""
    import greenlet

    def hold() -> None:
        with proxy._obj():
            greenlet.getcurrent().parent.switch()

    with proxy._obj() as mine:
        greenlet.greenlet(hold).switch()
        gc.collect()
        assert list(proxy._pool._using) == [mine]
        assert (proxy._get_obj() is mine, proxy._pool.stats()["nuses"]) == (True, 2)


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


@pytest.mark.parametrize("scope", SCOPES, ids=["THREAD", "WERKZEUG"])
@pytest.mark.parametrize("case", CASES)
def test_block_left_elsewhere(case: Any, scope: Any) -> None:
    """A block ends its own lease and clears it where it was put, wherever and whenever it is left."""
    play(case, scope)


@pytest.mark.parametrize("scope", ["GEVENT", "EVENTLET"])
def test_blocks_left_in_other_greenlets(scope: str) -> None:
    """In greenlets, too, a block ends its own lease and clears it where it was put."""
    here = Path(__file__).parent
    program = f"""
    import sys, warnings
    warnings.simplefilter("ignore")
    sys.path[:0] = {[str(here), str(here.parent)]!r}
    import test_blocks_left_elsewhere as cases
    for case in [*cases.CASES, cases.greenlet_leaves_it]:
        cases.play(case, cases.Scope[sys.argv[1]])
    """
    run_well(program, scope)
