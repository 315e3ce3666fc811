# contexts (tasks) of one thread
import asyncio

import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, scope=ppp.Proxy.Scope.WERKZEUG, max_size=2)
print(p._scope is ppp.Proxy.Scope.VERSATILE)


async def request():
    with p._obj() as o:
        await asyncio.sleep(0.01)
        return o == p._get_obj(), str(p)


async def main():
    return await asyncio.gather(request(), request())


print(sorted(asyncio.run(main())), p._pool._nobjs, p._pool._sem._value, p._has_obj())
