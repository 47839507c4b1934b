"""history: all runs of a results folder in one page."""

from __future__ import annotations

import argparse

from bench.contract.errors import UsageError
from bench.plan.arguments import add_runs_folder

HELP = "all runs in one page: trends, and where a case stepped"
add_arguments = add_runs_folder


def main(given: argparse.Namespace) -> int:
    """All runs of a results folder in one page."""
    from rich.console import Console

    from bench.analysis import history as past
    from bench.report import write_history
    from bench.report.forms import terminal

    found = past.history(given.output)
    if found.runs.empty:
        raise UsageError(f"--output {given.output}: no run with a result in it")
    page, path = write_history(found, given.output)
    terminal.show(page, path, Console(), terminal.Amount.NORMAL)
    return 0
