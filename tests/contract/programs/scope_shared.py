# one object for all threads, set in a local by the scope
import threading

import ProxyPatternPool as ppp

p = ppp.Proxy(set_name="set_thing", scope=ppp.Proxy.Scope.SHARED)
p.set_thing({"a": 1})
t = threading.Thread(target=p.update, args=({"b": 2},))
t.start()
t.join()
print(p, p._scope.name, p._local.obj is p._get_obj(), type(p._local) is ppp.Proxy.Local, p._pool)
