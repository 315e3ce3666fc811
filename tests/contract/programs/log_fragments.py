# an application looks for these texts in its log
import logging
import re

import ProxyPatternPool as ppp

FRAGMENTS = (
    "exception in closer:|unexpected object returned:|deleting in-use objects: 1|new object failed:"
    "|object creation failed:"
)


class Handler(logging.Handler):
    def emit(self, record):
        for fragment in re.findall(FRAGMENTS, record.getMessage()):
            print(record.levelname, fragment)


def fail(_):
    raise ValueError("no luck")


log = logging.getLogger("ppp")
log.addHandler(Handler())
log.propagate = False
pool = ppp.Pool("o{}".format, max_use=1, min_size=0, closer=fail, log_level=logging.WARNING)
o = pool.get()
pool.ret(o)
pool.ret(o)
pool._closer = None
pool.get()
pool.shutdown()
down = ppp.Pool(fail)
try:
    down.get()
except ValueError:
    print("raised")
