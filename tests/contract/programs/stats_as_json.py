# a monitoring route
import json

import ProxyPatternPool as ppp

number = {"number": float("nan"), "limits": [1, -float("inf")]}
pool = ppp.Pool(lambda n: [n], max_size=2, timeout=float("inf"), stats=lambda o: number)
a = pool.get()
pool.get()
pool.ret(a)
text = json.dumps(pool.stats(), allow_nan=False)
data = json.loads(str(pool), parse_constant=lambda text: f"not JSON: {text}")
print(data["sem"], data["navail"], data["nusing"], data["nuses"], data["ncreated"], data["timeout"])
print(data["avail"][0]["stats"], data["using"][0]["uses"], data["shutdown"])
print(data["avail"][0]["last_ret"] <= 0, data["using"][0]["last_get"] <= 0, set(data) == set(json.loads(text)))
