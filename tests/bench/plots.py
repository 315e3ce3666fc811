"""The plots of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

from . import pools, proxies
from .report import Run, ordered
from .timing import Table

COLOURS = ("#1b6ca8", "#e07b39", "#4c956c", "#8a5a9e", "#777777")
PEERS = ("#9bbfd8", "#f0c3a1", "#adcfbd", "#cbb3d5", "#bbbbbb")

STYLE: Any = {
    "svg.hashsalt": "ProxyPatternPool",  # the same figures give the same file
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def _bars(axes: Any, tables: dict[str, Table], column: str, scale: float, names: list[str]) -> None:
    """Draw one operation: a group of bars for each contender, a bar for each version of Python."""
    height = 0.8 / len(tables)
    for index, (version, table) in enumerate(tables.items()):
        offset = (index - (len(tables) - 1) / 2) * height
        label = f"Python {version}"
        for place, name in enumerate(names):
            found = table.figure(name, column)
            if found is None:
                continue
            value = found.median * scale
            spread = [[max(0.0, value - found.q1 * scale)], [max(0.0, found.q3 * scale - value)]]
            colour = (COLOURS if pools.THIS in name else PEERS)[index % len(COLOURS)]
            axes.barh(
                place + offset, value, height, color=colour, xerr=spread, label=label,
                error_kw={"elinewidth": 0.8, "ecolor": "#444444"},
            )  # fmt: skip
            label = "_"  # one entry of the legend for each version
            text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            axes.text(value, place + offset, f"  {text}", va="center", fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.15)


def _names(tables: dict[str, Table], column: str | None = None) -> list[str]:
    """Return the contenders of all versions, those that do one operation or all."""
    every = dict.fromkeys(name for table in tables.values() for name in table.rows)
    return [
        name for name in every if not column or any(table.figure(name, column) for table in tables.values())
    ]


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def draw(runs: dict[str, Run], folder: Path) -> None:
    """Draw what there are figures for."""
    with pyplot.rc_context(STYLE):
        loops = _tables(runs, "loop")
        if loops:
            _save(_pool(loops), folder / "bench-pool.svg")
        through = _tables(runs, "proxy")
        if through:
            _save(_proxy(through), folder / "bench-proxy.svg")
        crowds = _tables(runs, "crowd-40-5")
        if crowds:
            version, table = next(iter(crowds.items()))
            _save(_fairness(version, table), folder / "bench-fairness.svg")


def _tables(runs: dict[str, Run], part: str) -> dict[str, Table]:
    return {version: runs[version].tables[part] for version in ordered(runs) if part in runs[version].tables}


def _pool(tables: dict[str, Table]) -> Any:
    figure, both = pyplot.subplots(1, 2, figsize=(10, 3 + 1.2 * len(tables)), layout="constrained")
    for axes, column, title in zip(
        both, ("plain", "with"), ("get and return", "with statement"), strict=True
    ):
        _bars(axes, tables, column, 1e6, _names(tables, column))
        axes.set_title(f"{title} (µs, less is better)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _proxy(tables: dict[str, Table]) -> Any:
    size = (12, 7.5 + 3 * len(tables))
    figure, grid = pyplot.subplots(3, 3, figsize=size, layout="constrained")
    for place, (key, statement, _) in enumerate(proxies.OPERATIONS):
        axes = grid.flat[place]
        _bars(axes, tables, key, 1e9, _names(tables))
        if place % 3:
            axes.set_yticklabels([])
        axes.set_title(f"{statement} (ns)", family="monospace")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _fairness(version: str, table: Table) -> Any:
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for place, (name, counts) in enumerate(table.lines.items()):
        own = name == pools.THIS
        axes.plot(
            range(1, len(counts) + 1), counts, label=name, color="#1b6ca8" if own else f"C{place % 9 + 1}",
            linewidth=2.5 if own else 1.2, linestyle="-" if own else ("--", "-.", ":")[place % 3],
        )  # fmt: skip
    axes.set_xlabel(f"threads, least served first ({table.title}, Python {version})")
    axes.set_ylabel("gets in a round")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    return figure
