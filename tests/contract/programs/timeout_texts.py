# programs look into the texts of errors
import ProxyPatternPool as ppp


def told(text, call, *args):
    try:
        call(*args)
    except ppp.PPPException as e:
        print(type(e).__name__, text in str(e)) if text else print(e)


pool = ppp.Pool("o{}".format, max_size=1, timeout=0.01)
pool.get()
for timeout in (None, 0, -1, 0.02):
    told("sem timeout after", pool.get, timeout)
pool.shutdown()
told("Pool is shutting down", pool.get)
told("", ppp.Proxy, "o", str)
told("", ppp.Proxy()._set)
told("", lambda: ppp.Proxy(fun=str)._set_pool(max_size=1))
