import contextvars

import ProxyPatternPool as ppp

p = ppp.Proxy(fun=lambda n: object(), scope=ppp.Proxy.Scope.WERKZEUG, max_size=1, timeout=0.2)
block = p._obj()  # anyio (FastAPI's sync dependencies and streams) runs each half in a copy of the context
contextvars.copy_context().run(block.__enter__)
contextvars.copy_context().run(block.__exit__, None, None, None)
assert p._pool.stats()["sem"] == {"value": 1, "init": 1}, p._pool.stats()["sem"]
