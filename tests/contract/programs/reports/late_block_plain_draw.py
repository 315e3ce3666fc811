import ProxyPatternPool as ppp


class C:
    def __init__(self, n):
        pass

    def x(self):
        pass


p = ppp.Proxy(fun=C, max_size=2)


def stream():
    with p._obj() as c:
        yield c


g = stream()
next(g)
p._ret_obj()  # request 1: an answer that nobody reads to its end; the teardown returns
p.x()  # request 2, same thread, draws its own
g.close()  # the garbage collector closes the forgotten stream of request 1
assert p._has_obj(), "the object of request 2 was given back under its hands"
