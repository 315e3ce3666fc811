# a pool class of one's own, which proxies are told to use
import ProxyPatternPool as ppp


class Traced(ppp.Pool):
    def get(self, timeout=None):
        print("get", timeout, end=" ")
        return super().get(timeout)

    def ret(self, obj):
        print("ret", obj)
        return super().ret(obj)


pool = Traced("o{}".format, max_size=1)
with pool.obj(2) as o:
    print("in block:", o, end=" ")

ppp.Pool = Traced
proxy = ppp.Proxy(fun="p{}".format)
with proxy._obj(timeout=3):
    print("in block:", proxy.upper(), end=" ")
print(proxy._get_obj(), type(proxy._pool).__name__)
