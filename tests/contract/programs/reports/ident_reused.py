import threading

import ProxyPatternPool as ppp


class C:
    def __init__(self, n):
        pass

    def append(self, x):
        pass


p = ppp.Proxy(fun=C, max_size=2)


def generator():
    with p._obj() as c:
        yield c


g, out = generator(), {}


def first():
    next(g)
    out["ident"] = threading.get_ident()


def second():  # a later thread, which Linux gives the same ident
    p.append("in the middle of a transaction")
    out["same ident"] = threading.get_ident() == out["ident"]
    g.close()  # somebody else's block is left here
    out["kept"] = p._has_obj()


for f in (first, second):
    t = threading.Thread(target=f)
    t.start()
    t.join()
assert out["kept"], (out, "the second thread's own object was given back under its hands")
