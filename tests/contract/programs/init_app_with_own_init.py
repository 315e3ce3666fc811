# as 06, with an __init__ of its own, and assignments once it is set, to an object without __dict__
import sqlite3

import ProxyPatternPool as ppp


class Database(ppp.Proxy):
    def __init__(self):
        super().__init__(max_size=2)

    def init_app(self, app):
        self.set_fun(lambda n: sqlite3.connect(":memory:"))
        self.app = app


db = Database()
db.init_app("app")
print(db.app)
