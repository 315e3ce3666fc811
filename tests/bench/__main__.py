"""Measure this module beside its peers, in one process, in turns.

A whole run takes some ten minutes; it keeps its figures, one run for each version of Python, and then writes
the page and its plots. `--page` only writes these, from the figures that are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from . import plots, proxies, report, timing, work

PAGE = work.ROOT / "docs" / "pages" / "speed.md"
PARTS = [part for part in report.PARTS if part != "threads"]  # these come from the crowds


def measure(parts: Iterable[str], settings: timing.Settings) -> report.Run:
    """Do the parts that were asked for."""
    jobs: dict[str, list[Callable[[timing.Settings], timing.Table]]] = {
        "loop": [work.loops],
        "crowd": [partial(work.crowd, *window) for window in settings.windows],
        "creation": [work.creation],
        "spike": [work.spike],
        "housekeeping": [work.housekeeping],
        "import": [work.imports],
        "proxy": [proxies.operations],
        "counts": [work.counts],
    }
    before, tables = timing.ticks(), {}
    for job in [job for part in parts for job in jobs[part]]:
        table = job(settings)
        tables[table.id] = table
        print(table.title, file=sys.stderr, flush=True)
    whole, taken = (late - early for early, late in zip(before, timing.ticks(), strict=True))
    return report.Run({**report.environment(), "stolen": taken / max(1, whole)}, tables)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, to see that all runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there, and write no page")
    parser.add_argument("--page", type=Path, nargs="?", const=PAGE, metavar="FILE", help="measure nothing")
    options = parser.parse_args()
    figures = options.json or PAGE.parent / "assets" / "bench.json"
    whole = not (options.quick or options.only or options.json)
    if not options.page:
        run = measure(options.only or PARTS, timing.QUICK if options.quick else timing.Settings())
        for part in (report.figures, report.aims_table, report.summary):
            print(*part({run.version: run}), "", sep="\n")
        if whole or options.json:
            report.keep(run, figures)
    if page := options.page or (whole and PAGE):
        runs = report.load(figures)
        report.write_page(runs, page)
        plots.draw(runs, page.parent / "assets")


if __name__ == "__main__":
    main()
