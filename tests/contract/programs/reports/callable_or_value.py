import ProxyPatternPool as ppp

p = ppp.Proxy({"answer": 42})
value = (
    p() if callable(p) else p
)  # Django, SQLAlchemy's Column(default=), marshmallow, wtforms, graphql do this
assert value == {"answer": 42}
