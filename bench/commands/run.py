"""run: measure, then report."""

from __future__ import annotations

import argparse

from bench.commands._work import run_and_tell
from bench.commands.report import report_run
from bench.launch.credentials import strip_credentials
from bench.plan.arguments import add_run_arguments
from bench.plan.parse import run_or_resume

HELP = "train, time and report"
add_arguments = add_run_arguments


def main(given: argparse.Namespace) -> int:
    """Measure, then report."""
    from bench.run.measure import run as measure

    options = run_or_resume(given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: measure(options, console), lambda folder: report_run(folder, given), given)
