"""Greenlets of gevent and eventlet: tests of threads, run in a program where threads are greenlets."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_well

PATCHED = """
import sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()

import helpers_proxy, pytest
helpers_proxy.SCOPES = [helpers_proxy.Scope[sys.argv[1].upper()]]
sys.exit(pytest.main(["-q", "--override-ini=timeout=0", *sys.argv[2:]]))
"""
TESTS = Path(__file__).parents[1]
WAITING = [f"{TESTS}/pool/test_waiting.py::test_max_waiting", f"{TESTS}/proxy/test_drawing.py"]
ALL = ["-k", "not kept and not many_short"]  # on Python 3.13, eventlet keeps all that a `Thread` had
ALL += [f"{TESTS}/proxy/test_{name}.py" for name in ("blocks_of_proxies", "reclaim")]
ALL += [*WAITING, f"{TESTS}/proxy/test_scopes.py::test_local_changed_by_hand"]


@pytest.mark.parametrize(
    ("early", "tests"),
    [("", ALL), ("import ProxyPatternPool", WAITING)],
    ids=["patched before", "patched after"],
)
@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_greenlets(kind: str, early: str, tests: list[str]) -> None:
    """In a patched program, where threads are greenlets, these have, keep, return and wait for objects so."""
    run_well(early + PATCHED, kind, *tests, PYTHONPATH=str(TESTS), PYTEST_ADDOPTS="")


UNPATCHED = """
import gevent
import ProxyPatternPool as ppp

class Conn:
    autocommit = 0
    def __init__(self, number):
        gevent.sleep(0.01)  # connects

def work(value):
    db.autocommit = value
    seen.append((value, db._get_obj().autocommit))

for scope in "GEVENT", "VERSATILE":
    db, seen = ppp.Proxy(fun=Conn, scope=ppp.Proxy.Scope[scope], max_size=3, min_size=0), []
    gevent.joinall([gevent.spawn(work, value) for value in (1, 2, 3)])
    assert sorted(seen) == [(1, 1), (2, 2), (3, 3)], seen
"""


def test_assignments_in_greenlets() -> None:
    """In a program that is not patched, greenlets that connect at once to assign each reach their object."""
    run_well(UNPATCHED)
