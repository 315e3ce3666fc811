# take a broken object out the way the module itself does
import ProxyPatternPool as ppp

closed = []
pool = ppp.Pool(lambda n: f"o{n}", min_size=2, closer=closed.append)
a, b = pool.get(), pool.get()
pool._empty()
print("after _empty() closed:", closed, "using:", len(pool._using))
