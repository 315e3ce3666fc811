# tests do not wait: they write the times
import ProxyPatternPool as ppp

closed = []
pool = ppp.Pool(
    "o{}".format, min_size=0, max_avail_delay=100, max_using_delay_kill=100, delay=3600, closer=closed.append
)
a, b, c = pool.get(), pool.get(), pool.get()
pool.ret(a)
pool.ret(b)
pool._uses[a].last_ret -= 200
pool._hkRound()
print(sorted(pool._todel), sorted(pool._avail), closed)
pool._empty()
print(closed, pool._nrecycled, pool._nkilled)
pool._uses[c].last_get = pool._now() - 150
pool._hkRound()
pool._empty()
print(closed, pool._nrecycled, pool._nkilled, len(pool._using))
pool.ret(c)
pool.shutdown()
print(closed, pool._ndestroys)
