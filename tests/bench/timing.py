"""Rounds, quartiles and tables: how everything in this folder is measured and kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from timeit import Timer
from typing import Any, NamedTuple

from .pools import Contender

HOLDING = ((8, 0.001, 0.3), (40, 0.001, 0.3), (8, 0.005, 0.4), (40, 0.005, 1.5))
WINDOWS = (*((threads, 0.0, 0.2) for threads in (1, 2, 4, 8, 16, 40)), *HOLDING)
"""Threads, for how long each of them holds an object, how long a round lasts."""


class Settings(NamedTuple):
    """How long each part is measured: rounds, and seconds."""

    rounds: int = 9  # of work with threads, new objects or new processes
    loop_rounds: int = 183  # of get and return in one thread, which last milliseconds
    proxy_rounds: int = 61  # of the operations of proxies, likewise
    loop_seconds: float = 0.01
    windows: tuple[tuple[int, float, float], ...] = WINDOWS
    creation: float = 0.2
    spike: tuple[float, float] = (0.15, 0.002)  # to make an object, to use it
    idle: tuple[int, ...] = (5_000, 10_000, 20_000)


QUICK = Settings(1, 3, 3, 0.001, ((8, 0.0, 0.02), (40, 0.005, 0.1)), 0.02, (0.015, 0.002), (250, 500))


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


def timer(statement: str, **names: Any) -> Timer:
    """Return what times a statement in a loop which is compiled for one contender alone, and warm.

    CPython adapts a function's code to the types which it meets there: a loop shared by the
    contenders would punish those which come later. The garbage collector does not run meanwhile.
    """
    local = "; ".join(f"{name} = _{name}" for name in names)
    made = Timer(statement, local, globals={f"_{name}": it for name, it in names.items()})
    made.timeit(1000)
    return made


def loops(statements: Mapping[str, str], seconds: float, **names: Any) -> Job:
    """Return a round of loops that last so long, which gives the seconds of one repetition of each."""
    timers = {key: timer(statement, **names) for key, statement in statements.items()}
    steps = {key: int(1000 * seconds / its.timeit(1000)) + 1 for key, its in timers.items()}
    return lambda: {key: its.timeit(steps[key]) / steps[key] for key, its in timers.items()}
