# a monitoring route
import json

import ProxyPatternPool as ppp

pool = ppp.Pool(lambda n: [n], max_size=2, timeout=float("inf"), stats=lambda o: {"number": o[0]})
a = pool.get()
pool.get()
pool.ret(a)
data = json.loads(str(pool), parse_constant=lambda text: f"not JSON: {text}")
print(data["sem"], data["navail"], data["nusing"], data["nuses"], data["ncreated"], data["timeout"])
print(data["avail"][0]["stats"], data["using"][0]["stats"], data["using"][0]["uses"])
print(data["avail"][0]["last_ret"] <= 0, data["using"][0]["last_get"] <= 0, data["shutdown"])
print(set(data) == set(pool.stats()))
