from unittest import mock

import ProxyPatternPool as ppp


class Fake:
    def q(self):
        return "fake"


class Real(Fake):
    def q(self):
        return "real"


p = ppp.Proxy(Real())
try:
    with mock.patch.object(p, "_get_obj", return_value=Fake()):
        got = p.q()
    print("patched:", got)
finally:
    pass


class Tx(ppp.Proxy):
    def _ret_obj(self):
        log.append("rollback")
        super()._ret_obj()


log, t = [], Tx(fun=lambda n: Real(), max_size=1)
with t._obj():
    pass
assert log == ["rollback"]
