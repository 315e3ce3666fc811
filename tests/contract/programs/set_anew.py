# configured again: idle objects of the old pool are closed, a lent one stays its holder's
import ProxyPatternPool as ppp

closed = []
p = ppp.Proxy(closer=closed.append, min_size=2)
p.set_fun("old{}".format)
old = p._pool
mine = old.get()
p.set_fun("new{}".format)
print(len(closed), mine in closed, mine in old._using, p._pool is old, p.upper()[:3])
old.ret(mine)
print(sorted(closed), old._nobjs)
