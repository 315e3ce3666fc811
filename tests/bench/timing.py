"""Rounds, quartiles and tables: how everything in this folder is measured and kept."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

K = TypeVar("K")


@dataclass(frozen=True)
class Settings:
    """How long each part is measured."""

    rounds: int = 9
    """Rounds of work with threads, new objects or new processes."""
    loop_rounds: int = 61
    """Rounds of work in one thread, which last milliseconds."""
    loop_seconds: float = 0.01
    windows: tuple[tuple[int, float, float], ...] = (
        (8, 0.0, 0.2),
        (40, 0.0, 0.2),
        (8, 0.001, 0.3),
        (40, 0.001, 0.3),
        (8, 0.005, 0.4),
        (40, 0.005, 1.5),
    )
    """Threads, seconds for which each holds an object, seconds for which the round lasts."""
    creation: float = 0.2
    spike_creation: float = 0.15
    spike_use: float = 0.002
    idle: tuple[int, ...] = (5_000, 10_000, 20_000)


QUICK = Settings(
    rounds=3,
    loop_rounds=3,
    loop_seconds=0.001,
    windows=((8, 0.0, 0.03), (40, 0.005, 0.1)),
    creation=0.02,
    spike_creation=0.015,
    idle=(250, 500),
)


@dataclass(frozen=True)
class Figure:
    """The middle of what the rounds gave, and the two quartiles around it."""

    median: float
    q1: float
    q3: float
    rounds: int


@dataclass(frozen=True)
class Column:
    """What was measured: `unit` is `s`, `/s`, `share` or empty for a plain number."""

    id: str
    title: str
    unit: str = "s"
    more_is_better: bool = False
    ranked: bool = True


@dataclass
class Table:
    """One piece of work: a row for each contender, ratios being to the first."""

    id: str
    title: str
    columns: list[Column]
    rows: dict[str, dict[str, Figure | None]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Contenders that could not do it, and why."""
    lines: dict[str, list[float]] = field(default_factory=dict)
    """Gets of each thread, least served first (work with threads only)."""
    stolen: float | None = None
    """The share of the processors' time which a virtual machine's host took meanwhile, where it is known."""

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain lists and dictionaries."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Table:
        """Return the table that `as_json` described."""
        rows = {
            name: {key: Figure(**value) if value else None for key, value in row.items()}
            for name, row in data["rows"].items()
        }
        columns = [Column(**column) for column in data["columns"]]
        return cls(data["id"], data["title"], columns, rows, data["notes"], data["lines"], data.get("stolen"))

    def figure(self, name: str, column: str) -> Figure | None:
        """Return what a contender reached, `None` where it was not measured."""
        return self.rows.get(name, {}).get(column)

    def ratio(self, name: str, column: str) -> float | None:
        """Return the median of a contender divided by that of the first row."""
        first = self.figure(next(iter(self.rows)), column)
        mine = self.figure(name, column)
        if first is None or mine is None or not first.median:
            return None
        return mine.median / first.median


def watched(job: Callable[[], Table]) -> Table:
    """Do a piece of work, and note how much of the processors' time was stolen meanwhile."""
    before = _ticks()
    table = job()
    after = _ticks()
    if before and after:
        table.stolen = (after[7] - before[7]) / max(1, sum(after) - sum(before))
    return table


def _ticks() -> list[int]:
    """Return what Linux counts of its processors: user, nice, system, idle, iowait, irq, softirq, steal."""
    file = Path("/proc/stat")
    if not file.exists():
        return []
    first = file.read_text(encoding="ascii").partition("\n")[0]
    return [int(number) for number in first.split()[1:9]]


def figure(values: Sequence[float]) -> Figure:
    """Sum up the values that the rounds gave."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0], 1)
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, q1, q3, len(values))


def progress(text: str) -> None:
    """Say on the error stream what is being measured."""
    print(f"  {text}", file=sys.stderr, flush=True)


def interleave(names: Iterable[K], rounds: int) -> Iterator[K]:
    """Give each name once a round, another one first in each round."""
    order = list(names)
    for number in range(rounds):
        start = number % len(order) if order else 0
        yield from order[start:] + order[:start]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the cyclic garbage collector out of a measurement."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Loop:
    """A statement repeated in a loop which is compiled for one contender alone.

    CPython adapts a function's code to the types which it meets there: a loop shared by the
    contenders would punish those which come later.
    """

    def __init__(self, statement: str, names: dict[str, Any]) -> None:
        """Compile a statement (lines below its first start with two spaces)."""
        arguments = ", ".join(names)
        scope: dict[str, Any] = {}
        exec(f"def loop(_steps, {arguments}):\n for _ in _steps:\n  {statement}\n", scope)
        self._loop: Callable[..., None] = scope["loop"]
        self._names = names
        self.steps = 1

    def run(self, steps: int) -> float:
        """Return the seconds that so many repetitions take."""
        start = time.perf_counter()
        self._loop(repeat(None, steps), **self._names)
        return time.perf_counter() - start

    def calibrate(self, seconds: float) -> None:
        """Find how many repetitions take about that long; this warms the code up, too."""
        self.run(100)
        self.steps = 100
        while (taken := self.run(self.steps)) < seconds / 2 and self.steps < 10_000_000:
            self.steps = int(self.steps * min(10.0, max(2.0, seconds / max(taken, 1e-9))))

    def once(self) -> float:
        """Return the seconds of one repetition, measured over a round."""
        return self.run(self.steps) / self.steps


def race(loops: dict[K, Loop], settings: Settings) -> dict[K, list[float]]:
    """Run loops in turns and return the seconds of one repetition of each, for each round."""
    values: dict[K, list[float]] = {name: [] for name in loops}
    with quiet():
        for loop in loops.values():
            loop.calibrate(settings.loop_seconds)
        for name in interleave(loops, settings.loop_rounds):
            values[name].append(loops[name].once())
    return values
