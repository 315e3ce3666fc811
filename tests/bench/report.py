"""What was measured, as text for the terminal and as the generated part of the page."""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from . import pools, proxies, work
from .timing import Column, Figure, Table

BEGIN = "<!-- bench: what follows is written by tests/bench/run.py --page -->"
END = "<!-- bench: end of what is written -->"


@dataclass
class Run:
    """All tables of one run, and where it ran."""

    environment: dict[str, Any]
    tables: dict[str, Table]

    @property
    def version(self) -> str:
        """Return the version of Python by which the figures are kept."""
        return str(self.environment["key"])

    def as_json(self) -> dict[str, Any]:
        """Return plain lists and dictionaries."""
        return {
            "environment": self.environment,
            "tables": {key: table.as_json() for key, table in self.tables.items()},
        }


def load(file: Path) -> dict[str, Run]:
    """Return the runs that a file keeps."""
    data = json.loads(file.read_text(encoding="utf-8"))
    return {
        version: Run(
            run["environment"], {key: Table.from_json(table) for key, table in run["tables"].items()}
        )
        for version, run in data.items()
    }


def ordered(runs: Iterable[str]) -> list[str]:
    """Return versions such as `3.9` and `3.14t`, oldest first."""

    def key(version: str) -> tuple[int, ...]:
        return (*(int(part) for part in version.rstrip("t").split(".")), version.endswith("t"))

    return sorted(runs, key=key)


def _processor() -> str:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return name
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)


def environment(distributions: Iterable[str | None]) -> dict[str, Any]:
    """Describe the interpreter, the processor and the packages."""
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    versions = {pools.THIS: str(import_module("ProxyPatternPool").__version__)}
    for name in distributions:
        if name is not None and name not in versions:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                versions[name] = "not installed"
    return {
        "key": f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if free else ''}",
        "python": f"{platform.python_implementation()} {platform.python_version()}"
        + ", free-threaded" * free,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions,
    }


def show(value: float, unit: str) -> str:
    """Write a number with its unit, three digits."""
    if unit == "s":
        for limit, factor, name in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (1e9, 1.0, "s")):
            if abs(value) < limit:
                number = value * factor
                return f"{number:.0f} {name}" if abs(number) >= 100 else f"{number:.3g} {name}"
    if unit == "/s":
        return f"{value:,.0f}/s"
    if unit == "share":
        return f"{value:.2f}"
    return f"{value:,.6g}"


def cell(table: Table, name: str, column: Column, *, quartiles: bool) -> str:
    """Write a figure, its quartiles and its ratio to the first row."""
    found = table.figure(name, column.id)
    if found is None:
        return "-"
    text = show(found.median, column.unit)
    if quartiles and found.rounds > 1:
        text += f" ({show(found.q1, column.unit)} to {show(found.q3, column.unit)})"
    ratio = table.ratio(name, column.id) if column.ranked else None
    return text if ratio is None else f"{text} \u00d7{ratio:.2f}"


def text(run: Run) -> str:
    """Return everything as text for a terminal: medians, quartiles, ratios to the first row."""
    where = run.environment
    lines = [
        f"{where['python']}, {where['processor']}, {where['cores']} cores, {where['system']}",
        ", ".join(f"{name} {version}" for name, version in where["packages"].items()),
    ]
    for table in run.tables.values():
        lines += ["", f"{table.title} (median, quartiles, ratio to the first row)"]
        for column in table.columns:
            lines.append(f"  {column.title}")
            for name in table.rows:
                if table.figure(name, column.id) is not None:
                    lines.append(f"    {name:36} {cell(table, name, column, quartiles=True)}")
        lines += [f"  {name}: {note}" for name, note in table.notes.items()]
        lines += [f"  {sentence}" for sentence in _disturbed(table)]
    reached = list(aims(run))
    if reached:
        lines += ["", "Aims"]
        for aim in reached:
            lines.append(f"  {'yes' if aim.reached else 'NO '} {aim.what}: {aim.measured} (aim: {aim.aim})")
    return "\n".join(lines)


@dataclass(frozen=True)
class Aim:
    """One thing that this module sets itself to reach."""

    what: str
    aim: str
    measured: str
    reached: bool


def _median(run: Run, table: str, name: str, column: str) -> float | None:
    found = run.tables[table].figure(name, column) if table in run.tables else None
    return None if found is None else found.median


