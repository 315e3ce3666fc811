# a housekeeper of one's own: no thread, the steps called from a scheduler
import ProxyPatternPool as ppp

now = 1000.0


class P(ppp.Pool):
    def _now(self):
        return now


pool = P("o{}".format, min_size=2, max_avail_delay=10, delay=3600, health=lambda o: o != "o1")
for step in (5, 20):
    now += step
    pool._hkRound()
    pool._health_check()
    pool._empty()
    print(sorted(pool._avail), end=" ")
    pool._fill()
    print(sorted(pool._avail), pool._nhealth, pool._bad_health, pool._nrecycled)
