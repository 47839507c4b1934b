"""The words of the command line, parsed one by one; what they mean together is said in bench/plan/options.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from bench.contract.case import DEVICES, INPUTS, NUMERICS, TASKS, TRACKS
from bench.contract.catalog import backend_names
from bench.contract.errors import UsageError
from bench.contract.parity import CLIMBS, LADDER_NUMERICS
from bench.contract.paths import ROOT
from bench.own_models.adopt import LOSSES
from bench.plan.options import PROFILES
from bench.plan.words import at_least, choice, dataset, interpreter, loss, percent, several, time_span, workloads


class Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and ends in UsageError."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, in one line."""
        raise UsageError(message)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    profiles = "; ".join(f"{name}: {profile.help}" for name, profile in PROFILES.items())
    parser.add_argument("--profile", default="default", type=choice(tuple(PROFILES), "profile"), help=profiles)
    _add_selection(parser)
    parser.add_argument("--launches", type=at_least(1), metavar="N", help="fresh processes per case, one seed each")
    parser.add_argument(
        "--within", type=percent, metavar="3%", help="as many launches as give every ratio within so much"
    )
    parser.add_argument("--budget", type=time_span, metavar="20m", help="but no longer than this (s, m or h)")
    parser.add_argument("--epochs", type=at_least(2), metavar="N", help="the first is cold, so at least two")
    parser.add_argument(
        "--samples", type=at_least(1), metavar="N", help="training samples: the first N of the data set"
    )
    parser.add_argument("--batch-size", type=several(at_least(1)), metavar="N,…", help="each makes cases of its own")
    tasks = several(choice(TASKS, "task"), TASKS)
    parser.add_argument("--tasks", type=tasks, metavar="NAME,…", help=f"{', '.join(TASKS)}, or `all`; default train")
    tracks = several(choice(TRACKS, "track"), TRACKS)
    parser.add_argument(
        "--tracks",
        type=tracks,
        metavar="NAME,…",
        help=f"{', '.join(TRACKS)}, or `all`; default fit, on a GPU shipped,fit",
    )
    numerics = several(choice(NUMERICS, "numerics"), NUMERICS)
    parser.add_argument(
        "--numerics",
        type=numerics,
        metavar="NAME,…",
        help=f"{', '.join(NUMERICS)}; default float32, on a GPU with tf32",
    )
    inputs = several(choice(tuple(INPUTS), "input"), tuple(INPUTS))
    parser.add_argument(
        "--inputs", type=inputs, metavar="NAME,…", help=f"of `fit`: {', '.join(INPUTS)}; default arrays"
    )
    parser.add_argument(
        "--to-target", action="store_true", help="hold out a tenth of the samples; how long to the target?"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with an interrupted run; no other option goes with it")
    parser.add_argument("--no-parity", action="store_true", help="do not check first that the backends agree")
    parser.add_argument("--dry-run", action="store_true", help="list the cases and the expected time; measure nothing")


def add_parity_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `parity`."""
    _add_selection(parser)
    parser.add_argument("--steps", type=at_least(1), default=300, metavar="N", help="of training; default 300")
    parser.add_argument("--seeds", type=at_least(1), default=1, metavar="N", help="how many; default 1")
    parser.add_argument(
        "--numerics",
        type=several(choice(LADDER_NUMERICS, "numerics"), LADDER_NUMERICS),
        metavar="NAME,…",
        help="what is judged against exact mode (float64); default float32",
    )

    climbed = several(choice(tuple(CLIMBS), "track with a ladder"))
    parser.add_argument("--tracks", type=climbed, metavar="NAME,…", help=f"default {', '.join(CLIMBS)}")


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `calibrate`."""
    _add_selection(parser)
    parser.add_argument("--launches", type=at_least(12), default=60, metavar="N", help="of each backend; default 60")
    parser.add_argument("--epochs", type=at_least(4), default=10, metavar="N", help="default 10")
    parser.add_argument("--samples", type=at_least(1), default=19_200, metavar="N", help="default 19200")
    parser.add_argument("--load", type=at_least(0), default=0, metavar="N", help="processes that keep a core busy")
    parser.add_argument("--resume", metavar="RUN", help="go on with it, or tell again what a finished one found")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that make a Selection, but for how many launches."""
    backend = choice(backend_names(), "backend")
    devices = several(choice(DEVICES, "device"))
    parser.add_argument("--workloads", type=workloads, metavar="NAME_OR_FILE,…", help="or `all`; a model's file too")
    parser.add_argument("--dataset", type=dataset, metavar="NAME_OR_FILE", help="of a model's file; a name or an .npz")
    parser.add_argument("--loss", type=loss, metavar="NAME", help=f"of a model's file: {', '.join(LOSSES)}")
    parser.add_argument("--unsafe", action="store_true", help="let code in a .keras file run; only if you trust it")
    parser.add_argument("--backends", type=several(backend), metavar="NAME,…")
    parser.add_argument("--devices", type=devices, metavar="cpu,gpu", help="default: all here")
    parser.add_argument(
        "--gpu", type=at_least(0), metavar="N", help="which one, as nvidia-smi counts; default the first"
    )
    parser.add_argument("--shared-gpu", action="store_true", help="measure on a GPU that somebody else uses too")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="the first; default 0")
    parser.add_argument("--reference", type=backend, metavar="NAME", help="default jax")
    parser.add_argument(
        "--python",
        type=interpreter,
        action="append",
        default=[],
        metavar="BACKEND=PATH",
        help="an environment of your own",
    )
    parser.add_argument(
        "--pass-env",
        type=several(str),
        default=(),
        metavar="NAME,…",
        help="credentials that workers may see; default none",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="default results/")
    add_amount(parser)


def add_runs_folder(parser: argparse.ArgumentParser) -> None:
    """The results folder, of a command that looks into it."""
    parser.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")


def add_amount(parser: argparse.ArgumentParser) -> None:
    """How much is printed."""
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quiet", action="store_true", help="print the verdicts alone; the run's log file has the rest"
    )
    amount.add_argument("--verbose", action="store_true", help="print every remark and what was measured on what")
