# tests patch the class, or one pool
from unittest import mock

import ProxyPatternPool as ppp

closed = []
a = ppp.Pool("a{}".format, closer=closed.append)
with mock.patch.object(ppp.Pool, "_create", side_effect=OSError("no server")):
    b = ppp.Pool("b{}".format, min_size=0, closer=closed.append)
    try:
        b.get()
    except OSError as e:
        print("class:", e)
with mock.patch.object(b, "_fill") as fill:
    b._min_size = 2
    b.ret(b.get())
    print("pool: filled", fill.call_count > 0, "alive", b._nobjs)
with mock.patch.object(a, "_destroy") as destroy:
    a._out(next(iter(a._avail)))
    a._empty()
    print("pool:", destroy.call_args.args, "closed", closed, "counted", a._ndestroys)
