"""history: all runs of a results folder, or of several machines, in one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.contract.errors import UsageError
from bench.contract.results import find_run
from bench.plan.arguments import add_runs_folder

HELP = "all runs in one page: trends, versions, and where a case stepped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The runs, and where the page goes."""
    words = "runs, results folders, or archives that `report --bundle` wrote; default: all runs of --output"
    parser.add_argument("places", nargs="*", type=Path, metavar="RUN", help=words)
    add_runs_folder(parser)


def main(given: argparse.Namespace) -> int:
    """All runs of some places, or of the results folder, in one page."""
    from rich.console import Console

    from bench.analysis import history as past
    from bench.analysis.frames import RunFormatError
    from bench.report import write_history
    from bench.report.forms import terminal

    places = [_place(one, given.output) for one in given.places] or [given.output]
    try:
        found = past.history(*places)
    except RunFormatError as error:
        raise UsageError(str(error)) from None
    if found.runs.empty:
        where = ", ".join(map(str, given.places)) or f"--output {given.output}"
        raise UsageError(f"{where}: no run with a result in it")
    page, path = write_history(found, given.output)
    terminal.show(page, path, Console(), terminal.Amount.NORMAL)
    return 0


def _place(place: Path, output: Path) -> Path:
    """A place as it was named, or the run of that name; UsageError where there is neither."""
    return place if place.exists() else find_run(str(place), output)
