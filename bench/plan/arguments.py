"""The words of the command line, parsed one by one; what they mean together is said in bench/plan/options.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench.contract.case import DEVICES, NUMERICS, TASKS, TRACKS, input_kinds
from bench.contract.catalog import backend_names
from bench.contract.errors import UsageError
from bench.contract.parity import CLIMBS, LADDER_NUMERICS
from bench.contract.paths import ROOT
from bench.contract.record import DIFFERENCES
from bench.own_models.adopt import LOSSES
from bench.plan.options import PROFILES, REFERENCE
from bench.plan.words import at_least, choice, dataset, interpreter, loss, percent, several, time_span, workloads

FORMATS = ("markdown", "json")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options; UsageError says in one line what is wrong with them."""
    return _parser().parse_args(arguments)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m bench", description="Train one Keras 3 model on several backends and compare them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train, time and report", allow_abbrev=False)
    profiles = "; ".join(f"{name}: {profile.help}" for name, profile in PROFILES.items())
    run.add_argument("--profile", default="default", type=choice(tuple(PROFILES), "profile"), help=profiles)
    _add_selection(run)
    run.add_argument("--launches", type=at_least(1), metavar="N", help="fresh processes per case, one seed each")
    run.add_argument("--within", type=percent, metavar="3%", help="as many launches as give every ratio within so much")
    run.add_argument("--budget", type=time_span, metavar="20m", help="but no longer than this (s, m or h)")
    run.add_argument("--epochs", type=at_least(2), metavar="N", help="the first is cold, so at least two")
    run.add_argument("--samples", type=at_least(1), metavar="N", help="training samples: the first N of the data set")
    run.add_argument("--batch-size", type=several(at_least(1)), metavar="N,…", help="each makes cases of its own")
    tasks = several(choice(TASKS, "task"), TASKS)
    run.add_argument("--tasks", type=tasks, metavar="NAME,…", help=f"{', '.join(TASKS)}, or `all`; default train")
    tracks = several(choice(TRACKS, "track"), TRACKS)
    run.add_argument(
        "--tracks",
        type=tracks,
        metavar="NAME,…",
        help=f"{', '.join(TRACKS)}, or `all`; default fit, on a GPU shipped,fit",
    )
    numerics = several(choice(NUMERICS, "numerics"), NUMERICS)
    run.add_argument(
        "--numerics",
        type=numerics,
        metavar="NAME,…",
        help=f"{', '.join(NUMERICS)}; default float32, on a GPU with tf32",
    )
    kinds = tuple(input_kinds())
    inputs = several(choice(kinds, "input"), kinds)
    run.add_argument("--inputs", type=inputs, metavar="NAME,…", help=f"of `fit`: {', '.join(kinds)}; default arrays")
    run.add_argument(
        "--to-target", action="store_true", help="hold out a tenth of the samples; how long to the target?"
    )
    run.add_argument("--resume", metavar="RUN", help="go on with an interrupted run; no other option goes with it")
    run.add_argument("--no-parity", action="store_true", help="do not check first that the backends agree")
    run.add_argument("--dry-run", action="store_true", help="list the cases and the expected time; measure nothing")

    parity = commands.add_parser("parity", help="prove that the backends agree, or name where", allow_abbrev=False)
    _add_selection(parity)
    parity.add_argument("--steps", type=at_least(1), default=300, metavar="N", help="of training; default 300")
    parity.add_argument("--seeds", type=at_least(1), default=1, metavar="N", help="how many; default 1")
    parity.add_argument(
        "--numerics",
        type=several(choice(LADDER_NUMERICS, "numerics"), LADDER_NUMERICS),
        metavar="NAME,…",
        help="what is judged against exact mode (float64); default float32",
    )

    climbed = several(choice(tuple(CLIMBS), "track with a ladder"))
    parity.add_argument("--tracks", type=climbed, metavar="NAME,…", help=f"default {', '.join(CLIMBS)}")

    calibrate = commands.add_parser("calibrate", help="are the verdicts right, on this machine?", allow_abbrev=False)
    _add_selection(calibrate)
    calibrate.add_argument("--launches", type=at_least(12), default=60, metavar="N", help="of each backend; default 60")
    calibrate.add_argument("--epochs", type=at_least(4), default=10, metavar="N", help="default 10")
    calibrate.add_argument("--samples", type=at_least(1), default=19_200, metavar="N", help="default 19200")
    calibrate.add_argument("--load", type=at_least(0), default=0, metavar="N", help="processes that keep a core busy")
    calibrate.add_argument("--resume", metavar="RUN", help="go on with it, or tell again what a finished one found")

    report = commands.add_parser("report", help="rebuild a run's tables and report from its records")
    report.add_argument("run", metavar="RUN", help="a run's id or folder, or `latest`")
    _add_format(report)
    report.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="event files of every launch's epochs")
    report.add_argument(
        "--bundle", type=Path, metavar="FILE", help="a .zip of the run to share, without names of yours"
    )
    report.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")

    compare = commands.add_parser("compare", help="hold a run against an older one", allow_abbrev=False)
    compare.add_argument("older", metavar="RUN_A", help="a run's id or folder, or `latest`")
    compare.add_argument("newer", metavar="RUN_B", help="likewise; slower than RUN_A or another metric: exit status 1")
    _add_format(compare)
    compare.add_argument("--margin", type=percent, default=5.0, metavar="PERCENT", help="what counts; default 5")
    across = several(choice(DIFFERENCES, "difference"), DIFFERENCES)
    compare.add_argument("--across", type=across, metavar="NAME,…", help=f"what may differ: {', '.join(DIFFERENCES)}")
    compare.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")

    history = commands.add_parser("history", help="all runs in one page: trends, and where a case stepped")
    history.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")

    new = commands.add_parser("new", help="write a workload file that runs as it stands, to be changed")
    new.add_argument("name", metavar="NAME", help="writes NAME.py; a path will do")

    commands.add_parser("list", help="workloads, backends and data sets")
    doctor = commands.add_parser("doctor", help="does each backend's environment work, and what does it see?")
    doctor.add_argument("--python", type=interpreter, action="append", default=[], metavar="BACKEND=PATH")
    return parser


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
    parser.add_argument("--reference", type=backend, metavar="NAME", help=f"default {REFERENCE}")
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
    _add_amount(parser)


def _add_amount(parser: argparse.ArgumentParser) -> None:
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quiet", action="store_true", help="print the verdicts alone; the run's log file has the rest"
    )
    amount.add_argument("--verbose", action="store_true", help="print every remark and what was measured on what")


def _add_format(parser: argparse.ArgumentParser) -> None:
    _add_amount(parser)
    parser.add_argument("--format", type=choice(FORMATS, "format"), help="to standard output, in place of the tables")
