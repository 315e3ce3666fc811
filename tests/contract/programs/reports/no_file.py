import contextlib

del contextlib.__file__  # as PyOxidizer's importer leaves modules
import ProxyPatternPool as ppp  # noqa: E402

pool = ppp.Pool(lambda n: object(), max_size=1, max_using_delay=60)
pool.ret(pool.get())
