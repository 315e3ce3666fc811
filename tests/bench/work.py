"""What the pools are made to do."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from timeit import Timer, timeit
from types import FrameType
from typing import Any

import ProxyPatternPool as ppp

from . import pools, proxies, timing
from .pools import Contender, Handle, Maker
from .timing import Column, Job, Settings, Table

ROOT = Path(__file__).resolve().parents[2]
SIZE = 4
PATIENCE = 30.0
"""Seconds after which threads that should have ended are given up."""


@contextmanager
def built(
    table: Table, chosen: list[Contender], size: int, ahead: int
) -> Iterator[list[tuple[Contender, Handle]]]:
    """Build those contenders that are installed, and close them at the end."""
    with ExitStack() as stack:
        yield [
            (contender, stack.enter_context(closing(contender.build(module, Maker(), size, ahead))))
            for contender, module in table.installed(chosen)
        ]


def together(number: int, task: Callable[[int], None], first: Callable[[], None] | None = None) -> float:
    """Run a task in so many threads, which start at once; return the seconds until the last has ended."""
    barrier = threading.Barrier(number + 1, first)

    def run(place: int) -> None:
        barrier.wait(PATIENCE)
        task(place)

    with ThreadPoolExecutor(number) as threads:
        futures = [threads.submit(run, place) for place in range(number)]
        barrier.wait(PATIENCE)
        start = time.perf_counter()
        for future in futures:
            future.result(PATIENCE)
        return time.perf_counter() - start


def loops(settings: Settings) -> Table:
    """Measure get and return in one thread, by themselves and with the context manager."""
    columns = [Column("plain", "get and return"), Column("with", "with statement")]
    columns += [Column("cost", "with statement / get and return", "share", ranked=False)]
    table = Table("loop", "Get and return, one thread, 4 objects", columns)

    def compiled(plain: str, block: str | None, **names: Any) -> Job:
        statements = {"plain": plain, "with": f"with {block}: pass"} if block else {"plain": plain}
        timed = timing.loops(statements, settings.loop_seconds, **names)

        def job() -> dict[str, float]:
            taken = timed()
            return {**taken, "cost": taken["with"] / taken["plain"]} if block else taken

        return job

    with built(table, pools.CONTENDERS, SIZE, SIZE) as contenders:
        jobs = {
            it.name: compiled(f"it = {it.get}; {it.ret}", it.managed, pool=handle.pool, closing=closing)
            for it, handle in contenders
        }
        proxy = proxies.per_thread(SIZE)(ppp, proxies.thing())
        proxy._ret_obj()
        plain = "proxy._get_obj(); proxy._ret_obj()"
        jobs[pools.BY_PROXY] = compiled(plain, "proxy._obj()", proxy=proxy)
        table.fill(jobs, settings.loop_rounds)  # all in the same rounds, being compared with each other
        proxy._pool.shutdown()
    return table


def crowd(threads: int, hold: float, window: float, settings: Settings) -> Table:
    """Let threads get, hold and return four objects for as long as a round lasts, asking again at once."""
    how = f"held {hold * 1000:g} ms" if hold else "not held"
    title = f"{threads} thread{'s' * (threads > 1)}, 4 objects, {how}"
    columns = [
        Column("rate", "gets", "/s", more_is_better=True),
        Column("least", "least served thread", "", more_is_better=True, ranked=False),
        Column("most", "most served thread", "", ranked=False),
        Column("share", "least / most", "share", more_is_better=True),
        Column("wait", "longest wait"),
    ]
    table = Table(f"crowd-{threads}-{hold * 1000:g}", title, columns)
    lines: dict[str, list[list[int]]] = {}
    clock, sleep = time.perf_counter, time.sleep

    def job(name: str, handle: Handle) -> dict[str, float]:
        counts, waits, end = [0] * threads, [0.0] * threads, 0.0
        get, ret = handle.get, handle.ret

        def begin() -> None:
            nonlocal end
            end = clock() + window

        def work(number: int) -> None:
            done, longest = 0, 0.0
            while (asked := clock()) < end:
                it = get()
                got = clock()
                if hold:
                    sleep(hold)
                ret(it)
                longest = max(longest, got - asked)
                if got < end:
                    done += 1
            counts[number], waits[number] = done, longest

        together(threads, work, begin)
        lines.setdefault(name, []).append(sorted(counts))
        least, most = min(counts), max(counts)
        rate, share = sum(counts) / window, least / most if most else 0.0
        return {"rate": rate, "least": least, "most": most, "share": share, "wait": max(waits)}

    with built(table, pools.CONTENDERS, SIZE, SIZE) as contenders:
        table.fill({it.name: partial(job, it.name, handle) for it, handle in contenders}, settings.rounds)
    for name in table.rows:
        table.lines[name] = [statistics.median(ranks) for ranks in zip(*lines[name], strict=True)]
    return table


def burst(
    table: Table, rounds: int, threads: int, ahead: int, seconds: float, use: Callable[[], object]
) -> Table:
    """Let threads ask at once a pool that has few objects ahead, where making one takes its time."""

    def job(contender: Contender, module: Any) -> dict[str, float]:
        maker = Maker()
        with closing(contender.build(module, maker, threads, ahead)) as handle:
            maker.seconds, before = seconds, len(maker.made)

            def request(_number: int) -> None:
                it = handle.get()
                use()
                handle.ret(it)

            taken = together(threads, request)
            return {"made": len(maker.made) - before, "time": taken}

    table.fill({it.name: partial(job, it, module) for it, module in table.installed(pools.MAKERS)}, rounds)
    return table


def creation(settings: Settings) -> Table:
    """Let 8 threads take 8 objects of an empty pool; they return them when all have one."""
    title = f"8 threads, 8 new objects, each made in {settings.creation:g} s"
    table = Table("creation", title, [Column("time", "until all have one")])
    return burst(table, settings.rounds, 8, 0, settings.creation, threading.Barrier(8).wait)


def spike(settings: Settings) -> Table:
    """Let 50 threads ask at once a pool of up to 50 in which 5 objects are idle."""
    made, used = settings.spike
    title = f"50 requests at once, 5 idle objects, made in {made * 1000:g} ms, used for {used * 1000:g} ms"
    columns = [Column("made", "objects made", ""), Column("time", "until all are served")]
    table = Table("spike", title, columns)
    return burst(table, settings.rounds, 50, 5, made, partial(time.sleep, used))


def disturbed(handle: Handle) -> float:
    """Return the seconds of the longest get and return beside a housekeeping round."""
    longest, interval = 0.0, sys.getswitchinterval()
    sys.setswitchinterval(5e-5)  # else the wait for the interpreter's lock is what is seen
    try:
        with ThreadPoolExecutor(1) as thread:
            tidied = thread.submit(handle.tidy)
            while not tidied.done():
                start = time.perf_counter()
                handle.ret(handle.get())
                longest = max(longest, time.perf_counter() - start)
        tidied.result()
    finally:
        sys.setswitchinterval(interval)
    return longest


class TimedLock:
    """Stands in for a pool's lock, and keeps the longest processor time for which a holder had it."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.longest = 0.0
        self._since: list[float] = []

    def __enter__(self) -> None:
        self.lock.acquire()
        self._since.append(time.thread_time())

    def __exit__(self, *_error: object) -> None:
        self.longest = max(self.longest, time.thread_time() - self._since.pop())
        self.lock.release()


