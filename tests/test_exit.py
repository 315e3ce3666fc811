"""The end of a program: status 0 and nothing on stderr, whatever the pool is busy with at that moment."""

from __future__ import annotations

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

"""

ENDS = {
    "nothing": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, closer=Thing.close)
""",
    "idle housekeeper": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=60.0, closer=Thing.close)
""",
    "busy housekeeper": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.0001, health=lambda thing: True, closer=Thing.close)
while pool.stats()["hk_rounds"] < 3:
    time.sleep(0.001)
""",
    "health check": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.01, health=slow, closer=Thing.close)
assert entered.wait(10)
""",
    "creation by the housekeeper": """
def fun(number):
    return Thing() if number < 2 else slow()
pool = ppp.Pool(fun, 4, 2, max_use=1, delay=0.01, closer=Thing.close)
thing = pool.get()
pool.ret(thing)
assert entered.wait(10)
""",
    "creation by a daemon thread": """
def fun(number):
    return Thing() if number < 2 else slow()
pool = ppp.Pool(fun, 4, 2, delay=60.0, closer=Thing.close)
def hold():
    pool.get(), pool.get(), pool.get()
threading.Thread(target=hold, daemon=True).start()
assert entered.wait(10)
""",
    "closer in a round": """
def closer(thing):
    thing.close()
    if threading.current_thread() is not threading.main_thread():
        slow()
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.01, health=lambda thing: False, closer=closer)
assert entered.wait(10)
""",
    "blocked getter": """
pool = ppp.Pool(lambda n: Thing(), 1, 1, closer=Thing.close)
thing = pool.get()
def wait():
    entered.set()
    try:
        pool.get()
    except ppp.PoolException:
        pass
threading.Thread(target=wait, daemon=True).start()
assert entered.wait(10)
while not pool.stats()["nwaiting"]:
    time.sleep(0.001)
""",
    "lent objects": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=60.0, max_using_delay=30.0, closer=Thing.close)
thing = pool.get()
""",
    "many pools": """
pools = [ppp.Pool(lambda n: Thing(), 4, 1, delay=0.001, health=lambda thing: True) for _ in range(20)]
""",
    "shut down": """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=60.0, closer=Thing.close)
pool.shutdown()
""",
    "shut down by the context": """
with ppp.Pool(lambda n: Thing(), 4, 2, delay=60.0, closer=Thing.close) as pool:
    pool.ret(pool.get())
""",
    "proxy": """
proxy = ppp.Proxy(fun=lambda n: Thing(), max_size=2, min_size=2, delay=60.0, closer=Thing.close)
proxy._get_obj()
""",
    "slow closer of another pool": """
pool = ppp.Pool(lambda n: Thing(), 1, 1)
thing = pool.get()
threading.Thread(target=pool.get, daemon=True).start()
while not pool.stats()["nwaiting"]:
    time.sleep(0.001)
other = ppp.Pool(lambda n: Thing(), 1, 1, closer=lambda thing: time.sleep(1.5))
""",
    "sqlite": """
import sqlite3
pool = ppp.Pool(
    lambda n: sqlite3.connect(":memory:", check_same_thread=False), 4, 4, delay=0.001,
    health=lambda db: db.execute("SELECT 1").fetchone() == (1,), closer=lambda db: db.close(),
)
for _ in range(50):
    with pool.obj() as db:
        db.execute("SELECT 2")
""",
    "exit in a thread's midst": """
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
}

CLOSED = {
    "nothing": 2,
    "idle housekeeper": 2,
    "busy housekeeper": 2,
    "shut down": 2,
    "shut down by the context": 2,
    "creation by a daemon thread": 0,
}
"""How many objects the program has to have closed, where that is not a matter of chance."""


@pytest.mark.parametrize("end", ENDS)
def test_program_ends_quietly(end: str) -> None:
    """A program ends with status 0, an empty stderr and its idle objects closed, whatever goes on."""
    done = run_python(HEAD + ENDS[end])
    assert done.stderr == ""
    assert done.returncode == 0
    if end in CLOSED:
        assert done.stdout.count("closed") == CLOSED[end]


def test_main_thread_error_is_the_only_one() -> None:
    """A program that ends by its own error shows that error alone."""
    done = run_python(
        HEAD
        + """
pool = ppp.Pool(lambda n: Thing(), 4, 2, delay=0.001, health=lambda thing: True, closer=Thing.close)
raise SystemExit("my own end")
"""
    )
    assert done.stderr == "my own end\n"
    assert done.returncode == 1
    assert done.stdout.count("closed") == 2


def test_daemon_threads_say_nothing() -> None:
    """A daemon thread that asks for an object when the program ends has no time to complain."""
    done = run_python(
        "import atexit, time\natexit.register(time.sleep, 0.3)  # the end goes on after the pools\n"
        + HEAD
        + """
pool = ppp.Pool(lambda n: Thing(), 1, 1)
thing = pool.get()
threading.Thread(target=pool.get, daemon=True).start()
while not pool.stats()["nwaiting"]:
    time.sleep(0.001)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
