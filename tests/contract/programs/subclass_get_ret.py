# a pool class of one's own, which wraps what it lends, and which proxies are told to use
import ProxyPatternPool as ppp


class Wrapping(ppp.Pool):
    def get(self, timeout=None):
        print("get", timeout, end=" ")
        return [super().get(timeout)]

    def ret(self, obj):
        print("ret", obj)
        super().ret(obj[0])


pool = Wrapping("o{}".format, max_size=1)
with pool.obj(2) as o:
    print(o == [*pool._using], end=" ")
ppp.Pool = Wrapping
proxy = ppp.Proxy(fun="p{}".format)
with proxy._obj(timeout=3):
    print(proxy[0].upper(), end=" ")
print(type(proxy._pool).__name__, len(pool._avail), len(proxy._pool._avail))