def housekeeping(settings: Settings) -> Table:
    """Let a round examine many idle objects, alone, and with a thread that gets and returns all the while."""
    biggest = settings.idle[-1]
    columns = [Column(f"idle-{size}", f"{size:,} objects") for size in settings.idle]
    columns += [Column("wait", f"longest get and return beside it ({biggest:,})")]
    columns += [Column("lock", f"longest hold of the lock ({biggest:,})", ranked=False)]
    table = Table("housekeeping", f"A housekeeping round over up to {biggest:,} idle objects", columns)

    def job(name: str, handles: dict[int, Handle]) -> dict[str, float]:
        found = {f"idle-{size}": timeit(handle.tidy, number=1) for size, handle in handles.items()}
        if handle := handles.get(biggest):
            found["wait"] = disturbed(handle)
            if pools.THIS in name:
                handle.pool._lock = lock = TimedLock(handle.pool._lock)
                timeit(handle.tidy, number=1)
                handle.pool._lock, found["lock"] = lock.lock, lock.longest
        return found

    with ExitStack() as stack:  # all sizes in turns, or else a machine that gets slower makes it look steep
        by_name: dict[str, dict[int, Handle]] = {}
        for size in settings.idle:
            for it, handle in stack.enter_context(built(table, pools.HOUSEKEEPERS, size + 1, size)):
                by_name.setdefault(it.name, {})[size] = handle
        table.fill({name: partial(job, name, handles) for name, handles in by_name.items()}, settings.rounds)
    return table


