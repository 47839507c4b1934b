"""parity: every backend climbs the ladder, then they are compared."""

from __future__ import annotations

import argparse

from bench.commands.report import report_run
from bench.commands.work import run_and_tell
from bench.launch.credentials import strip_credentials
from bench.plan.options import parity_options


def main(given: argparse.Namespace) -> int:
    """Let every backend climb the ladder, then compare."""
    from bench.run.parity import parity as climb

    options = parity_options(given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: climb(options, console), lambda folder: report_run(folder, given), given)
