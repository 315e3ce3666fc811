# tests do not wait: they write the times
import ProxyPatternPool as ppp

closed = []
delays = {"max_avail_delay": 100, "max_using_delay_kill": 100, "delay": 3600}
pool = ppp.Pool("o{}".format, min_size=0, closer=closed.append, **delays)
a, b, c, d = [pool.get() for _ in range(4)]
pool.ret(a)
pool.ret(b)
pool._uses[a].last_ret -= 200
pool._uses[c].last_get = pool._now() - 150
pool._hkRound()
print(sorted(pool._todel), sorted(pool._avail), sorted(pool._using), closed)
pool._empty()
print(sorted(closed), pool._nrecycled, pool._nkilled)
