"""What the pools are made to do."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import pools, timing
from .pools import Contender, Handle, Maker
from .timing import Column, Settings, Table

ROOT = Path(__file__).resolve().parents[2]
SIZE = 4
PATIENCE = 30.0
"""Seconds after which threads that should have ended are given up."""


class Stuck(RuntimeError):
    """Threads of a contender that have not ended in time."""


@contextlib.contextmanager
def built(
    table: Table, chosen: list[Contender], build: Callable[[Contender], Handle]
) -> Iterator[dict[str, Handle]]:
    """Build each contender, note those that cannot be, and close them at the end."""
    handles: dict[str, Handle] = {}
    try:
        for contender in chosen:
            try:
                handles[contender.name] = build(contender)
            except ImportError as error:
                table.notes[contender.name] = f"not installed ({error})"
                continue
            table.rows.setdefault(contender.name, {})
        yield handles
    finally:
        for handle in handles.values():
            handle.close()


def together(count: int, task: Callable[[int], None], first: Callable[[], None] | None = None) -> float:
    """Run a task in so many threads, which start at once; return the seconds until the last has ended."""
    barrier = threading.Barrier(count + 1, first)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait(PATIENCE)
        try:
            task(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait(PATIENCE)
    start = time.perf_counter()
    for thread in threads:
        thread.join(max(0.0, start + PATIENCE - time.perf_counter()))
    taken = time.perf_counter() - start
    if any(thread.is_alive() for thread in threads):
        raise Stuck(f"threads still running after {PATIENCE:.0f} s")
    if errors:
        raise errors[0]
    return taken


def loops(chosen: list[Contender], settings: Settings) -> Table:
    """Measure get and return in one thread, by themselves and with the context manager."""
    table = Table(
        "loop",
        "Get and return, one thread, 4 objects",
        [
            Column("plain", "get and return"),
            Column("with", "with statement"),
            Column("cost", "with statement / get and return", "share", ranked=False),
        ],
    )
    with built(table, chosen, lambda contender: contender.build(Maker(), SIZE, SIZE)) as handles:
        timing.progress("get and return")
        known = {name: pools.CONTENDERS[name] for name in handles}
        loops = {
            (name, "plain"): timing.Loop(f"it = {it.plain[0]}\n  {it.plain[1]}", {"pool": handles[name].pool})
            for name, it in known.items()
        }
        names = {"closing": contextlib.closing}
        loops |= {
            (name, "with"): timing.Loop(f"with {it.managed}:\n   pass", {"pool": handles[name].pool, **names})
            for name, it in known.items()
            if it.managed
        }
        values = timing.race(loops, settings)  # all in the same rounds, being compared with each other
        for name in table.rows:
            if (name, "with") in values:
                pairs = zip(values[name, "with"], values[name, "plain"], strict=True)
                values[name, "cost"] = [managed / plain for managed, plain in pairs]
        for (name, key), taken in values.items():
            table.rows[name][key] = timing.figure(taken)
    return table


def _crowd(handle: Handle, threads: int, hold: float, window: float) -> tuple[list[int], float]:
    """Return the gets of each thread within a window, least first, and the longest wait."""
    counts = [0] * threads
    waits = [0.0] * threads
    clock, sleep = time.perf_counter, time.sleep
    get, ret = handle.get, handle.ret
    end = 0.0

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
    return sorted(counts), max(waits)


def crowd(chosen: list[Contender], settings: Settings, threads: int, hold: float, window: float) -> Table:
    """Let threads get, hold and return four objects for as long as a round lasts, asking again at once."""
    title = f"{threads} threads, 4 objects, {f'held {hold * 1000:g} ms' if hold else 'not held'}"
    table = Table(
        f"crowd-{threads}-{hold * 1000:g}",
        title,
        [
            Column("rate", "gets", "/s", more_is_better=True),
            Column("least", "least served thread", "", more_is_better=True, ranked=False),
            Column("most", "most served thread", "", ranked=False),
            Column("share", "least / most", "share", more_is_better=True),
            Column("wait", "longest wait"),
        ],
    )
    timing.progress(title)
    values: dict[str, dict[str, list[float]]] = {}
    lines: dict[str, list[list[int]]] = {}
    with built(table, chosen, lambda contender: contender.build(Maker(), SIZE, SIZE)) as handles:
        for name in timing.interleave(handles, settings.rounds):
            if name in table.notes:
                continue
            try:
                counts, wait = _crowd(handles[name], threads, hold, window)
            except Exception as error:
                table.notes[name] = f"failed: {error!r}"
                table.rows[name] = {}
                continue
            row = values.setdefault(name, {column.id: [] for column in table.columns})
            row["rate"].append(sum(counts) / window)
            row["least"].append(counts[0])
            row["most"].append(counts[-1])
            row["share"].append(counts[0] / counts[-1] if counts[-1] else 0.0)
            row["wait"].append(wait)
            lines.setdefault(name, []).append(counts)
    for name, row in values.items():
        if name not in table.notes:
            table.rows[name] = {key: timing.figure(numbers) for key, numbers in row.items()}
            table.lines[name] = [statistics.median(ranks) for ranks in zip(*lines[name], strict=True)]
    return table


def _rounds(
    table: Table, chosen: list[Contender], rounds: int, work: Callable[[str], dict[str, float]]
) -> None:
    """Do a piece of work that builds its own pools, in turns, and fill the table with what it gives."""
    values: dict[str, dict[str, list[float]]] = {contender.name: {} for contender in chosen}
    for name in timing.interleave(list(values), rounds):
        if name in table.notes:
            continue
        try:
            result = work(name)
        except ImportError as error:
            table.notes[name] = f"not installed ({error})"
            continue
        except Exception as error:
            table.notes[name] = f"failed: {error!r}"
            continue
        for key, number in result.items():
            values[name].setdefault(key, []).append(number)
    for name, row in values.items():
        if name not in table.notes:
            table.rows[name] = {key: timing.figure(numbers) for key, numbers in row.items()}


def creation(chosen: list[Contender], settings: Settings) -> Table:
    """Let 8 threads ask an empty pool of 8 at once, where making an object takes its time."""
    title = f"8 threads, 8 new objects, each made in {settings.creation:g} s"
    table = Table("creation", title, [Column("time", "until all have one")])
    timing.progress(title)

    def work(name: str) -> dict[str, float]:
        handle = pools.CONTENDERS[name].build(Maker(settings.creation), 8, 0)
        held: list[Any] = []
        try:
            taken = together(8, lambda _number: held.append(handle.get()))
            for it in held:
                handle.ret(it)
        finally:
            held.clear()
            handle.close()
        return {"time": taken}

    _rounds(table, [contender for contender in chosen if contender.makes], settings.rounds, work)
    return table


def spike(chosen: list[Contender], settings: Settings) -> Table:
    """Let 50 threads ask at once a pool of up to 50 in which 5 objects are idle."""
    title = (
        f"50 requests at once, 5 idle objects, made in {settings.spike_creation * 1000:g} ms, "
        f"used for {settings.spike_use * 1000:g} ms"
    )
    table = Table(
        "spike", title, [Column("made", "objects made", ""), Column("time", "until all are served")]
    )
    timing.progress(title)

    def work(name: str) -> dict[str, float]:
        maker = Maker()
        handle = pools.CONTENDERS[name].build(maker, 50, 5)
        maker.seconds, before = settings.spike_creation, maker.made

        def request(_number: int) -> None:
            it = handle.get()
            time.sleep(settings.spike_use)
            handle.ret(it)

        try:
            taken = together(50, request)
            made = maker.made - before
        finally:
            handle.close()
        return {"made": made, "time": taken}

    _rounds(table, [contender for contender in chosen if contender.makes], settings.rounds, work)
    return table


def _disturbed(handle: Handle, tidy: Callable[[], Any]) -> float:
    """Return the seconds of the longest get and return beside a housekeeping round."""
    running, stop, longest = threading.Event(), threading.Event(), 0.0

    def passer() -> None:
        nonlocal longest
        while not stop.is_set():
            start = time.perf_counter()
            handle.ret(handle.get())
            longest = max(longest, time.perf_counter() - start)
            running.set()

    thread = threading.Thread(target=passer, daemon=True)
    thread.start()
    running.wait(PATIENCE)
    try:
        tidy()
    finally:
        stop.set()
        thread.join(PATIENCE)
    if thread.is_alive():
        raise Stuck(f"thread still running after {PATIENCE:.0f} s")
    return longest


class TimedLock:
    """Stands in for a pool's lock and keeps the longest time that it was held.

    Processor time of the holder is what counts, so that other work on the machine does not.
    """

    def __init__(self, lock: Any) -> None:
        """Say which lock it is."""
        self._lock = lock
        self._depth = 0
        self._since = 0.0
        self.longest = 0.0

    def __enter__(self) -> None:
        """Acquire it."""
        self._lock.acquire()
        self._depth += 1
        if self._depth == 1:
            self._since = time.thread_time()

    def __exit__(self, *_error: object) -> None:
        """Release it."""
        if self._depth == 1:
            self.longest = max(self.longest, time.thread_time() - self._since)
        self._depth -= 1
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        """Give everything else of the lock."""
        return getattr(self._lock, name)


def _held(pool: Any, tidy: Callable[[], Any]) -> float:
    """Return the longest time for which a housekeeping round held the lock."""
    lock = TimedLock(pool._lock)
    pool._lock = lock
    try:
        with timing.quiet():
            tidy()
    finally:
        pool._lock = lock._lock
    return lock.longest


NO_HEALTH = f"{pools.THIS}, no health hook"


def housekeeping(chosen: list[Contender], settings: Settings) -> Table:
    """Let a round examine many idle objects, alone, and with a thread that gets and returns all the while."""
    biggest = settings.idle[-1]
    table = Table(
        "housekeeping",
        f"A housekeeping round over up to {biggest:,} idle objects",
        [
            *(Column(f"idle-{count}", f"{count:,} objects") for count in settings.idle),
            Column("wait", f"longest get and return beside it ({biggest:,})"),
            Column("lock", f"longest hold of the lock ({biggest:,})", ranked=False),
        ],
    )
    timing.progress(table.title)

    def build(count: int, contender: Contender) -> Handle:
        if contender.name in (pools.THIS, NO_HEALTH):
            return pools.this_tidy(Maker(), count + 1, count, health=contender.name == pools.THIS)
        return contender.build(Maker(), count + 1, count)

    able = [contender for contender in chosen if contender.tidies]
    if able and able[0].name == pools.THIS:
        able.insert(1, replace(able[0], name=NO_HEALTH))
    interval = sys.getswitchinterval()
    for count in settings.idle:
        taken: dict[str, list[float]] = {}
        waits: dict[str, list[float]] = {}
        holds: dict[str, list[float]] = {}
        with built(table, able, functools.partial(build, count)) as handles:
            for name in timing.interleave(handles, settings.rounds):
                tidy = handles[name].tidy
                assert tidy is not None
                with timing.quiet():
                    start = time.perf_counter()
                    tidy()
                    taken.setdefault(name, []).append(time.perf_counter() - start)
                if count == biggest:
                    sys.setswitchinterval(5e-5)  # else the wait for the interpreter's lock is what is seen
                    try:
                        waits.setdefault(name, []).append(_disturbed(handles[name], tidy))
                    finally:
                        sys.setswitchinterval(interval)
                    if pools.THIS in name:
                        holds.setdefault(name, []).append(_held(handles[name].pool, tidy))
        for name, numbers in taken.items():
            table.rows[name][f"idle-{count}"] = timing.figure(numbers)
        for name, numbers in waits.items():
            table.rows[name]["wait"] = timing.figure(numbers)
        for name, numbers in holds.items():
            table.rows[name]["lock"] = timing.figure(numbers)
    return table


IMPORTER = """\
import sys
sys.path[:0] = {paths!r}
import time
start = time.perf_counter()
import {modules}
print(time.perf_counter() - start)
"""

BARE = "logging, threading, enum"


def imports(chosen: list[Contender], settings: Settings) -> Table:
    """Import each contender in a new interpreter, without `site`, beside what every one of them needs."""
    table = Table("import", "Import in a new interpreter", [Column("time", "import")])
    timing.progress(table.title)
    modules = {contender.name: contender.imports for contender in chosen if contender.imports}
    modules[BARE] = BARE
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]

    def work(name: str) -> dict[str, float]:
        program = IMPORTER.format(paths=paths, modules=modules[name])
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            raise ImportError(done.stderr.strip().rpartition("\n")[2])
        return {"time": float(done.stdout)}

    named = [replace(pools.CONTENDERS[pools.THIS], name=name) for name in modules]
    for contender in named:
        with contextlib.suppress(ImportError):  # compiles what is not yet compiled
            work(contender.name)
    _rounds(table, named, settings.rounds, work)
    return table


def counts() -> Table:
    """Count bytecode instructions and function calls, which no other work on the machine disturbs."""
    table = Table(
        "counts",
        "Bytecode instructions and function calls",
        [
            Column("instructions", "instructions", "", ranked=False),
            Column("calls", "calls", "", ranked=False),
        ],
    )
    timing.progress(table.title)
    program = Path(__file__).with_name("count.py")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
        check=True,
    )
    for name, row in json.loads(done.stdout).items():
        table.rows[name] = {key: timing.figure([float(number)]) for key, number in row.items()}
    return table
