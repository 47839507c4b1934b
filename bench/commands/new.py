"""new: a workload file to begin with."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from bench.contract.errors import OwnModelError, UsageError
from bench.contract.paths import ROOT
from bench.own_models import template

HELP = "write a workload file that runs as it stands, to be changed"
NEEDS_LIBRARIES = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file's name."""
    parser.add_argument("name", metavar="NAME", help="writes NAME.py; a path will do")


def main(given: argparse.Namespace) -> int:
    """Write a workload file to begin with."""
    try:
        path = template.new(given.name)
    except OwnModelError as error:
        raise UsageError(str(error)) from None
    shown = shlex.quote(str(path if Path.cwd() == ROOT else path.resolve()))
    print(f"wrote {path}; run it as it is with: nox -s bench -- --workloads {shown} --profile quick")
    return 0
