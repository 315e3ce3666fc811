"""Measure this module beside its peers, in one process, in turns.

A whole run takes some ten minutes; it keeps its figures, one run for each version of Python, and then writes
the page and its plots. `--page` only writes these, from the figures that are kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import plots, pools, proxies, report, timing, work

PAGE = work.ROOT / "docs" / "pages" / "speed.md"
FIGURES = PAGE.parent / "assets" / "bench.json"
PARTS = [part for part in report.PARTS if part != "threads"]  # these come from the crowds


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few short rounds, to see that all runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="parts of their names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there, and write no page")
    parser.add_argument(
        "--page", type=Path, nargs="?", const=PAGE, metavar="FILE",
        help="measure nothing: write the page, and the plots into the folder assets beside it",
    )  # fmt: skip
    return parser.parse_args()


def measure(options: argparse.Namespace) -> report.Run:
    """Do the parts that were asked for."""
    settings = timing.QUICK if options.quick else timing.Settings()
    wanted = [pools.THIS, *(options.contenders or [""])]
    group, stand_ins = (
        [it for it in known if any(name in it.name for name in wanted)]
        for known in (pools.CONTENDERS, proxies.CONTENDERS)
    )
    jobs: list[tuple[str, Callable[[], timing.Table]]] = [
        ("loop", partial(work.loops, group, settings)),
        *(("crowd", partial(work.crowd, group, settings, *window)) for window in settings.windows),
        ("creation", partial(work.creation, group, settings)),
        ("spike", partial(work.spike, group, settings)),
        ("housekeeping", partial(work.housekeeping, group, settings)),
        ("import", partial(work.imports, group, settings)),
        ("proxy", partial(proxies.proxy_table, stand_ins, settings)),
        ("counts", work.counts),
    ]
    start, before, tables = time.perf_counter(), timing.ticks(), {}
    for part, job in jobs:
        if part in (options.only or PARTS):
            table = job()
            tables[table.id] = table
            print(f"{time.perf_counter() - start:5.0f} s  {table.title}", file=sys.stderr, flush=True)
    whole, taken = (late - early for early, late in zip(before, timing.ticks(), strict=True))
    where = report.environment(it.module for it in [*group, *stand_ins])
    return report.Run({**where, "stolen": taken / max(1, whole)}, tables)


def main() -> None:
    """Measure, print, and write what was asked for."""
    options = arguments()
    whole = not (options.quick or options.only or options.contenders)
    kept = options.json or (FIGURES if whole or options.page else None)
    page = options.page or (PAGE if whole and not options.json else None)
    runs = report.load(kept) if kept else {}
    if options.page is None:
        run = measure(options)
        if run.version in runs:  # parts that were not measured now stay as they were
            run.tables = {**runs[run.version].tables, **run.tables}
        print(report.text({run.version: run}))
        runs[run.version] = run
        if kept:
            report.save(runs, kept)
    if kept and page:
        runs = report.load(kept)  # in their order
        report.write_page(runs, page)
        plots.draw(runs, page.parent / "assets")


if __name__ == "__main__":
    main()
