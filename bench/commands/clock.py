"""clock: launches held against a bare script."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.contract.errors import UsageError
from bench.launch.credentials import strip_credentials
from bench.plan.arguments import add_run_arguments
from bench.plan.parse import run_or_resume

HELP = "is the epoch clock right? launches held against a bare script"
add_arguments = add_run_arguments


def main(given: argparse.Namespace) -> int:
    """Print both comparisons for each backend; RunError where a launch failed."""
    from bench.launch import lock
    from bench.launch.interruption import interruptible
    from bench.run.clock import measure, summary

    options = run_or_resume(given)
    if options.dry_run:
        raise UsageError("--dry-run: the clock check has no plan to show")
    if options.tasks != ("train",):
        raise UsageError("--tasks: the clock that is checked is that of training; leave it out")
    strip_credentials(options.pass_env)
    with lock.alone(), interruptible(), tempfile.TemporaryDirectory() as name:
        pairs = measure(options, Path(name))
    for title, launches in pairs.items():
        print(summary(title, launches))
    return 0
