"""A real Celery worker: its processes fork, and its soft time limit strikes in the middle of a block."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

from servers import run, started

TASKS = """
    import os, pathlib, time
    from celery import Celery
    from celery.exceptions import SoftTimeLimitExceeded
    import ProxyPatternPool as ppp

    HERE = pathlib.Path(__file__).parent
    app = Celery("tasks", broker="filesystem://", backend=f"file://{HERE}")
    folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    app.conf.broker_transport_options = {name: str(HERE / folder) for name, folder in folders.items()}

    db = ppp.Proxy(fun=lambda _: os.getpid(), max_size=1, timeout=2.0, invalidate_on=SoftTimeLimitExceeded)
    db._get_obj()  # the parent's own, at the fork
    db._ret_obj()

    @app.task(soft_time_limit=1)
    def slow():
        try:
            with db._obj() as made_by:
                time.sleep(30)
        except SoftTimeLimitExceeded:
            return os.getpid(), made_by, db._pool.stats()

    @app.task
    def quick():
        with db._obj() as made_by:
            pass
        return os.getpid(), made_by, db._pool.stats()
"""
SEND = """
import json, tasks
print(json.dumps([sent.get(timeout=40) for sent in (tasks.slow.delay(), tasks.quick.delay())]))
"""


def test_prefork_and_soft_time_limit(tmp_path: Path) -> None:
    """A worker uses connections of its own, and one struck by the soft time limit is destroyed, not lost."""
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS), encoding="utf-8")
    for folder in ("queue", "control"):
        (tmp_path / folder).mkdir()
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork"]
    command += ["--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with started(*command, log=tmp_path / "log", cwd=tmp_path) as worker:
        slow, quick = json.loads(run(sys.executable, "-c", SEND, cwd=tmp_path).stdout)
    (pid,) = {*slow[:2], *quick[:2]}
    assert pid != worker.pid
    assert (slow[2]["ninvalidated"], slow[2]["nusing"]) == (1, 0)
    assert (quick[2]["ncreated"], quick[2]["nusing"]) == (2, 0)
    assert quick[2]["sem"] == {"value": 1, "init": 1}
