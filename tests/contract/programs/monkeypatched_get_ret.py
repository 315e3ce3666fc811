import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


p = ppp.Proxy(fun=lambda n: L([n]))
p.append(0)
p._ret_obj()
pool = p._pool
seen = []
get, ret = pool.get, pool.ret
pool.get = lambda timeout=None: seen.append("get") or get(timeout)
pool.ret = lambda o: seen.append("ret") or ret(o)
p.append(1)
p._ret_obj()
print("proxy:", seen)
seen.clear()
with pool.obj():
    pass
print("pool.obj():", seen)
