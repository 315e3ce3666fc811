import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


print("one object:", ppp.Proxy([1])._nobjs)
p = ppp.Proxy(fun=lambda n: L([n]), max_use=1)
print("before:", p._nobjs)
for _ in range(5):
    p.append(1)
    print("in use:", p._nobjs, end=" ")
    p._ret_obj()
print()
