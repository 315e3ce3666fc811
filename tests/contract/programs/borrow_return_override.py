# a subclass decides which objects are examined, and sees them come back
import ProxyPatternPool as ppp


class P(ppp.Pool):
    def _borrow(self, o):
        if o in ("o0", "o1"):
            return None if o == "o0" else False
        super()._borrow(o)
        return []

    def _return(self, o):
        print("returned", o, o in self._using)
        super()._return(o)


closed = []
pool = P("o{}".format, max_size=4, min_size=4, health=lambda o: o == "o3", closer=closed.append)
pool._health_check()
print(closed, sorted(pool._avail), pool._nborrows, pool._nreturns, pool._bad_health)
