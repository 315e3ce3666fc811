# an application looks for these texts in its log
import logging

import ProxyPatternPool as ppp

FRAGMENTS = ("exception in closer: ", "unexpected object returned: ", "deleting in-use objects: 1")


class Handler(logging.Handler):
    def emit(self, record):
        print(record.levelname, [text for text in FRAGMENTS if text in record.getMessage()])


logging.getLogger("ppp").addHandler(Handler())
logging.getLogger("ppp").propagate = False
pool = ppp.Pool("o{}".format, max_use=1, min_size=0, closer=lambda o: 1 / 0, log_level=logging.WARNING)
o = pool.get()
pool.ret(o)
pool.ret(o)
pool._closer = None
pool.get()
pool.shutdown()
