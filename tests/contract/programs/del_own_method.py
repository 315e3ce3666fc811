import ProxyPatternPool as ppp

p = ppp.Proxy([3])
p.extra = 5
print(p.extra)
del p.extra
print(hasattr(p, "extra"))
