"""The plots of the page: SVG for a width of 400 pixels, on no background, in the colours of the page.

Text has 13 of 420 pixels. A picture in a dark page is dark, too: browsers hand the page's colour scheme on.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import pools, proxies, report
from .timing import Table

WIDTH = 420
HEIGHT = 230
"""Of a chart with axes."""
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-weight: bold }
.grid { stroke: #8886 }
.spread { stroke: #222; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e4e4e4 } .spread { stroke: #e4e4e4 } }
"""
Look = dict[str, object]
OWN, OTHER = "#0d9488", "#7187a3"
COLOURS = ("#d9682f", "#4f86d9", "#c05fa8", "#94812b", "#d14b57", "#7a6fd0", "#5f8f3a", "#888888")
"""All have a contrast of 3 to white and to the dark page."""


class Drawing:
    """An SVG that grows downwards."""

    def __init__(self) -> None:
        self.y = 0.0
        self._parts = [f"<style>{STYLE}</style>"]

    def add(self, tag: str, *content: str, **attributes: object) -> None:
        """Draw an element."""
        its = (f'{key.strip("_").replace("_", "-")}="{value}"' for key, value in attributes.items())
        self._parts.append(f"<{tag} {' '.join(its)}>{html.escape(''.join(content))}</{tag}>")

    def text(self, x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> None:
        """Write words."""
        self.add("text", words, x=round(x, 1), y=round(y, 1), text_anchor=anchor, class_=kind)

    def title(self, words: str) -> None:
        """Begin a chart."""
        self.text(0, self.y + 20, words, kind="title")
        self.y += 32

    def key(self, entries: dict[str, Look]) -> None:
        """Say which look stands for what, in two columns."""
        for place, (name, look) in enumerate(entries.items()):
            x, y = place % 2 * WIDTH / 2, self.y + 20 * (place // 2) + 12
            self.add("path", d=f"M{x} {y - 4}h24", fill="none", **look)
            self.text(x + 30, y, name)
        self.y += 20 * math.ceil(len(entries) / 2) + 12

    def save(self, file: Path) -> None:
        """Write the file."""
        size = f'width="{WIDTH}" height="{self.y:.0f}" viewBox="0 0 {WIDTH} {self.y:.0f}"'
        body = "\n".join(self._parts)
        file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n', "utf-8")


def bars(drawing: Drawing, title: str, tables: dict[str, Table], column: str, unit: str) -> None:
    """Draw one operation: a group of bars for each contender, a bar for each version of Python."""
    drawing.title(title)
    names = dict.fromkeys(name for table in tables.values() for name in table.rows)
    most = max(it.q3 for table in tables.values() for name in names if (it := table.figure(name, column)))
    for name in names:
        found = [it for table in tables.values() if (it := table.figure(name, column))]
        if not found:
            continue
        label = name.removeprefix(f"{pools.THIS}, ")
        drawing.text(170, drawing.y + 7.5 * len(found) + 5, label, "end")
        for place, it in enumerate(found):
            scale, y = (WIDTH - 228) / most, drawing.y + 15 * place
            look = {"fill": OWN if pools.THIS in name else OTHER, "fill_opacity": 1 - 0.14 * place}
            drawing.add("rect", x=178, y=y + 1, width=round(it.median * scale, 1), height=13, **look)
            spread = f"M{178 + it.q1 * scale:.1f} {y + 7.5}H{178 + it.q3 * scale:.1f}"
            drawing.add("path", d=spread, class_="spread")
            drawing.text(184 + it.q3 * scale, y + 12, report.show(it.median, unit).replace(",", ""))
        drawing.y += 15 * len(found) + 6


def look_of(name: str) -> Look:
    """Give each pool its line."""
    if name == pools.THIS:
        return {"stroke": OWN, "stroke_width": 3.5}
    place = [it.name for it in pools.CONTENDERS].index(name)
    dashes = ("none", "7 3", "2 3")[place % 3]
    return {"stroke": COLOURS[place % len(COLOURS)], "stroke_width": 1.8, "stroke_dasharray": dashes}


def lines(
    drawing: Drawing,
    title: str,
    series: Mapping[str, Sequence[float]],
    across: dict[int, str],
    ticks: dict[float, str],
    scale: Callable[[float], float],
) -> None:
    """Draw a line for each pool, over places that some of which have labels, up to the last tick."""
    drawing.title(title)
    low, high = scale(min(ticks)), scale(max(ticks))
    most = max(len(values) for values in series.values()) - 1
    bottom = drawing.y + HEIGHT

    def x(place: int) -> float:
        return 48 + place / max(1, most) * (WIDTH - 60)

    def y(value: float) -> float:
        return bottom - (scale(max(value, min(ticks))) - low) / (high - low) * HEIGHT

    for value, label in ticks.items():
        drawing.add("path", d=f"M48 {y(value):.1f}H{WIDTH - 12}", class_="grid")
        drawing.text(42, y(value) + 4, label, "end")
    for place, label in across.items():
        drawing.text(x(place), bottom + 18, label, "middle")
    for name, values in sorted(series.items(), key=lambda it: it[0] != pools.THIS):
        points = "L".join(f"{x(place):.1f} {y(value):.1f}" for place, value in enumerate(values))
        drawing.add("path", d=f"M{points}", fill="none", stroke_linejoin="round", **look_of(name))
    drawing.y = bottom + 32


def draw(runs: dict[str, report.Run], folder: Path) -> None:
    """Draw the plots; the first version has figures for each."""
    first, run = next(iter(runs.items()))
    times, operations, fairness, throughput = drawings = [Drawing() for _ in range(4)]
    tables = {version: run.tables["loop"] for version, run in runs.items() if "loop" in run.tables}
    bars(times, "Get and return, µs (less is better)", tables, "plain", "µs")
    bars(times, "with statement, µs (less is better)", tables, "with", "µs")
    own: Look = {"stroke": OWN, "stroke_width": 12}
    times.key({f"Python {it}": own | {"stroke_opacity": 1 - 0.14 * n} for n, it in enumerate(tables)})

    for column in ("x", "f", "len"):
        title = f"{proxies.OPERATIONS[column]}, ns, Python {first}"
        bars(operations, title, {first: run.tables["proxy"]}, column, "ns")

    series = run.tables["crowd-40-5"].lines
    most = math.ceil(max(map(max, series.values())) / 50) * 50
    ticks = {most * part / 5: f"{most * part / 5:g}" for part in range(6)}
    across = {place: f"{place + 1}" for place in (0, 9, 19, 29, 39)}
    lines(fairness, f"Gets of each of 40 threads, Python {first}", series, across, ticks, float)
    fairness.key({name: look_of(name) for name in series})

    looks: dict[str, Look] = {}
    labels = {1e3: "1k", 1e4: "10k", 1e5: "100k", 1e6: "1M", 1e7: "10M"}
    for version in [first, *(version for version in runs if version != first and version.endswith("t"))]:
        table = report.throughput(runs[version])
        rates = {name: [it.median for it in row.values()] for name, row in table.rows.items()}
        looks |= {name: look_of(name) for name in rates}
        highest = max(map(max, rates.values()))
        ticks = {value: label for value, label in labels.items() if value < 10 * highest}
        across = dict(enumerate(column.id for column in table.columns))
        title = f"Gets and returns a second, by threads, Python {version}"
        lines(throughput, title, rates, across, ticks, math.log10)
    throughput.key(looks)

    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in zip(("pool", "proxy", "fairness", "threads"), drawings, strict=True):
        drawing.save(folder / f"bench-{name}.svg")
