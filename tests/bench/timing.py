"""Rounds, quartiles and tables: how everything in this folder is measured and kept."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from .pools import Contender

CROWDS = (1, 2, 4, 8, 16, 40)
HOLDING = ((8, 0.001, 0.3), (40, 0.001, 0.3), (8, 0.005, 0.4), (40, 0.005, 1.5))
WINDOWS = (*((threads, 0.0, 0.2) for threads in CROWDS), *HOLDING)
"""Threads, for how long each of them holds an object, how long a round lasts."""


class Settings(NamedTuple):
    """How long each part is measured: rounds, and seconds."""

    rounds: int = 9  # of work with threads, new objects or new processes
    loop_rounds: int = 61  # of work in one thread, which last milliseconds
    loop_seconds: float = 0.01
    windows: tuple[tuple[int, float, float], ...] = WINDOWS
    creation: float = 0.2
    spike: tuple[float, float] = (0.15, 0.002)  # to make an object, to use it
    idle: tuple[int, ...] = (5_000, 10_000, 20_000)


QUICK = Settings(
    3, 3, 0.001, (*((threads, 0.0, 0.02) for threads in CROWDS), (40, 0.005, 0.1)),
    creation=0.02, spike=(0.015, 0.002), idle=(250, 500),
)  # fmt: skip


class Figure(NamedTuple):
    """The middle of what the rounds gave, the two quartiles around it, and how many rounds there were."""

    median: float
    q1: float
    q3: float
    rounds: int


class Column(NamedTuple):
    """What was measured: `unit` is `s`, `/s`, `share` or empty for a plain number."""

    id: str
    title: str
    unit: str = "s"
    more_is_better: bool = False
    ranked: bool = True


Job = Callable[[], dict[str, float]]
"""One round of one contender: a number for each column."""


@dataclass
class Table:
    """One piece of work: a row for each contender, ratios being to the first."""

    id: str
    title: str
    columns: list[Column]
    rows: dict[str, dict[str, Figure]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Contenders that could not do it, and why."""
    lines: dict[str, list[float]] = field(default_factory=dict)
    """Gets of each thread, least served first (work with threads only)."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Table:
        """Return the table of which these are the plain lists and dictionaries."""
        table = cls(**{**data, "columns": [Column(*column) for column in data["columns"]]})
        for name, row in data["rows"].items():
            table.rows[name] = {key: Figure(*value) for key, value in row.items()}
        return table

    def figure(self, name: str, column: str) -> Figure | None:
        """Return what a contender reached, `None` where it was not measured."""
        return self.rows.get(name, {}).get(column)

    def ratio(self, name: str, column: str) -> float | None:
        """Return the median of a contender divided by that of the first row."""
        first, mine = self.figure(next(iter(self.rows)), column), self.figure(name, column)
        return mine.median / first.median if first and mine and first.median else None

    def installed(self, chosen: Iterable[Contender]) -> Iterator[tuple[Contender, Any]]:
        """Give the contenders that can be imported, with their modules, and note the others."""
        for contender in chosen:
            try:
                yield contender, import_module(contender.module)
            except ImportError as error:
                self.notes[contender.name] = f"not installed ({error})"

    def fill(self, jobs: Mapping[str, Job], rounds: int) -> None:
        """Do the jobs in turns, another first in each round, and sum up; one that fails gets a note."""
        values: dict[str, dict[str, list[float]]] = {name: {} for name in jobs if name not in self.notes}
        order = list(jobs)
        for _ in range(rounds):
            for name in [name for name in order if name in values]:
                try:
                    for key, number in jobs[name]().items():
                        values[name].setdefault(key, []).append(number)
                except Exception as error:
                    self.notes[name] = f"failed: {error!r}"
                    del values[name]
            order = order[1:] + order[:1]
        for name, row in values.items():
            self.rows.setdefault(name, {}).update((key, figure(numbers)) for key, numbers in row.items())


def figure(values: list[float]) -> Figure:
    """Sum up the values that the rounds gave."""
    q1, median, q3 = statistics.quantiles(values if len(values) > 1 else values * 2, n=4, method="inclusive")
    return Figure(median, q1, q3, len(values))


def ticks() -> tuple[int, int]:
    """Return the time that Linux counts for all processors, and what the host of the machine took of it."""
    stat = Path("/proc/stat")
    times = stat.read_text(encoding="ascii").split()[1:9] if stat.exists() else ["0"]
    return sum(map(int, times)), int(times[-1])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the cyclic garbage collector out of a measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Loop:
    """A statement repeated in a loop which is compiled for one contender alone, and warm.

    CPython adapts a function's code to the types which it meets there: a loop shared by the
    contenders would punish those which come later.
    """

    def __init__(self, statement: str, seconds: float, **names: Any) -> None:
        """Compile a statement (lines below its first start with two spaces), to be run for that long."""
        scope: dict[str, Any] = {}
        exec(f"def loop(_steps, {', '.join(names)}):\n for _ in _steps:\n  {statement}\n", scope)
        self._loop: Callable[..., None] = scope["loop"]
        self._names = names
        self._run(100)
        self.steps = 100
        while (taken := self._run(self.steps)) < seconds / 2 and self.steps < 10_000_000:
            self.steps = int(self.steps * min(10.0, max(2.0, seconds / max(taken, 1e-9))))

    def _run(self, steps: int) -> float:
        start = time.perf_counter()
        self._loop(repeat(None, steps), **self._names)
        return time.perf_counter() - start

    def once(self) -> float:
        """Return the seconds of one repetition, measured over a round."""
        return self._run(self.steps) / self.steps


def once_each(loops: dict[str, Loop]) -> dict[str, float]:
    """Run a round of each loop of a contender."""
    return {key: loop.once() for key, loop in loops.items()}
