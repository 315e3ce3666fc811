"""The module's life: imported with nothing else, copied into a tree, reloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

from helpers import run_python, run_well

import ProxyPatternPool as ppp


def test_import_is_light() -> None:
    """Importing starts no thread and imports the standard library alone; so do proxies of other scopes."""
    run = run_python(
        """
        import sys, threading
        import ProxyPatternPool as ppp
        known = {"__main__", "ProxyPatternPool", "_missing_stdlib_info"}  # the last is Debian's
        roots = {name.partition(".")[0] for name in sys.modules} - known
        print(threading.active_count(), *sorted(roots - sys.stdlib_module_names))
        proxies = ppp.Proxy("a"), ppp.Proxy(fun=str), ppp.Proxy(fun=str, scope=ppp.Proxy.Scope.SHARED)
        print(*sorted({"werkzeug", "gevent", "eventlet"} & set(sys.modules)), *map(len, proxies))
        """,
        options=("-S",),
    )
    assert (run.returncode, run.stdout.splitlines(), run.stderr) == (0, ["1", "1 1 1"], "")


def test_import_alone(tmp_path: Path) -> None:
    """The module works when copied alone into a folder, without any distribution metadata."""
    shutil.copy(ppp.__file__, tmp_path / "ProxyPatternPool.py")
    run = run_python(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import ProxyPatternPool as ppp
        assert ppp.__file__.startswith(sys.argv[1])
        with ppp.Pool("thing {}".format) as pool:
            print(ppp.__version__, pool.get())
        """,
        str(tmp_path),
        options=("-I", "-S"),
    )
    assert (run.returncode, run.stdout) == (0, f"{ppp.__version__} thing 0\n")


def test_reload() -> None:
    """Pools and proxies made before `importlib.reload` work on, and new ones beside them."""
    printed = run_well(
        """
        import importlib, threading, time
        import ProxyPatternPool as ppp
        closed = []
        old = ppp.Pool("o{}".format, max_size=1, max_use=2, delay=0.01, closer=closed.append, timeout=0.01)
        proxy, lent = ppp.Proxy(fun="p{}".format, max_size=1), old.get()
        class Mine(ppp.Proxy): ...
        @proxy._obj()
        def decorated(): return proxy._has_obj()
        drawn = proxy.upper()
        assert importlib.reload(ppp) is ppp
        try:
            old.get()
        except ppp.TimeOut as timeout:
            print(type(timeout).__name__, drawn, proxy.upper())
        old.ret(lent)
        with old.obj() as lent, ppp.Pool("n{}".format, delay=0.01) as new, new.obj() as other:
            waiting = threading.Thread(target=lambda: print(old.get(5)))
            waiting.start()
            print(lent, other, closed)
        waiting.join()
        rounds = old._hk_rounds
        while old._hk_rounds < rounds + 2:
            time.sleep(0.001)
        proxy._ret_obj()
        proxy.set_fun("q{}".format)
        print(closed, proxy._get_obj(), isinstance(proxy._pool, ppp.Pool))
        print(proxy._scope is ppp.Proxy.Scope.THREAD, Mine(fun="r{}".format).upper())
        print(decorated())
        old.shutdown(1)
        print(closed, old._nobjs, threading.active_count())
        """
    )
    lines = ["TimeOut P0 P0", "o0 n0 []", "o1", "['o0'] q0 True", "True R0", "True"]
    lines += ["['o0', 'o1'] 0 1"]
    assert printed.splitlines() == lines
