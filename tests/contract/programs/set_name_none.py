import ProxyPatternPool as ppp

for n in (None, "", "_set", "set-it"):
    try:
        p = ppp.Proxy([1], set_name=n)
        print(repr(n), "ok", p._get_obj())
    except Exception as e:
        print(repr(n), type(e).__name__, e)
