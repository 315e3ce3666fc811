import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


def t(f):
    try:
        print("ok", f())
    except Exception as e:
        print(type(e).__name__, e)


p = ppp.Proxy(fun=lambda n: L([n]))
for name, value in (
    ("_pool_max_size", 2),
    ("_nobjs", 0),
    ("_scope", ppp.Proxy.Scope.THREAD),
    ("_pool_kwargs", {}),
    ("_pool", ppp.Pool(lambda n: L([n]))),
    ("_fun", list),
):
    t(lambda name=name, value=value: (name, setattr(p, name, value)))
