"""Words to options: all that the noxfile needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from bench.plan.arguments import Parser, add_calibrate_arguments, add_parity_arguments, add_run_arguments
from bench.plan.options import (
    CalibrateOptions,
    ParityOptions,
    RunOptions,
    calibrate_options,
    parity_options,
    run_options,
)
from bench.plan.resumed import resumed_options


def parse_run(arguments: Sequence[str]) -> RunOptions:
    """The options of `run`, checked against each other."""
    return run_or_resume(_parsed("run", add_run_arguments, arguments))


def run_or_resume(given: argparse.Namespace) -> RunOptions:
    """What the parsed words of `run` mean: those of the run that goes on where there is one."""
    return run_options(given) if given.resume is None else resumed_options(given, RunOptions)


def parse_calibrate(arguments: Sequence[str]) -> CalibrateOptions:
    """The options of `calibrate`, checked against each other."""
    return calibrate_or_resume(_parsed("calibrate", add_calibrate_arguments, arguments))


def calibrate_or_resume(given: argparse.Namespace) -> CalibrateOptions:
    """What the parsed words of `calibrate` mean: those of the run that goes on where there is one."""
    return calibrate_options(given) if given.resume is None else resumed_options(given, CalibrateOptions, finished=True)


def parse_parity(arguments: Sequence[str]) -> ParityOptions:
    """The options of `parity`, checked against each other."""
    return parity_options(_parsed("parity", add_parity_arguments, arguments))


def _parsed(
    command: str, add_arguments: Callable[[argparse.ArgumentParser], None], arguments: Sequence[str]
) -> argparse.Namespace:
    parser = Parser(prog=f"python -m bench {command}")
    add_arguments(parser)
    return parser.parse_args(arguments)
