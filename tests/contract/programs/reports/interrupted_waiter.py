# Python 3.14: a signal that strikes as a waiter is served leaves the pool's lock held (a few in 1,000)
import random
import signal
import sys
import threading
import time

import ProxyPatternPool as ppp

now = time.perf_counter


def on_alarm(number, frame):
    raise KeyboardInterrupt


signal.signal(signal.SIGALRM, on_alarm)
sys.setswitchinterval(1e-4)
held_lock = hits = 0
pool = ppp.Pool(lambda n: object(), max_size=1)
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 4000):
    thing, start, late = pool.get(timeout=2), now(), 0.002 + random.uniform(-3e-4, 3e-4)

    def back(thing=thing, pool=pool, start=start, late=late):
        time.sleep(late - 0.0008)
        while now() < start + late:
            pass
        pool.ret(thing)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    got = None
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1e-4, 0.002 - (now() - start)))
        got = pool.get(timeout=5)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        hits += 1
    if pool._lock._is_owned():
        held_lock += 1
        pool = ppp.Pool(lambda n: object(), max_size=1)
        continue
    if got is not None:
        pool.ret(got)
    thread.join(1)
print(sys.version.split()[0], hits, "interruptions,", held_lock, "times the lock stayed held")
assert held_lock == 0
