"""Measure this module beside its peers, in one process, in turns.

A full run takes some minutes; it prints the tables, and writes the figures and the plots into the docs.
`--page` writes the page from figures that were measured before. The JSON keeps one run for each version
of Python.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # what is measured is this checkout

from . import pools, proxies, report, timing, work  # noqa: E402

ASSETS = ROOT / "docs" / "pages" / "assets"
FIGURES = ASSETS / "bench.json"
PAGE = ROOT / "docs" / "pages" / "speed.md"

PARTS = ("loop", "crowd", "creation", "spike", "housekeeping", "import", "proxy", "counts")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few short rounds, to see that all runs")
    parser.add_argument("--only", metavar="PARTS", help="parts with commas between: " + ", ".join(PARTS))
    parser.add_argument(
        "--contenders", metavar="NAMES", help="contenders with commas between, by parts of their names"
    )
    parser.add_argument("--rounds", type=int, help="rounds of work with threads (9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are kept")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="where the plots go")
    parser.add_argument(
        "--page", type=Path, nargs="?", const=PAGE, metavar="FILE",
        help="measure nothing: write the page from the figures (and the plots, with --plots)",
    )  # fmt: skip
    found = parser.parse_args(argv)
    unknown = set(found.only.split(",")) - set(PARTS) if found.only else set()
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if found.rounds is not None and found.rounds < 1:
        parser.error("at least one round")
    whole = not (found.quick or found.only or found.contenders)
    if whole and found.page is None:
        found.json = found.json or FIGURES
        found.plots = found.plots or ASSETS
    return found


def chosen(names: list[str], wanted: str | None) -> list[str]:
    """Return those names that were asked for; this module always comes first."""
    if not wanted:
        return names
    parts = [part.strip().lower() for part in wanted.split(",")]
    return [name for name in names if pools.THIS in name or any(part in name.lower() for part in parts)]


def measure(options: argparse.Namespace) -> report.Run:
    """Do the parts that were asked for."""
    settings = timing.QUICK if options.quick else timing.Settings()
    if options.rounds:
        settings = replace(settings, rounds=options.rounds)
    parts = options.only.split(",") if options.only else PARTS
    group = [pools.CONTENDERS[name] for name in chosen(list(pools.CONTENDERS), options.contenders)]
    stand_ins = [proxies.CONTENDERS[name] for name in chosen(list(proxies.CONTENDERS), options.contenders)]
    start = time.perf_counter()
    jobs: list[tuple[str, Callable[[], timing.Table]]] = [
        ("loop", lambda: work.loops(group, settings)),
        *(("crowd", partial(work.crowd, group, settings, *window)) for window in settings.windows),
        ("creation", lambda: work.creation(group, settings)),
        ("spike", lambda: work.spike(group, settings)),
        ("housekeeping", lambda: work.housekeeping(group, settings)),
        ("import", lambda: work.imports(group, settings)),
        ("proxy", lambda: proxies.proxy_table(stand_ins, settings)),
        ("counts", work.counts),
    ]
    tables = [timing.watched(job) for part, job in jobs if part in parts]
    timing.progress(f"done in {time.perf_counter() - start:.0f} s")
    distributions = [*(it.distribution for it in group), *(it.distribution for it in stand_ins)]
    return report.Run(report.environment(distributions), {table.id: table for table in tables})


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    options = arguments(argv)
    kept = options.json or FIGURES
    runs = report.load(kept) if kept.exists() else {}
    if options.page is None:
        run = measure(options)
        print(report.text(run))
        if run.version in runs and options.json:  # parts that were not measured now stay as they were
            run.tables = {**runs[run.version].tables, **run.tables}
        runs[run.version] = run
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            data = {version: runs[version].as_json() for version in report.ordered(runs)}
            options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        if not options.json:
            runs = {run.version: run}
    elif not runs:
        print(f"{kept}: no figures yet", file=sys.stderr)
        return 1
    if options.plots:
        from . import plots

        options.plots.mkdir(parents=True, exist_ok=True)
        plots.draw(runs, options.plots)
    if options.page is not None:
        report.write_page(runs, options.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
