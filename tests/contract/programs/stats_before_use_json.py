# a monitoring route before the first request
import json

import ProxyPatternPool as ppp

db = ppp.Proxy(max_size=4)
db.set_fun(lambda n: f"o{n}")
print(json.dumps(db._pool.stats())[:8] if db._pool else "error: no database pool", db._nobjs)
print(str(db._pool)[:8])