BARE = "logging, threading, enum"


def imports(settings: Settings) -> Table:
    """Import each contender in a new interpreter, without `site`, beside what every one of them needs."""
    table = Table("import", "Import in a new interpreter", [Column("time", "import")])
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    timed = "start = time.perf_counter(); import {}; print(time.perf_counter() - start)"

    def job(modules: str) -> dict[str, float]:
        program = f"import sys, time; sys.path[:0] = {paths}; {timed.format(modules)}"
        command = [sys.executable, "-I", "-S", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return {"time": float(done.stdout)}

    modules = {it.name: it.module for it, _ in table.installed(pools.MAKERS)}
    jobs = {name: partial(job, its) for name, its in {**modules, BARE: BARE}.items()}
    table.fill(jobs, settings.rounds)
    return table


HOOKS: dict[str, tuple[Callable[[Any], None], set[str]]] = {
    "instructions": (sys.settrace, {"opcode"}),
    "calls": (sys.setprofile, {"call", "c_call"}),
}
STATEMENTS = {
    "get and return": "ret(get())",
    "with pool.obj()": "with obj(): pass",
    "with proxy._obj()": "with pooled._obj(): pass",
    "proxy.x, shared": "shared.x",
    "proxy.x, thread": "thread.x",
    "proxy.x, thread with pool": "pooled.x",
}


def count(timer: Timer, kind: str) -> int:
    """Return how often something happens in a loop of one step."""
    install, events = HOOKS[kind]
    seen = 0

    def hook(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal seen
        frame.f_trace_opcodes = kind == "instructions"
        seen += event in events
        return hook

    for _ in range(3):  # the first count of a process is 0 on Python 3.12
        seen = 0
        install(hook)
        timer.timeit(1)
        install(None)
    return seen


def counts(_settings: Settings) -> Table:
    """Count each hot path."""
    columns = [Column(kind, kind, "", ranked=False) for kind in HOOKS]
    table = Table("counts", "Bytecode instructions and function calls", columns)
    thread, pooled = (proxies.per_thread(size)(ppp, proxies.thing()) for size in (None, 4))
    names = {"shared": ppp.Proxy(obj=proxies.thing()), "thread": thread, "pooled": pooled}
    with ppp.Pool(lambda _number: proxies.thing(), max_size=4, min_size=4) as pool, pooled._pool:
        names |= {"get": pool.get, "ret": pool.ret, "obj": pool.obj}
        nothing = timing.timer("pass", **names)

        def counted(timer: Timer) -> dict[str, float]:
            return {kind: count(timer, kind) - count(nothing, kind) for kind in HOOKS}

        pooled._ret_obj()
        for name, statement in STATEMENTS.items():
            table.fill({name: partial(counted, timing.timer(statement, **names))}, 1)
        pooled._ret_obj()
    return table
