"""parity: every backend climbs the ladder, then they are compared."""

from __future__ import annotations

import argparse

from bench.commands._work import run_and_tell
from bench.commands.report import report_run
from bench.launch.credentials import strip_credentials
from bench.plan.arguments import add_parity_arguments
from bench.plan.options import ParityOptions
from bench.plan.parse import options_of

HELP = "prove that the backends agree, or name where"
add_arguments = add_parity_arguments


def main(given: argparse.Namespace) -> int:
    """Let every backend climb the ladder, then compare."""
    from bench.run.parity import parity as climb

    options = options_of(ParityOptions, given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: climb(options, console), lambda folder: report_run(folder, given), given)
