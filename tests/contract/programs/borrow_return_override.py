# a subclass decides which objects are examined, and sees them come back
import ProxyPatternPool as ppp


class P(ppp.Pool):
    def _borrow(self, o):
        if o != "o0":
            super()._borrow(o)
            return "yes"

    def _return(self, o):
        print("returned", o, o in self._using)
        super()._return(o)


closed = []
pool = P("o{}".format, max_size=2, min_size=2, health=lambda o: o == "o0", closer=closed.append)
pool._health_check()
pool._empty()
print(closed, sorted(pool._avail), pool._nborrows, pool._nreturns, pool._bad_health)
