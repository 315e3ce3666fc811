"""What was measured, as the generated parts of the page; the terminal shows the same."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module, metadata
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from . import pools, proxies, work
from .pools import FLOOR, THIS
from .timing import Column, Table

OURS = {pools.NO_HEALTH, pools.BY_PROXY, work.BARE, *proxies.FLOORS, *proxies.OURS}
"""Rows that are no other libraries."""

PARTS = {
    "loop": ("Get and return", "it is a few functions in C, and keeps no account of its objects"),
    "threads": ("Throughput", ""),
    "crowd": ("Many threads, few objects", "serving in order of arrival switches threads at each return"),
    "creation": ("Making objects", ""),
    "spike": ("A spike", "it makes no object, but lets requests wait for returns"),
    "housekeeping": ("Housekeeping", "they examine all objects in one go"),
    "import": ("Import", "it does less"),
    "proxy": ("Proxies", "special methods are faster in C, and where nothing depends on the thread"),
    "counts": ("Instructions and calls", ""),
}
"""The parts: their headlines, and why another is ahead where it is."""

ONE_VERSION = ("crowd", "spike", "housekeeping", "import")
"""Parts whose tables show the first version: the aims have what matters of the others."""

PICTURES = {
    "loop": ("bench-pool.svg", "Time of a get and return in one thread, for each pool"),
    "threads": ("bench-threads.svg", "Gets and returns a second, by the number of threads, for each pool"),
    "crowd": ("bench-fairness.svg", "Gets of each of 40 threads, least served first, for each pool"),
    "proxy": ("bench-proxy.svg", "Time of three operations through each proxy"),
}


@dataclass
class Run:
    """All tables of one run, and where it ran."""

    environment: dict[str, Any]
    tables: dict[str, Table]

    @property
    def version(self) -> str:
        """Return the version of Python by which the figures are kept."""
        return str(self.environment["key"])

    def medians(self, table: str, column: str, names: Iterable[str]) -> dict[str, float]:
        """Return what several contenders reached, as far as they were measured."""
        known = self.tables.get(table, Table("", "", []))
        return {name: found.median for name in names if (found := known.figure(name, column))}

    def median(self, table: str, name: str, column: str) -> float:
        """Return what one reached, 0.0 where it was not measured."""
        return self.medians(table, column, [name]).get(name, 0.0)


def load(file: Path) -> dict[str, Run]:
    """Return the runs that a file keeps, by version: the oldest first, those without the GIL last."""
    data = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    runs = {}
    for version in sorted(data, key=lambda it: (it.endswith("t"), int(it.strip("t").split(".")[1]))):
        tables = {key: Table.from_json(table) for key, table in data[version]["tables"].items()}
        runs[version] = Run(data[version]["environment"], tables)
    return runs


def keep(run: Run, file: Path) -> None:
    """Keep a run, a line for each table; parts that were not measured now stay as they were."""
    runs = load(file)
    run.tables = {**runs.get(run.version, run).tables, **run.tables}
    data = {version: asdict(it) for version, it in {**runs, run.version: run}.items()}
    text = json.dumps(data, separators=(",", ":")).replace('{"id":', '\n{"id":')
    file.write_text(text + "\n", encoding="utf-8")


def environment() -> dict[str, Any]:
    """Describe the interpreter, the processor and the packages of the contenders."""
    known = metadata.packages_distributions()
    modules = {it.module.partition(".")[0] for it in [*pools.CONTENDERS, *proxies.CONTENDERS]}
    names = {known[module][0] for module in modules & known.keys()} - {THIS}
    cpus = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpus.read_text(encoding="utf-8") if cpus.exists() else "")
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    gil = ", with the GIL" if getattr(sys, "_is_gil_enabled", bool)() else ", without the GIL"
    return {
        "key": f"{sys.version_info[0]}.{sys.version_info[1]}{'t' * free}",
        "python": f"{platform.python_implementation()} {platform.python_version()}{gil * free}",
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {
            THIS: str(import_module(THIS).__version__),
            **{name: metadata.version(name) for name in sorted(names, key=str.lower)},
        },
    }


UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9}


def unit_of(seconds: float) -> str:
    """Return the unit that suits a time."""
    return next((unit for unit, factor in UNITS.items() if seconds * factor >= 0.9), "ns")


def show(value: float, unit: str) -> str:
    """Write a number: a time with three digits, others by what they are."""
    if unit in UNITS:
        value *= UNITS[unit]
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:.2f}" if unit == "share" else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Write a time with its unit."""
    return f"{show(seconds, unit_of(seconds))} {unit_of(seconds)}"


