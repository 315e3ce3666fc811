"""A real Celery worker: its processes fork, and its soft time limit strikes in the middle of a block."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

from helpers import eventually
from servers import run, started

TASKS = """
    import json, os, pathlib, time
    from celery import Celery
    from celery.exceptions import SoftTimeLimitExceeded
    import ProxyPatternPool as ppp

    HERE = pathlib.Path(__file__).parent
    app = Celery("tasks", broker="filesystem://")
    folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    app.conf.broker_transport_options = {name: str(HERE / folder) for name, folder in folders.items()}

    def connect(number):
        return {"pid": os.getpid()}

    db = ppp.Proxy(fun=connect, max_size=1, timeout=2.0, invalidate_on=SoftTimeLimitExceeded)
    db._get_obj()  # the parent's own, at the fork
    db._ret_obj()

    def note(name, **what):
        part = HERE / f"{name}.part"
        part.write_text(json.dumps({"pid": os.getpid(), "stats": db._pool.stats(), **what}))
        part.rename(HERE / f"{name}.json")

    @app.task(soft_time_limit=1)
    def slow():
        try:
            with db._obj():
                time.sleep(30)
        except SoftTimeLimitExceeded:
            note("slow")

    @app.task
    def quick():
        with db._obj() as connection:
            made_by = connection["pid"]
        note("quick", made_by=made_by)
"""


def test_prefork_and_soft_time_limit(tmp_path: Path) -> None:
    """A worker uses connections of its own, and one struck by the soft time limit is destroyed, not lost."""
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS), encoding="utf-8")
    for folder in ("queue", "control"):
        (tmp_path / folder).mkdir()
    run(sys.executable, "-c", "import tasks; tasks.slow.delay(); tasks.quick.delay()", cwd=tmp_path)
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork"]
    command += ["--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with started(*command, log=tmp_path / "log", cwd=tmp_path) as worker:
        eventually((tmp_path / "quick.json").exists, seconds=40.0)
    slow, quick = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("slow", "quick"))
    assert slow["pid"] == quick["pid"] == quick["made_by"] != worker.pid
    assert (slow["stats"]["ninvalidated"], slow["stats"]["nusing"]) == (1, 0)
    assert (quick["stats"]["ncreated"], quick["stats"]["nusing"]) == (2, 0)
    assert quick["stats"]["sem"] == {"value": 1, "init": 1}
