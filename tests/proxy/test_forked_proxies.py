"""Proxies in a forked child: it has objects of its own, and leaves the parent's alone."""

from __future__ import annotations

import os
import textwrap

import pytest
from helpers import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import os, sys, threading, warnings
import ProxyPatternPool as ppp

warnings.simplefilter("ignore", DeprecationWarning)
scope = ppp.Proxy.Scope
make = lambda number: [os.getpid(), number]
"""


def run(program: str) -> str:
    """Run a program of its own, which must end well, and give what it printed."""
    done = run_python(BEGIN + textwrap.dedent(program))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_child_starts_without_objects() -> None:
    """A forked child's proxies start without object, also inside blocks, but for one given its object."""
    run("""
    returned, closed = [], []
    hooks = dict(max_size=1, timeout=0, closer=closed.append, retter=returned.append)
    pooled = [ppp.Proxy(fun=make, **hooks), ppp.Proxy(fun=make, scope=scope.WERKZEUG, reclaim=True, **hooks)]
    own = [*pooled, ppp.Proxy(fun=make, max_size=None), ppp.Proxy(fun=make, scope=scope.SHARED)]
    given, unset = ppp.Proxy(["given"]), ppp.Proxy()
    with pooled[0]._obj(), pooled[1]._obj():
        before = [proxy._get_obj() for proxy in own]
        pid = os.fork()
    if pid == 0:
        assert given._has_obj() and given == ["given"]
        assert repr(unset) == "<Proxy unset>"
        for proxy in own:
            assert not proxy._has_obj(), proxy._scope
            assert proxy[0] == os.getpid(), proxy._scope
        assert closed == returned == []
        for proxy in pooled:
            with proxy._obj(), proxy._obj():
                assert proxy[0] == os.getpid()
            assert not proxy._has_obj()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert returned == before[1::-1]
    assert [proxy._get_obj() for proxy in own] == before
    for proxy in pooled:
        proxy._ret_obj()
        assert proxy._pool.stats()["navail"] == 1
        proxy._pool.shutdown()
    """)


def test_child_reclaims_nothing() -> None:
    """What a thread of the parent holds is not reclaimed in a forked child, where that thread is no more."""
    printed = run("""
    drawn, done = threading.Event(), threading.Event()
    parent, given = os.getpid(), ppp.Proxy([1])
    proxy = ppp.Proxy(
        fun=make, max_size=2, reclaim=True,
        retter=lambda obj: os.write(1, b"returned in process %d\\n" % (os.getpid() != parent)),
    )
    thread = threading.Thread(target=lambda: (proxy._get_obj(), drawn.set(), done.wait(10)))
    thread.start()
    assert drawn.wait(10)
    pid = os.fork()
    if pid == 0:
        sys.exit(given != [1])
    assert os.waitpid(pid, 0)[1] == 0
    os.write(1, b"child has ended\\n")
    done.set()
    thread.join()
    """)
    assert printed.splitlines() == ["child has ended", "returned in process 0"]
