# a program puts the current object there itself
import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, max_size=1)
p._local.obj = "mine"
print(p._has_obj(), p._get_obj(), p.upper(), p._pool.stats()["nuses"])
p._ret_obj()
print(p._has_obj(), p._get_obj())
q = ppp.Proxy(fun="q{}".format, max_size=None)
q._local.obj = "mine"
q._ret_obj()
print(q._pool, q._get_obj())
r = ppp.Proxy(fun="r{}".format, max_size=1)
r._local.obj = r._pool.get()
r._ret_obj()
print(r._has_obj(), r._pool._sem._value)
