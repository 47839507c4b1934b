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
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help=words)
    add_runs_folder(parser)


def main(given: argparse.Namespace) -> int:
    """All these runs, or those of the results folder, in one page."""
    from rich.console import Console

    from bench.analysis import history as past
    from bench.analysis.frames import RunFormatError
    from bench.report import write_history
    from bench.report.forms import terminal

    wanted = [_found(one, given.output) for one in given.runs] or [given.output]
    try:
        found = past.history(*wanted)
    except RunFormatError as error:
        raise UsageError(str(error)) from None
    if found.runs.empty:
        where = ", ".join(map(str, given.runs)) or f"--output {given.output}"
        raise UsageError(f"{where}: no run with a result in it")
    page, path = write_history(found, given.output)
    terminal.show(page, path, Console(), terminal.Amount.NORMAL)
    return 0


def _found(name: Path, output: Path) -> Path:
    """A folder or archive as it was named, or the run of that name; UsageError where there is neither."""
    return name if name.exists() else find_run(str(name), output)
