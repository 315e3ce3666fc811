"""The end of an interpreter: status 0 and nothing on stderr, whatever the pool is busy with just then."""

from __future__ import annotations

import sys
import textwrap

import pytest
from conftest import run_python

HEAD = """
import threading, time
import ProxyPatternPool as ppp

entered = threading.Event()

class Thing:
    def close(self):
        print("closed", flush=True)

def slow(*_):
    entered.set()
    time.sleep(60)
    return True

def until(condition):
    while not condition():
        time.sleep(0.001)

"""

ENDS: dict[str, tuple[str, int | None]] = {
    "no housekeeper": ("pool = ppp.Pool(lambda n: Thing(), 4, 2, closer=Thing.close)", 2),
    "busy housekeeper": (
        """
        pool = ppp.Pool(
            lambda n: Thing(), 4, 2, delay=0.0001, health=lambda thing: True, closer=Thing.close
        )
        until(lambda: pool.stats()["hk_rounds"] >= 3)
        """,
        2,
    ),
    "health check": (
        """
        pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.01, health=slow, closer=Thing.close)
        assert entered.wait(10)
        """,
        None,
    ),
    "creation by a daemon thread": (
        """
        def fun(number):
            return Thing() if number < 2 else slow()
        pool = ppp.Pool(fun, 4, 2, delay=60.0, closer=Thing.close)
        def hold():
            pool.get(), pool.get(), pool.get()
        threading.Thread(target=hold, daemon=True).start()
        assert entered.wait(10)
        """,
        0,
    ),
    "closer in a round": (
        """
        def closer(thing):
            thing.close()
            if threading.current_thread() is not threading.main_thread():
                slow()
        ppp.log.disabled = True
        pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.01, health=lambda thing: False, closer=closer)
        assert entered.wait(10)
        """,
        None,
    ),
    "proxy with its object": (
        """
        proxy = ppp.Proxy(fun=lambda n: Thing(), max_size=2, min_size=2, delay=60.0, closer=Thing.close)
        proxy._get_obj()
        """,
        None,
    ),
    "waiter, and the end of another pool that lasts": (
        """
        pool = ppp.Pool(lambda n: Thing(), 1, 1)
        thing = pool.get()
        threading.Thread(target=pool.get, daemon=True).start()
        until(lambda: pool.stats()["nwaiting"])
        other = ppp.Pool(lambda n: Thing(), 1, 1, closer=lambda thing: time.sleep(0.5))
        """,
        0,
    ),
    "threads at work": (
        """
        pool = ppp.Pool(lambda n: Thing(), 2, 2, delay=0.0001, max_use=3, health=lambda thing: True)
        def work():
            try:
                while True:
                    with pool.obj():
                        entered.set()
            except ppp.PoolException:  # shut down, in the end
                pass
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        assert entered.wait(10)
        """,
        0,
    ),
    "daemon thread that waits": (
        """
        pool = ppp.Pool(lambda n: Thing(), 1)
        lent = pool.get()
        threading.Thread(target=pool.get, daemon=True).start()
        until(lambda: pool.stats()["nwaiting"])
        other = ppp.Pool(lambda n: Thing(), closer=lambda thing: (time.sleep(0.2), thing.close()))
        """,
        1,
    ),
    "closers that exit": (
        """
        def closer(thing):
            thing.close()
            raise SystemExit(3)
        one = ppp.Pool(lambda n: Thing(), 3, 3, closer=closer)
        two = ppp.Pool(lambda n: Thing(), 2, 2, closer=closer)
        """,
        5,
    ),
}
"""How a program ends, and how many objects it has to have closed, where that is not a matter of chance."""


@pytest.mark.parametrize("end", ENDS)
def test_program_ends_quietly(end: str) -> None:
    """A program ends with status 0, an empty stderr and its idle objects closed, whatever goes on."""
    program, closed = ENDS[end]
    done = run_python(HEAD + textwrap.dedent(program))
    assert (done.stderr, done.returncode) == ("", 0)
    assert closed is None or done.stdout.count("closed") == closed


@pytest.mark.parametrize("wait", ["asks at the end", "waits already"])
def test_thread_joined_after_the_end(wait: str) -> None:
    """A thread that needs an object while the interpreter ends gets its error; who joins it does not hang."""
    done = run_python(
        """
        import atexit, queue, sys, threading, time
        jobs, before = queue.Queue(), threading.Event()

        @atexit.register
        def flush():
            jobs.put("last")
            thread.join(15)
            print(thread.is_alive())

        import ProxyPatternPool as ppp
        pool = ppp.Pool(lambda number: object(), 1)
        lent = pool.get()

        def work():
            if sys.argv[1] == "asks at the end":
                jobs.get()
            before.set()
            try:
                pool.get()
            except ppp.PoolException as error:
                print("told" if "shutting down" in str(error) else error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if sys.argv[1] != "asks at the end":
            before.wait()
            while pool.stats()["nwaiting"] == 0:
                time.sleep(0.001)
        """,
        wait,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("told\nFalse\n", "", 0)


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
import time
import ProxyPatternPool as ppp
pool = ppp.Pool(
    lambda n: n + 1, 4, 2, delay={delay}, health=bool, closer=lambda n: print("closed", flush=True)
)
pool.ret(pool.get())
while pool.stats()["hk_rounds"] < {rounds}:
    time.sleep(0.001)
"""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="subinterpreters are CPython's")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12 threads outlive subinterpreters")
@pytest.mark.parametrize(("delay", "rounds"), [(60.0, 0), (0.0001, 3)], ids=["idle", "busy"])
def test_end_of_a_subinterpreter(delay: float, rounds: int) -> None:
    """At the end of a subinterpreter the housekeeper is waited for, and idle objects are closed."""
    done = run_python(SUBINTERPRETER, IN_IT.format(delay=delay, rounds=rounds))
    assert (done.stderr, done.returncode) == ("", 0)
    assert (done.stdout.count("destroyed"), done.stdout.count("closed")) == (5, 10)
