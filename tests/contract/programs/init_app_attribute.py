# the manner of Flask extensions: a method, not __init__, assigns
import ProxyPatternPool as ppp


class L(list):
    __hash__ = object.__hash__


class Database(ppp.Proxy):
    def init_app(self, app):
        self._app = app
        self.url = "x"
        self.set_fun(lambda n: L([n]))


db = Database()
db.init_app("app")
print(db._app, db.url)