UNKNOWN = "not explained: measure again, on an idle machine"


class Aim(NamedTuple):
    """One thing that this module sets itself to reach, and why it is missed where it is."""

    id: str
    what: str
    aim: str
    measured: str
    reached: bool
    why: str = UNKNOWN


def aims(run: Run) -> Iterator[Aim]:
    """Compare what was measured with what was aimed at, as far as it was measured."""
    plain, floor = (run.median("loop", name, "plain") for name in (THIS, FLOOR))
    block, drawn = (run.median("loop", name, "with") for name in (THIS, pools.BY_PROXY))
    others = [it.name for it in pools.CONTENDERS if it.name not in (THIS, FLOOR)]
    if plain and (peers := run.medians("loop", "plain", others)):
        nearest = min(peers, key=lambda name: peers[name])
        text = f"{peers[nearest] / plain:.2f} times as fast as {nearest.removeprefix('queue.')}"
        why = "that queue keeps no account of its objects" if nearest == pools.LIFO.name else UNKNOWN
        yield Aim("next", "get and return", f"ahead of all but `{FLOOR}`", text, peers[nearest] > plain, why)
    for id, what, limit, taken, of, base, why in (
        ("floor", "get and return", 12.0, plain, f"`{FLOOR}`", floor,
         "that queue is a few functions in C, and keeps no account of its objects"),
        ("block", "`with pool.obj()`", 1.7, block, "get and return", plain,
         "each block is a generator, so that it ends its lease even if it is interrupted"),
        ("drawn", "`with proxy._obj()`", 3.5, drawn, "get and return", plain,
         "it makes a lease, puts it where it is current, and takes it away again"),
    ):  # fmt: skip
        if taken and base:
            ratio = taken / base
            yield Aim(id, what, f"at most {limit:g} times {of}", f"{ratio:.2f} times", ratio <= limit, why)
    if THIS in (rates := run.medians("crowd-40-5", "rate", [THIS, *others, FLOOR])):
        what = "40 threads, 4 objects, 5\u00a0ms each"
        share, best = run.median("crowd-40-5", THIS, "share"), rates[THIS] / max(rates.values())
        yield Aim("fair", what, "least served 0.9 of most served", f"{share:.2f}", share >= 0.9)
        why = "serving in order of arrival switches threads at each return"
        yield Aim("rate", what, "0.95 of the highest throughput", f"{best:.2f}", best >= 0.95, why)
    if taken := run.median("creation", THIS, "time"):
        yield Aim("made", "8 threads making objects of 0.2\u00a0s", "0.3 s", duration(taken), taken <= 0.3)
    if hold := run.median("housekeeping", THIS, "lock"):
        idle = [it.id for it in run.tables["housekeeping"].columns if it.id.startswith("idle-")]
        few, many = (int(id[5:]) for id in (idle[0], idle[-1]))
        first, last = (run.median("housekeeping", THIS, f"idle-{size}") / size for size in (few, many))
        goal = f"linear: each of {many:,} objects takes as long as each of {few:,}"
        yield Aim("linear", "housekeeping", goal, f"\u00d7{last / first:.2f}", last / first <= 1.3)
        yield Aim("lock", "housekeeping", "lock held for at most 1 ms", duration(hold), hold <= 1e-3)
    for name in proxies.OURS if "proxy" in run.tables else ():
        behind: dict[str, list[str]] = {}
        for key, statement in proxies.OPERATIONS.items():
            for peer, value in run.medians("proxy", key, proxies.PEERS).items():
                if run.median("proxy", name, key) > value:
                    behind.setdefault(peer, []).append(f"`{statement}`")
        text = "; ".join(f"behind {peer}: {', '.join(its)}" for peer, its in behind.items()) or "ahead"
        kind, goal = name.partition(", ")[2], "ahead of werkzeug's, Django's, lazy-object-proxy's `slots`"
        why = "Python 3.13 specializes no bytecode without the GIL" if run.version == "3.13t" else UNKNOWN
        yield Aim(kind, f"each operation, {kind}", goal, text, not behind, why)
    own, wrapt = (run.median("proxy", name, "x") for name in (proxies.SHARED, proxies.WRAPT))
    if run.version == "3.11" and own and wrapt:
        text = f"{wrapt / own:.2f} times as fast"
        yield Aim("wrapt", "`proxy.x`, shared", "ahead of wrapt's in C", text, own < wrapt)


