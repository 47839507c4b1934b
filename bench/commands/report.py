"""report: rebuild what is derived from a run's records."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._page import add_format, show_page
from bench.contract.results import find_run
from bench.plan.arguments import add_runs_folder

if TYPE_CHECKING:
    from bench.analysis import Analysis

HELP = "rebuild a run's tables and report from its records"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and what is written besides its report."""
    parser.add_argument("run", metavar="RUN", help="a run's id or folder, or `latest`")
    add_format(parser)
    parser.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="event files of every launch's epochs")
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE", help="a .zip of the run to share, without names of yours"
    )
    add_runs_folder(parser)


def main(given: argparse.Namespace) -> int:
    """Rebuild everything that is derived from a run's records, and what else is asked for from them."""
    return report_run(find_run(given.run, given.output), given)


def report_run(folder: Path, given: argparse.Namespace) -> int:
    """Analyse and write; pandas is imported only now, when nothing is being timed any more."""
    from bench.analysis import analyse
    from bench.analysis.frames import RunFormatError
    from bench.report import write
    from bench.report.forms.files import to_json
    from bench.report.pages import run as run_page

    try:
        analysis = analyse(folder)
    except RunFormatError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    written = True
    try:
        page = write(analysis, folder)
    except OSError as error:  # a full disk, a folder that may only be read
        written = False
        page = run_page.page(analysis)
        print(f"bench: {folder}: the report cannot be written there ({error.strerror})", file=sys.stderr)
    show_page(page, folder / "report.html" if written else None, given, lambda: to_json(analysis, page))
    _export(analysis, folder, given)
    return 0 if written and not analysis.problems else 1


def _export(analysis: Analysis, folder: Path, given: argparse.Namespace) -> None:
    """What `report` was asked to write besides."""
    if getattr(given, "tensorboard", None):
        from bench.report.forms import tensorboard

        count = tensorboard.write(analysis, given.tensorboard)
        print(
            f"tensorboard: {count} runs; look at them with: tensorboard --logdir {shlex.quote(str(given.tensorboard))}",
            file=sys.stderr,
        )
    if getattr(given, "bundle", None):
        from bench.report import bundle

        print(f"bundle: {bundle.write(folder, given.bundle)}", file=sys.stderr)
