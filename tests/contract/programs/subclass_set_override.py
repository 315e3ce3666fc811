import ProxyPatternPool as ppp


class R(ppp.Proxy):
    def _set_obj(self, obj):
        print("setting obj", end=" ")
        return super()._set_obj(obj)

    def _set_fun(self, fun):
        print("setting fun", end=" ")
        return super()._set_fun(fun)

    def _ret_obj(self):
        print("returning", end=" ")
        super()._ret_obj()


R("a")
R(fun=lambda n: f"o{n}")
r = R()
r.set(fun=lambda n: f"o{n}")
print("|", end=" ")
r.set_fun(lambda n: f"o{n}")
with r._obj() as o:
    print(o)
