# as FlaskSimpleAuth <= 29.1 does: Reference passes close="close" on, whatever it stands for
import ProxyPatternPool as ppp


class Reference(ppp.Proxy):
    def __init__(self, *args, close="close", **kwargs):
        super().__init__(*args, close=close, **kwargs)


r = Reference(set_name="set_object")
r.set_object("hello")
print(r.upper())
print(ppp.Proxy(fun=lambda n: [n], max_size=None, close="close").append(1))
