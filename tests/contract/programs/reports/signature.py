import inspect

import ProxyPatternPool as ppp


class Check:
    def __init__(self, limit: int = 10):
        pass

    def __call__(self, q: int):
        return q


for thing in (Check(), Check):
    assert str(inspect.signature(ppp.Proxy(thing))) == str(inspect.signature(thing)), inspect.signature(
        ppp.Proxy(thing)
    )
