import atexit

import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


p = ppp.Proxy(closer=lambda o: None)
p.set_fun(lambda n: L([n]))
print("pool is None:", p._pool is None)
atexit.register(p._pool.shutdown)
print(p._pool.stats()["navail"])
