# contexts (tasks) of one thread
import asyncio

import ProxyPatternPool as ppp

p = ppp.Proxy(fun="o{}".format, scope=ppp.Proxy.Scope.WERKZEUG, max_size=2)


async def request():
    with p._obj():
        await asyncio.sleep(0.01)
        return p.upper()


async def main():
    return await asyncio.gather(request(), request())


print(p._scope.name, sorted(asyncio.run(main())), p._pool._nobjs, p._pool._sem._value, p._has_obj())
