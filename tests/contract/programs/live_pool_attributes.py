import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


log = []
pool = ppp.Pool(lambda n: L([n]), max_size=2, closer=lambda o: log.append("close"))
pool._getter = lambda o: log.append("getter")
pool._retter = lambda o: log.append("retter")
pool._max_use = 2
for _ in range(3):
    pool.ret(pool.get())
print(log)
pool._timeout = 0.01
a, b = pool.get(), pool.get()
try:
    pool.get()
except ppp.TimeOut:
    print("TimeOut")