def aims_table(runs: dict[str, Run]) -> Iterator[str]:
    """Put the aims of all versions beside one another."""
    yield f"| what | aim | {' | '.join(runs)} |"
    yield "| --- | --- |" + " --- |" * len(runs)
    missed: dict[str, str] = {}
    by_aim: dict[tuple[str, str], dict[str, Aim]] = {}
    for version, run in runs.items():
        for aim in aims(run):
            by_aim.setdefault((aim.what, aim.aim), {})[version] = aim
    for (what, goal), found in by_aim.items():
        its = [found.get(version) for version in runs]
        cells = ["**no:** " * (not it.reached) + it.measured if it else "-" for it in its]
        yield f"| {what} | {goal} | {' | '.join(cells)} |"
        missed |= {f"{what}, {goal}": it.why for it in found.values() if not it.reached}
    yield from ["", "Why aims are missed:", ""] if missed else []
    yield from (f"- {what}: {why}." for what, why in missed.items())


def better(table: Table, name: str, column: Column) -> float | None:
    """Tell how many times another is better than this module, if by more than the spread, 0.0: infinitely."""
    own, other = table.figure(next(iter(table.rows)), column.id), table.figure(name, column.id)
    if not (own and other and column.ranked) or name in OURS:
        return None
    more, less = (other, own) if column.more_is_better else (own, other)
    apart = more.q1 > less.q3 and more.median > less.median * 1.02
    return more.median / (less.median or float("inf")) if apart else None


SUMMARY = """\
On Python {version}:

- **Get and return** takes {plain} in one thread, {next}, the next; `with pool.obj()` {block} as long,
  `with proxy._obj()` {drawn}.
- **Fairness**: of 40 threads that share four objects for 5 ms each, the least served gets {fair} of what
  the most served gets. {unfair} of {peers} other pools leave some threads without any.
- **Throughput** there is {rate} of the highest.
- **Making objects**: eight threads make eight objects of 0.2 s each in {made}.
- **A shared proxy**, beside werkzeug's, Django's and lazy-object-proxy's `slots`, in nine operations:
  {shared}."""


def summary(runs: dict[str, Run]) -> Iterator[str]:
    """Say in ten lines what the figures of the first version say."""
    run = next(iter(runs.values()))
    least = list(run.medians("crowd-40-5", "least", [it.name for it in pools.CONTENDERS[1:]]).values())
    values = {aim.id: aim.measured for aim in aims(run)} | {"version": run.version, "peers": len(least)}
    values |= {"plain": duration(run.median("loop", THIS, "plain")), "unfair": least.count(0.0)}
    yield SUMMARY.format_map(defaultdict(lambda: "-", values))
    for part, (headline, why) in PARTS.items():
        told: dict[str, dict[str, float]] = {}
        for table in run.tables.values() if why else ():
            held = table.title.rpartition(", ")[2]
            for column, name in product(table.columns, table.rows):
                times = better(table, name, column) if table.id.partition("-")[0] == part else None
                if times is not None and (part != "crowd" or name != FLOOR):
                    what = f"{column.title}, {held}" if part == "crowd" else ""
                    ahead = told.setdefault(what, {})
                    ahead[name] = max(times, ahead.get(name, 0.0))
        texts = []
        for held, ahead in told.items():
            ranked = sorted(ahead.items(), key=lambda it: -(it[1] or float("inf")))
            text = ", ".join(f"{name} \u00d7{times:.3g}" for name, times in ranked).replace(" \u00d70", "")
            texts.append(f", {held}: {text}".replace(" \u00d7", " up to \u00d7", 1) if held else f": {text}")
        if texts:
            yield f"- **Not ahead**, {headline.lower()}{';'.join(texts).replace(';,', ';')}; {why}."


