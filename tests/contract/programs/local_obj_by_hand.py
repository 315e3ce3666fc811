# a program puts the current object there itself
import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, max_size=1)
p._local.obj = p._pool.get()
print(p._has_obj(), p._get_obj(), p.upper(), p._pool.stats()["nuses"])
p._ret_obj()
print(p._has_obj(), p._pool._sem._value)
q = ppp.Proxy(fun="q{}".format, max_size=None)
q._local.obj = "mine"
q._ret_obj()
print(q._pool, q._get_obj())
