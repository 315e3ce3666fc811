# Python 3.14: a name that a subclass annotates is its own there, too (annotations are made on demand now)
import ProxyPatternPool as ppp


class Thing:
    pass


class Reference(ppp.Proxy):
    mine: int

    def note(self):
        self.mine = 5


thing = Thing()
reference = Reference(thing)
reference.note()
assert (hasattr(thing, "mine"), reference.mine) == (False, 5)
