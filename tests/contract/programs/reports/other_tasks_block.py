import asyncio

import ProxyPatternPool as ppp


class C:
    def __init__(self, n):
        pass

    def append(self, x):
        pass


p = ppp.Proxy(fun=C, scope=ppp.Proxy.Scope.WERKZEUG, max_size=2, timeout=0)


async def generator():
    with p._obj() as c:
        yield c


async def main():
    g = generator()
    await asyncio.create_task(g.__anext__())  # one task (a fixture, a dependency) enters the block

    async def other():
        p.append("in the middle of a transaction")  # another draws its own
        await g.aclose()  # and leaves the first one's block
        return p._has_obj()

    assert await asyncio.create_task(other()), ("its own object was given back", p._pool.stats()["sem"])


asyncio.run(main())
