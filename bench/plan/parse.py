"""Words to options: all that the noxfile needs."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.contract.errors import UsageError
from bench.plan.arguments import (
    Parser,
    add_bisect_arguments,
    add_calibrate_arguments,
    add_explain_arguments,
    add_parity_arguments,
    add_run_arguments,
)
from bench.plan.bisection import BisectOptions
from bench.plan.options import CalibrateOptions, ExplainOptions, ParityOptions, RunOptions
from bench.plan.resumed import resumed_options
from bench.plan.selection import Selection

Options = TypeVar("Options", bound=Selection)
Resumed = TypeVar("Resumed", bound=RunOptions)
# Words that are no options of what is measured, besides the name that `resume` is on the command line.
BESIDES = ("command", "resume", "output", "quiet", "verbose")
SPELLED = {
    "batch_sizes": "--batch-size",
    "budget_seconds": "--budget",
    "device_counts": "--device-count",
    "packages": "--with",
    "parity": "--no-parity",
}  # others as they are


def parse_run(arguments: Sequence[str]) -> RunOptions:
    """The options of `run`, checked against each other."""
    return run_or_resume(_parsed("run", add_run_arguments, arguments))


def parse_calibrate(arguments: Sequence[str]) -> CalibrateOptions:
    """The options of `calibrate`, checked against each other."""
    return calibrate_or_resume(_parsed("calibrate", add_calibrate_arguments, arguments))


def parse_parity(arguments: Sequence[str]) -> ParityOptions:
    """The options of `parity`, checked against each other."""
    return options_of(ParityOptions, _parsed("parity", add_parity_arguments, arguments))


def parse_explain(arguments: Sequence[str]) -> ExplainOptions:
    """The options of `explain`, checked against each other."""
    return options_of(ExplainOptions, _parsed("explain", add_explain_arguments, arguments))


def parse_bisect(arguments: Sequence[str]) -> BisectOptions:
    """The options of `bisect`, checked against each other."""
    return options_of(BisectOptions, _parsed("bisect", add_bisect_arguments, arguments))


def run_or_resume(given: argparse.Namespace) -> RunOptions:
    """What the parsed words of `run` mean: those of the run that goes on where there is one."""
    return _resumed(RunOptions, given) if "resume" in given else options_of(RunOptions, given)


def calibrate_or_resume(given: argparse.Namespace) -> CalibrateOptions:
    """What the parsed words of `calibrate` mean: those of the run that goes on where there is one."""
    if "resume" in given:
        return _resumed(CalibrateOptions, given, finished=True)
    return options_of(CalibrateOptions, given)


def options_of(kind: type[Options], given: argparse.Namespace) -> Options:
    """The options that the parsed words say, the rest as by default; UsageError where they cannot be."""
    known = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in vars(given).items() if name in known})


def _resumed(kind: type[Resumed], given: argparse.Namespace, finished: bool = False) -> Resumed:
    """The options of the run that goes on; UsageError where others are given besides."""
    for name in vars(given):
        if name not in BESIDES:
            option = SPELLED.get(name, f"--{name.replace('_', '-')}")
            raise UsageError(f"{option}: a run goes on with the options it was started with; give --resume alone")
    output = getattr(given, "output", Selection.output)
    return resumed_options(given.resume, output, kind, finished)


def _parsed(
    command: str, add_arguments: Callable[[argparse.ArgumentParser], None], arguments: Sequence[str]
) -> argparse.Namespace:
    parser = Parser(prog=f"python -m bench {command}")
    add_arguments(parser)
    return parser.parse_args(arguments)