def tabulate(tables: dict[str, Table]) -> Iterator[str]:
    """Write a table, the rows of several versions beside one another, in one unit for each column."""
    first = next(iter(tables.values()))
    columns = [it for it in first.columns if any(it.id in row for row in first.rows.values())]
    units = []
    for column in columns:
        found = next(row[column.id] for row in first.rows.values() if column.id in row)
        units.append(unit_of(found.median) if column.unit == "s" else column.unit)

    def cell(table: Table, name: str, column: Column, unit: str) -> str:
        first, found = table.figure(next(iter(table.rows)), column.id), table.figure(name, column.id)
        if found is None:
            return "-"
        text = show(found.median, unit)
        if table.id == "loop":
            text += f" ({show(found.q1, unit)}\u2013{show(found.q3, unit)})"
        if column.ranked and first and first.median:
            text += f" \u00d7{found.median / first.median:.2f}"
        return text if better(table, name, column) is None else f"**{text}**"

    many = len(tables) > 1
    code = "`" if first.id == "proxy" else ""
    titles = (f"{code}{it.title}{code}" for it in columns)
    heads = (f"{it}, {unit}" if unit in UNITS else it for it, unit in zip(titles, units, strict=True))
    yield f"| |{' Python |' * many} {' | '.join(heads)} |"
    yield "| --- |" + " --- |" * many + " ---: |" * len(columns)
    for name in dict.fromkeys(name for table in tables.values() for name in table.rows):
        label = re.sub(r"__\w+__", r"`\g<0>`", name)
        for version, table in tables.items():
            if name in table.rows:
                its = map(partial(cell, table, name), columns, units)
                yield f"| {label} |{f' {version} |' * many} {' | '.join(its)} |"
                label = ""


def throughput(run: Run) -> Table:
    """Take the gets a second by any number of threads, where objects are not held, from those of a crowd."""
    table = Table("threads", "Gets and returns a second, 4 objects, not held, by the number of threads", [])
    found = (re.fullmatch(r"crowd-(\d+)-0", id) for id in run.tables)
    for threads in sorted((it[1] for it in found if it), key=int):
        table.columns.append(Column(threads, threads, "", more_is_better=True))
        for name, row in run.tables[f"crowd-{threads}-0"].rows.items():
            table.rows.setdefault(name, {})[threads] = row["rate"]
    return table


def figures(runs: dict[str, Run]) -> Iterator[str]:
    """Write where it was measured, and all tables."""
    known: dict[str, str] = {}
    for where in (run.environment for run in runs.values()):
        packages = [f"{name} {it}" for name, it in where["packages"].items() if known.get(name) != it]
        known = known or where["packages"]
        machine = f"{where['processor']}, {where['cores']} cores, {where['system']}"
        yield f"- {where['python']}, {machine}: {', '.join(packages) or 'the same packages'}."
        yield f"  Steal time: {where['stolen']:.1%}."
    for part, (headline, _) in PARTS.items():
        picture = PICTURES.get(part)
        groups: dict[str, dict[str, Table]] = {}
        notes: dict[str, list[str]] = {}
        for version, run in list(runs.items())[: 1 if part in ONE_VERSION else None]:
            for table in [throughput(run)] if part == "threads" else run.tables.values():
                plain = re.fullmatch(r"crowd-(1|2|4|16)-0", table.id)  # of interest for the throughput only
                if table.id.partition("-")[0] == part and table.rows and not plain:
                    groups.setdefault(table.id, {})[version] = table
                    for name, note in table.notes.items():
                        notes.setdefault(f"{name}: {note}", []).append(version)
        if groups:
            yield f"\n### {headline}" + (f"\n\n![{picture[1]}](assets/{picture[0]})" if picture else "")
        for tables in groups.values():
            yield f"\n{next(iter(tables.values())).title}, Python {', '.join(tables)}:\n"
            yield from tabulate(tables)
        yield from ([""] if notes else [])
        yield from (f"- Python {', '.join(found)}: {note}." for note, found in notes.items())


def write_page(runs: dict[str, Run], file: Path) -> None:
    """Write what belongs between the marks of a page."""
    page = file.read_text(encoding="utf-8")
    for name, written in {"summary": summary, "aims": aims_table, "figures": figures}.items():
        begin, end = f"<!-- bench: {name} -->\n", "\n<!-- bench: end -->"
        head, mark, rest = page.partition(begin)
        if not mark:
            raise SystemExit(f"{file}: no place for {name}")
        page = f"{head}{begin}\n" + "\n".join(written(runs)) + f"\n{end}" + rest.partition(end)[2]
    file.write_text(page, encoding="utf-8")
