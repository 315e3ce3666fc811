# a test of an application looks at the pool's sets
import ProxyPatternPool as ppp

pool = ppp.Pool("o{}".format, max_size=3, min_size=3)
everything = set(pool._avail)
a = pool.get()
print(sorted(everything), pool._using == {a}, pool._avail == everything - {a})
print(sorted(pool._avail | pool._using) == sorted(everything), len(pool._avail & pool._using))
print(sorted(everything - pool._avail) == [a], pool._todel == set(), a in pool._using)
print(pool._avail.isdisjoint(pool._using), pool._using <= everything, bool(pool._todel))
print({o: info.uses for o, info in pool._uses.items() if info.uses} == {a: 1})
