"""The end of an interpreter: status 0 and nothing on stderr, whatever the pool is busy with just then."""

from __future__ import annotations

import re
import sys
import textwrap

import pytest
from helpers import run_python

HEAD = """
import atexit, contextlib, os, threading, time

late = []
atexit.register(lambda: [work() for work in late])  # before the import: after the end of the pools

import ProxyPatternPool as ppp

entered = threading.Event()

class Thing:
    def close(self):
        os.write(1, b"closed\\n")  # all at once: two threads may close things

def make(size, least=0, fun=lambda number: Thing(), closer=Thing.close, **parameters):
    return ppp.Pool(fun, size, least, closer=closer, **parameters)

def slow(*_):
    if threading.current_thread() is not threading.main_thread():
        entered.set()
        time.sleep(60)
    return True

def until(condition):
    while not condition():
        time.sleep(0.001)

def start(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread

"""

JOINED = """
# says: told False
pool = make(1)
lent = pool.get()
go = threading.Event()

def work():
    go.wait()
    try:
        pool.get()
    except ppp.PoolException as error:
        print("told" if "shutting down" in str(error) else error)

thread = start(work)
late += [go.set, lambda: thread.join(15), lambda: print(thread.is_alive())]
"""

ENDS = {
    "busy housekeeper": """
        # says: closed closed
        pool = make(4, 2, delay=0.0001, health=bool)
        until(lambda: pool.stats()["hk_rounds"] >= 3)
        """,
    "health check": """
        pool = make(4, 2, delay=0.01, health=slow)
        assert entered.wait(10)
        """,
    "creation by a daemon thread": """
        # says:
        pool = make(4, 2, lambda number: Thing() if number < 2 else slow(), delay=60.0)
        start(lambda: (pool.get(), pool.get(), pool.get()))
        assert entered.wait(10)
        """,
    "closer in a round": """
        ppp.log.disabled = True
        pool = make(4, 2, delay=0.01, health=lambda thing: False, closer=slow)
        assert entered.wait(10)
        """,
    "proxy with its object": """
        proxy = ppp.Proxy(fun=lambda n: Thing(), max_size=2, min_size=2, delay=60.0, closer=Thing.close)
        proxy._get_obj()
        """,
    "threads at work": """
        # says:
        pool = make(2, 2, closer=None, delay=0.0001, max_use=3, health=bool)
        def work():
            with contextlib.suppress(ppp.PoolException):  # shut down, in the end
                while True:
                    with pool.obj():
                        entered.set()
        for _ in range(8):
            start(work)
        assert entered.wait(10)
        """,
    "daemon thread that waits": """
        # says: closed
        pool = make(1)
        lent = pool.get()
        start(pool.get)
        until(lambda: pool.stats()["nwaiting"])
        other = make(0, 1, closer=lambda thing: (time.sleep(0.2), thing.close()))
        """,
    "closers that exit": """
        # says: closed closed closed
        def closer(thing):
            thing.close()
            raise SystemExit(3)
        one, two = make(2, 2, closer=closer), make(1, 1, closer=closer)
        """,
    "thread that asks at the end, and is joined": JOINED,
    "thread that waits at the end, and is joined": JOINED
    + """
go.set()
until(lambda: pool.stats()["nwaiting"])
""",
}
"""How a program ends, and what it says, where that is not a matter of chance."""


@pytest.mark.parametrize("end", ENDS)
def test_program_ends_quietly(end: str) -> None:
    """A program ends with status 0, an empty stderr and its idle objects closed, whatever goes on."""
    said = re.search("# says:(.*)", ENDS[end])
    done = run_python(HEAD + textwrap.dedent(ENDS[end]))
    assert (done.stderr, done.returncode) == ("", 0)
    assert said is None or done.stdout.split() == said[1].split()


SUBINTERPRETER = """
import importlib, sys
sub = importlib.import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
for turn in range(5):
    number = sub.create("legacy") if sys.version_info >= (3, 13) else sub.create(isolated=False)
    error = (sub.exec if hasattr(sub, "exec") else sub.run_string)(number, sys.argv[1])
    assert error is None, error
    sub.destroy(number)
    print("destroyed")
"""

IN_IT = """
pool = make(4, 2, delay={delay}, health=bool)
pool.ret(pool.get())
until(lambda: pool.stats()["hk_rounds"] >= {rounds})
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="subinterpreters are CPython's")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12 threads outlive subinterpreters")
@pytest.mark.parametrize(("delay", "rounds"), [(60.0, 0), (0.0001, 3)], ids=["idle", "busy"])
def test_end_of_a_subinterpreter(delay: float, rounds: int) -> None:
    """At the end of a subinterpreter the housekeeper is waited for, and idle objects are closed."""
    done = run_python(SUBINTERPRETER, HEAD + IN_IT.format(delay=delay, rounds=rounds))
    assert (done.stderr, done.returncode) == ("", 0)
    assert (done.stdout.count("destroyed"), done.stdout.count("closed")) == (5, 10)
