# greenlets of eventlet
import eventlet

import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, scope=ppp.Proxy.Scope.EVENTLET, max_size=2)
jobs = [eventlet.spawn(lambda: p.upper()) for _ in range(2)]
print(sorted(job.wait() for job in jobs), p._pool._nobjs, p._pool._sem._value, p._has_obj())
