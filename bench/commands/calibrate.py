"""calibrate: many launches of one case, and how often verdicts on them would be wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.commands._work import run_and_tell
from bench.launch.credentials import strip_credentials
from bench.plan.arguments import add_calibrate_arguments
from bench.plan.parse import calibrate_or_resume

HELP = "are the verdicts right, on this machine?"
add_arguments = add_calibrate_arguments


def main(given: argparse.Namespace) -> int:
    """Record many launches, then say how often verdicts on them would be wrong."""
    from bench.run.calibrate import calibrate as record

    options = calibrate_or_resume(given)
    strip_credentials(options.pass_env)
    return run_and_tell(lambda console: record(options, console), _calibration, given)


def _calibration(folder: Path) -> int:
    """Hold the launches of a calibration against themselves, and write what comes out."""
    from rich.console import Console

    from bench.analysis import frames
    from bench.analysis.calibration import calibrate
    from bench.report import write_calibration
    from bench.report.forms import terminal

    try:
        run = frames.load(folder)
        found = calibrate.calibrate(run)
    except (frames.RunFormatError, calibrate.TooFewLaunchesError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    terminal.show(*write_calibration(found, folder), Console())
    return 1 if found.problems else 0
