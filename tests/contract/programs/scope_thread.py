# an object for each thread, which stays with an ended thread until it is returned
import threading

import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, max_size=2, timeout=0.01)
print(p._scope.name, p._has_obj(), p.upper(), p._has_obj(), isinstance(p._local, threading.local))
for _ in range(2):
    t = threading.Thread(target=lambda: print(p.upper()))
    t.start()
    t.join()
    p._ret_obj()
try:
    print("drawn", p._get_obj())
except ppp.TimeOut:
    print("TimeOut")
