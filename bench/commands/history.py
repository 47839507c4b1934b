"""history: all runs of a results folder in one page."""

from __future__ import annotations

import argparse

from bench.analysis import history as past
from bench.contract.errors import UsageError
from bench.report.forms import terminal


def main(given: argparse.Namespace) -> int:
    """All runs of a results folder in one page."""
    from rich.console import Console

    from bench.report import write_history

    found = past.history(given.output)
    if found.runs.empty:
        raise UsageError(f"--output {given.output}: no run with a result in it")
    page, path = write_history(found, given.output)
    terminal.show(page, path, Console(), terminal.Amount.NORMAL)
    return 0
