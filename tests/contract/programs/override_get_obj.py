import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


class P(ppp.Proxy):
    def _get_obj(self, timeout=None):
        print("checked", end=" ")
        return super()._get_obj(timeout)


p = P([1])
p.append(2)
print(len(p._get_obj()))


class Q(ppp.Proxy):
    def __getattr__(self, item):
        print("looked up", item, end=" ")
        return super().__getattr__(item)


q = Q([1])
q.append(2)
print("done")
