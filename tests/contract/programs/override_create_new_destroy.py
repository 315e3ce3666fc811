import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


seen = []


class P(ppp.Pool):
    def _create(self):
        seen.append("_create")
        return super()._create()

    def _new(self):
        seen.append("_new")
        return super()._new()

    def _destroy(self, o):
        seen.append("_destroy")
        return super()._destroy(o)

    def _out(self, o):
        seen.append("_out")
        return super()._out(o)


p = P(lambda n: L([n]))
p.ret(p.get())
p.shutdown()
print(seen)
