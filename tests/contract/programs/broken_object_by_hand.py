# a broken connection is taken out the way the original does it itself
import ProxyPatternPool as ppp

closed = []
pool = ppp.Pool("o{}".format, max_size=2, min_size=2, closer=closed.append)
a = pool.get()
with pool._lock:
    pool._out(a)
    pool._todel.add(a)
print(a in pool._using, a in pool._todel, len(pool._todel), pool._sem._value, closed)
pool._empty()
print(closed == [a], len(pool._todel), pool._sem._value, pool._ndestroys)
pool.ret(a)
print(closed == [a], pool._nobjs, len(pool._avail))
