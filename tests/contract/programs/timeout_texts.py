# programs look into the texts of errors
import ProxyPatternPool as ppp

pool = ppp.Pool("o{}".format, max_size=1, timeout=0.01)
o = pool.get()
for timeout in (None, 0, -1, 0.02):
    try:
        pool.get(timeout)
    except ppp.PoolException as e:
        print(type(e).__name__, "sem timeout after" in str(e))
pool.shutdown()
pool.shutdown()
pool.ret(o)
try:
    pool.get()
except ppp.PoolException as e:
    print(type(e).__name__, "Pool is shutting down" in str(e))
for call in (
    lambda: ppp.Proxy("o", fun=str),
    lambda: ppp.Proxy()._set(),
    lambda: ppp.Proxy(fun=str)._set_pool(max_size=1),
):
    try:
        call()
    except ppp.ProxyException as e:
        print(e)
