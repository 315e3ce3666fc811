# greenlets of gevent
import gevent

import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, scope=ppp.Proxy.Scope.GEVENT, max_size=2)
jobs = [gevent.spawn(lambda: p.upper()) for _ in range(2)]
print(sorted(job.get() for job in jobs), p._pool._nobjs, p._pool._sem._value, p._has_obj())