def _peers(run: Run, table: str, column: str, names: Iterable[str]) -> dict[str, float]:
    found = {name: _median(run, table, name, column) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def aims(run: Run) -> Iterator[Aim]:
    """Compare what was measured with what was aimed at, as far as it was measured."""
    yield from _pool_aims(run)
    yield from _proxy_aims(run)


def _pool_aims(run: Run) -> Iterator[Aim]:
    this, floor = pools.THIS, "queue.SimpleQueue"
    others = [name for name in pools.CONTENDERS if name not in (this, floor)]
    plain = _median(run, "loop", this, "plain")
    if plain:
        if peers := _peers(run, "loop", "plain", others):
            nearest = min(peers, key=lambda name: peers[name])
            yield Aim(
                "get and return, one thread", "faster than each other pool and `queue.LifoQueue`",
                f"{peers[nearest] / plain:.2f} times as fast as {nearest}, the next", peers[nearest] > plain,
            )  # fmt: skip
        if bottom := _median(run, "loop", floor, "plain"):
            ratio = plain / bottom
            yield Aim("the same", f"at most 12 times a `{floor}`", f"{ratio:.1f} times", ratio <= 12)
        if cost := _median(run, "loop", this, "cost"):
            what = "`with pool.obj()`"
            yield Aim(what, "at most 1.7 times get and return", f"{cost:.2f} times", cost <= 1.7)
    if (share := _median(run, "crowd-40-5", this, "share")) is not None:
        what = "40 threads, 4 objects, 5 ms each"
        yield Aim(what, "least served at least 0.9 of the most", f"{share:.2f}", share >= 0.9)
        rate = _median(run, "crowd-40-5", this, "rate") or 0.0
        if peers := _peers(run, "crowd-40-5", "rate", [*others, floor]):
            best = rate / max(peers.values())
            yield Aim(what, "throughput at least 0.95 of the fastest", f"{best:.2f}", best >= 0.95)
    if (taken := _median(run, "creation", this, "time")) is not None:
        yield Aim("8 threads making objects, 0.2 s each", "at most 0.3 s", show(taken, "s"), taken <= 0.3)
    table = run.tables.get("housekeeping")
    if table and this in table.rows:
        sizes = [int(column.id[5:]) for column in table.columns if column.id.startswith("idle-")]
        each = [(_median(run, "housekeeping", this, f"idle-{size}") or 0.0) / size for size in sizes]
        growth = each[-1] / each[0] if each[0] else 0.0
        what = f"{growth:.2f} times as long for each object of {sizes[-1]:,} as of {sizes[0]:,}"
        yield Aim("housekeeping", "linear", what, 0 < growth <= 1.3)
        hold = _median(run, "housekeeping", this, "lock")
        if hold is not None:
            what = "lock held for at most 1 ms at a time"
            yield Aim("housekeeping", what, show(hold, "s"), hold <= 1e-3)


def _proxy_aims(run: Run) -> Iterator[Aim]:
    table = run.tables.get("proxy")
    if table is None:
        return
    pure = [name for name, it in proxies.CONTENDERS.items() if it.pure and name not in proxies.OURS]
    for name in (proxies.SHARED, proxies.THREAD, proxies.POOLED):
        behind: dict[str, list[str]] = {}
        compared = False
        for key, statement, _ in proxies.OPERATIONS:
            own = _median(run, "proxy", name, key)
            for peer, value in _peers(run, "proxy", key, [it for it in pure if "wrapt" not in it]).items():
                compared = True
                if own is None or own > value:
                    behind.setdefault(peer, []).append(f"`{statement}`")
        if compared:
            yield Aim(
                f"every operation, {name.partition(', ')[2]}",
                "ahead of werkzeug, Django and lazy-object-proxy in Python",
                "; ".join(f"behind {peer}: {', '.join(its)}" for peer, its in behind.items()) or "ahead",
                not behind,
            )  # fmt: skip
    own, wrapt = (_median(run, "proxy", name, "x") for name in (proxies.SHARED, proxies.WRAPT))
    if run.version == "3.11" and own and wrapt:
        ratio = wrapt / own
        yield Aim("`proxy.x`, shared", "ahead of wrapt's C proxy", f"{ratio:.2f} times as fast", own < wrapt)


def better(run: Run) -> Iterator[str]:
    """Say, one line each, where another contender was better than this module."""
    for table in run.tables.values():
        if table.id == "counts" or not table.rows:
            continue
        first = next(iter(table.rows))
        for column in table.columns:
            own = table.figure(first, column.id)
            if own is None or not column.ranked:
                continue
            ahead = []
            for name in table.rows:
                other = table.figure(name, column.id)
                if other is None or name in (work.NO_HEALTH, work.BARE, *proxies.FLOORS, *proxies.OURS):
                    continue
                if _clearly(other, own, column.more_is_better):
                    ahead.append(f"{name} {show(other.median, column.unit)}")
            if ahead:
                mine = show(own.median, column.unit)
                yield f"{table.title}, {column.title}: {', '.join(ahead)}; {first} {mine}."


def _clearly(other: Figure, own: Figure, more_is_better: bool) -> bool:
    """Tell whether one figure beats another by more than the spread of both between their quartiles."""
    if more_is_better:
        return other.q1 > own.q3 and other.median > own.median * 1.02
    return other.q3 < own.q1 and other.median < own.median * 0.98


def _markdown(table: Table, *, quartiles: bool) -> Iterator[str]:
    columns = [it for it in table.columns if any(table.figure(name, it.id) for name in table.rows)]
    yield "| | " + " | ".join(f"`{it.title}`" if table.id == "proxy" else it.title for it in columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for name in table.rows:
        cells = (cell(table, name, column, quartiles=quartiles) for column in columns)
        yield f"| {name} | {' | '.join(cells)} |"
    if table.notes:
        yield ""
    for name, note in table.notes.items():
        yield f"- {name}: {note}"
    for sentence in _disturbed(table):
        yield ""
        yield sentence


def _disturbed(table: Table) -> Iterator[str]:
    """Say how restless the machine was, where it is known and matters."""
    if table.stolen and table.id != "counts":
        yield f"Processor time stolen meanwhile by the host of the virtual machine: {table.stolen:.0%}."


HEADLINES = {
    "loop": "Get and return",
    "crowd": "Many threads, few objects",
    "creation": "Making objects",
    "spike": "A spike",
    "housekeeping": "Housekeeping",
    "import": "Import",
    "proxy": "Proxies",
    "counts": "Instructions and calls",
}

PICTURES = {
    "loop": ("bench-pool.svg", "Time of a get and return in one thread, for each pool"),
    "crowd": ("bench-fairness.svg", "Gets of each of 40 threads, least served first, for each pool"),
    "proxy": ("bench-proxy.svg", "Time of each operation through each proxy"),
}

EVERY_VERSION = ("loop", "proxy", "counts")
"""Parts shown for each version of Python; the others say the same on all of them."""


def page(runs: dict[str, Run]) -> str:
    """Return the generated part of the page."""
    versions = ordered(runs)
    main = runs[versions[0]]
    lines = []
    for version in versions:
        where = runs[version].environment
        lines.append(f"- {where['python']}, {where['processor']}, {where['cores']} cores, {where['system']}.")
    packages = main.environment["packages"]
    lines += ["- " + ", ".join(f"{name} {version}" for name, version in packages.items()) + ".", ""]
    lines += ["### What was aimed at", ""]
    for version in versions:
        lines += [f"Python {version}:", ""]
        lines += ["| what | aim | measured | reached |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {aim.what} | {aim.aim} | {aim.measured} | {'yes' if aim.reached else '**no**'} |"
            for aim in aims(runs[version])
        ]
        lines.append("")
    for part, headline in HEADLINES.items():
        shown = versions if part in EVERY_VERSION else versions[:1]
        tables = [
            (version, table)
            for version in shown
            for table in runs[version].tables.values()
            if table.id.partition("-")[0] == part
        ]
        if not tables:
            continue
        lines += [f"### {headline}", ""]
        if part in PICTURES:
            file, alternative = PICTURES[part]
            lines += [f"![{alternative}](assets/{file})", ""]
        for version, table in tables:
            lines += [f"{table.title}, Python {version}:", ""]
            lines += [*_markdown(table, quartiles=part == "loop"), ""]
    lines += ["### Where others were better", ""]
    for version in versions:
        lines += [f"Python {version}:", ""]
        lines += [f"- {line}" for line in better(runs[version])] or ["- Nowhere in this run."]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_page(runs: dict[str, Run], file: Path) -> None:
    """Put the generated part between the markers of a page, which is made where there is none."""
    whole = file.read_text(encoding="utf-8") if file.exists() else f"# Speed\n\n{BEGIN}\n{END}\n"
    head, begin, rest = whole.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file}: markers not found")
    file.write_text(f"{head}{BEGIN}\n\n{page(runs)}\n{END}{tail}", encoding="utf-8")
