# tests patch the class, or one pool
from unittest import mock

import ProxyPatternPool as ppp

closed = []
pool = ppp.Pool("o{}".format, max_size=2, closer=closed.append)
a = pool.get()
with mock.patch.object(ppp.Pool, "_create", side_effect=OSError("no server")):
    try:
        pool.get()
    except OSError as e:
        print("class:", e)
with mock.patch.object(pool, "_destroy") as destroy:
    pool._out(a)
    pool._empty()
    print("pool:", destroy.call_args.args, "closed", closed, "counted", pool._ndestroys)
