"""Work that leaves a run's folder, and what is told of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.run.console import RunConsole


def run_and_tell(
    work: Callable[[RunConsole], Path | None], tell: Callable[[Path], int], given: argparse.Namespace
) -> int:
    """Do the work that leaves a run's folder, if it leaves one, and tell what is in it."""
    from bench.launch.interruption import interruptible
    from bench.run.console import RunConsole

    folder = work(RunConsole(quiet=given.quiet))
    try:
        with interruptible(hang_up=False):  # which has ended the run, and may come twice
            return 0 if folder is None else tell(folder)
    except KeyboardInterrupt:
        print(f"bench: interrupted; nox -s report -- {folder} writes the report", file=sys.stderr)
        return 1
