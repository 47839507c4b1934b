"""compare: a run against an older one."""

from __future__ import annotations

import argparse
import sys

from bench.analysis import frames, two_runs
from bench.commands.report import show_page
from bench.contract.errors import UsageError
from bench.contract.results import find_run


def main(given: argparse.Namespace) -> int:
    """Hold a run against an older one; exit status 1 where a case became slower or reaches another metric."""
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
