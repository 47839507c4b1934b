"""run: measure, then report."""

from __future__ import annotations

import argparse

from bench.commands.report import report_run
from bench.commands.work import run_and_tell
from bench.launch.credentials import strip_credentials
from bench.plan.parse import run_or_resume


def main(given: argparse.Namespace) -> int:
    """Measure, then report."""
    from bench.run.measure import run as measure

    options = run_or_resume(given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: measure(options, console), lambda folder: report_run(folder, given), given)
