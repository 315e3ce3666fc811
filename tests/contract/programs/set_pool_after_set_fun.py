import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


p = ppp.Proxy()
p.set_fun(lambda n: L([n]))
try:
    p._set_pool(max_size=3)
    print("accepted")
except ppp.ProxyException as e:
    print("refused:", e)
