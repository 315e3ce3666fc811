# an object that has a method set keeps it
import ProxyPatternPool as ppp


class Register:
    def set(self, value):
        return f"register {value}"


p = ppp.Proxy(set_name="stand_for")
print(p.stand_for(Register()) is p, p.set(5), p.stand_for_fun(lambda n: Register()) is p, p.set(6))
q = ppp.Proxy(Register())
print(q.set("a value") is q, q._get_obj())
r = ppp.Proxy(Register(), set_name=None)
print(r.set(7), r._set_obj("other") is r, r.upper())
