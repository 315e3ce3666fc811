# after a failover: all connections are closed, the pool stays
import ProxyPatternPool as ppp

closed = []
pool = ppp.Pool("o{}".format, max_size=2, min_size=2, closer=closed.append)
a = pool.get()
pool.__delete__()
print(sorted(closed), pool._nobjs, pool._shutdown, pool._min_size, pool._sem._value)
pool.ret(a)
print(pool.get() not in closed, len(closed))
