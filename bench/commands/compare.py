"""compare: a run against an older one."""

from __future__ import annotations

import argparse
import sys

from bench.commands._page import add_format, show_page
from bench.contract.errors import UsageError
from bench.contract.record import DIFFERENCES
from bench.contract.results import find_run
from bench.plan.arguments import add_runs_folder
from bench.plan.words import choice, percent, several

HELP = "hold a run against an older one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two runs, and what may differ between them."""
    parser.add_argument("older", metavar="RUN_A", help="a run's id or folder, or `latest`")
    parser.add_argument("newer", metavar="RUN_B", help="likewise; slower than RUN_A or another metric: exit status 1")
    add_format(parser)
    parser.add_argument("--margin", type=percent, default=5.0, metavar="PERCENT", help="what counts; default 5")
    across = several(choice(DIFFERENCES, "difference"), DIFFERENCES)
    parser.add_argument("--across", type=across, metavar="NAME,…", help=f"what may differ: {', '.join(DIFFERENCES)}")
    add_runs_folder(parser)


def main(given: argparse.Namespace) -> int:
    """Hold a run against an older one; exit status 1 where a case became slower or reaches another metric."""
    from bench.analysis import frames, two_runs
    from bench.report.forms.files import two_runs_json
    from bench.report.pages.two_runs import page

    older, newer = (find_run(name, given.output) for name in (given.older, given.newer))
    try:
        runs = frames.load(newer), frames.load(older)
        found = two_runs.compare(*runs, given.margin / 100, given.across or ())
    except (frames.RunFormatError, two_runs.NotComparableError) as error:
        raise UsageError(str(error)) from None
    for warning in (*runs[0].warnings, *runs[1].warnings):
        print(f"bench: {warning}", file=sys.stderr)
    show_page(page(found, older.name, newer.name), None, given, lambda: two_runs_json(found, older.name, newer.name))
    return 1 if found.problems else 0
