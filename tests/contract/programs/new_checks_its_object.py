# a subclass refuses what it has just made, and makes another
import ProxyPatternPool as ppp


class P(ppp.Pool):
    def _new(self):
        o = super()._new()
        if o == "o0":
            self._del(o)
            o = super()._new()
        return o


closed = []
pool = P("o{}".format, max_size=2, min_size=0, closer=closed.append)
print(pool.get(), closed, pool._ncreated, pool._ndestroys, pool._sem._value)
