"""The words of the command line, to the options of the same names; their defaults are in bench/plan/options.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from bench.contract.case import NUMERICS, TASKS, TRACKS, input_kinds
from bench.contract.catalog import workload_names
from bench.contract.errors import UsageError
from bench.contract.parity import CLIMBS, LADDER_NUMERICS
from bench.contract.paths import ROOT
from bench.own_models.adopt import LOSSES
from bench.plan.profiles import PROFILES
from bench.plan.selection import REFERENCE
from bench.plan.words import interpreter, several, share, time_span, whole


class Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and ends in UsageError."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, in one line."""
        raise UsageError(message)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    _add_selection(parser)
    add = parser.add_argument
    add("--against", metavar="NAME_OR_FILE", help="of --workloads the one that the others are compared with")
    varied = "compare in turns: keras=3.14.1,3.15.1, workload=old.py,new.py, env:NAME=A,B, processes=one,each"
    add("--vary", metavar="WHAT=A,B", help=varied)
    _add_script(parser)
    add("--profile", metavar="NAME", help="; ".join(f"{name}: {profile.help}" for name, profile in PROFILES.items()))
    add("--launches", type=whole, metavar="N", help="fresh processes per case, one seed each")
    add("--within", type=share, metavar="3%", help="as many launches as give every ratio within so much")
    add("--budget", type=time_span, metavar="20m", dest="budget_seconds", help="but no longer than this (s, m or h)")
    add("--until", metavar="decided", help="stop each case when its verdicts are sure, at --launches at the latest")
    add("--fail-slower", type=share, metavar="10%", help="exit status 1 where a variant is slower by more, for sure")
    add("--epochs", type=whole, metavar="N", help="the first is cold, so at least two")
    add("--samples", type=whole, metavar="N", help="training samples: the first N of the data set")
    sizes = several(whole)
    add("--batch-size", type=sizes, metavar="N,…", dest="batch_sizes", help="each makes cases of its own")
    tasks = several(str, TASKS)
    add("--tasks", type=tasks, metavar="NAME,…", help=f"{', '.join(TASKS)}, or `all`; default train")
    tracks, usual = several(str, TRACKS), "default fit, on a GPU shipped,fit"
    add("--tracks", type=tracks, metavar="NAME,…", help=f"{', '.join(TRACKS)}, or `all`; {usual}")
    numerics, usual = several(str, NUMERICS), "default float32, on a GPU with tf32"
    add("--numerics", type=numerics, metavar="NAME,…", help=f"{', '.join(NUMERICS)}; {usual}")
    inputs = several(str, tuple(input_kinds()))
    add("--inputs", type=inputs, metavar="NAME,…", help=f"of `fit`: {', '.join(input_kinds())}; default arrays")
    add("--device-count", type=sizes, metavar="N,…", dest="device_counts", help="each batch shared by so many devices")
    add("--scaling", metavar="strong|weak", help="of several devices: the same batch for all, or N times as large")
    add("--to-target", action="store_true", help="hold out a tenth of the samples; how long to the target?")
    add("--explain", action="store_true", help="say why a backend is slower too, from processes after the launches")
    add("--places", metavar="WHERE", help="local (default), ray:ADDRESS, or srun inside a Slurm job: on many nodes")
    alone = "of --places: what a launch has alone, a node (default), or a GPU with an equal part of its node's CPUs"
    add("--per", metavar="node|gpu", help=alone)
    add("--pool-unlike", action="store_true", help="of nodes that differ (CPU, GPU, driver) measure on all")
    add("--resume", metavar="RUN", help="go on with an interrupted run; no other option goes with it")
    add("--no-parity", action="store_false", dest="parity", help="do not check first that the backends agree")
    add("--dry-run", action="store_true", help="list the cases and the expected time; measure nothing")


def add_parity_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `parity`."""
    _add_selection(parser)
    add = parser.add_argument
    add("--steps", type=whole, metavar="N", help="of training; default 300")
    add("--seeds", type=whole, metavar="N", dest="launches", help="how many; default 1")
    numerics = several(str, LADDER_NUMERICS)
    judged = "what is judged against exact mode (float64); default float32"
    add("--numerics", type=numerics, metavar="NAME,…", help=judged)
    add("--tracks", type=several(str, tuple(CLIMBS)), metavar="NAME,…", help=f"default {', '.join(CLIMBS)}")
    counts = "do several devices compute what one does?"
    add("--device-count", type=several(whole), metavar="N,…", dest="device_counts", help=counts)


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`."""
    _add_selection(parser)
    _add_script(parser)
    parser.add_argument("--launches", type=whole, metavar="N", help="of each backend; default 3")


def add_bisect_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `bisect`."""
    _add_selection(parser)
    add = parser.add_argument
    add("--package", metavar="NAME", help="default keras")
    add("--good", metavar="VERSION", help="one that is not slower; all others are held against it")
    add("--bad", metavar="VERSION", help="a newer one that is")
    add("--fail-slower", type=share, metavar="5%", help="how much slower is slower; default 5%%")
    add("--launches", type=whole, metavar="N", help="of each case and step at most, until it is sure; default 12")
    add("--profile", metavar="NAME", help="how much a step measures; default quick")
    add("--epochs", type=whole, metavar="N")
    add("--samples", type=whole, metavar="N")
    add("--batch-size", type=several(whole), metavar="N,…", dest="batch_sizes")
    add("--no-parity", action="store_false", dest="parity", help="look at times alone")


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `calibrate`."""
    _add_selection(parser)
    add = parser.add_argument
    add("--launches", type=whole, metavar="N", help="of each backend; default 60")
    add("--epochs", type=whole, metavar="N", help="default 10")
    add("--samples", type=whole, metavar="N", help="default 19200")
    add("--load", type=whole, metavar="N", help="processes that keep a core busy")
    add("--resume", metavar="RUN", help="go on with it, or tell again what a finished one found")


def _add_script(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--script", metavar="FILE", help="a training script as it is, .py or .ipynb, with its arguments: 'FILE --lr 1'")
    add("--fit", type=whole, metavar="N", help="which fit of the script is timed; default its first")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that make a Selection, but for how many launches; what is not said will not be there."""
    parser.argument_default = argparse.SUPPRESS
    add, words = parser.add_argument, several(str)
    every = several(str, workload_names())
    add("--workloads", type=every, metavar="NAME_OR_FILE,…", help="or `all`; a model's file too")
    add("--dataset", metavar="NAME_OR_FILE", help="of a model's file; a name, file or folder")
    add("--loss", metavar="NAME", help=f"of a model's file: {', '.join(LOSSES)}")
    add("--unsafe", action="store_true", help="let code in a .keras file run; only if you trust it")
    add("--backends", type=words, metavar="NAME,…")
    add("--devices", type=words, metavar="cpu,gpu", help="default: all here")
    add("--gpu", type=whole, metavar="N", help="which one, as nvidia-smi counts; default the first")
    add("--shared-gpu", action="store_true", help="measure on a GPU that somebody else uses too")
    add("--seed", type=whole, metavar="N", help="the first; default 0")
    add("--reference", metavar="NAME", help=f"default {REFERENCE}")
    add("--python", type=interpreter, action="append", metavar="BACKEND=PATH", help="an environment of your own")
    besides = "packages for the backends' environments, such as keras-hub"
    add("--with", type=words, metavar="PACKAGE,…", dest="packages", help=besides)
    passed = several(str, ("all",))  # a name like others
    add("--pass-env", type=passed, metavar="NAME,…", help="credentials that workers may see; default none")
    add("--output", type=Path, metavar="FOLDER", help="default results/")
    add_amount(parser)


def add_runs_folder(parser: argparse.ArgumentParser) -> None:
    """The results folder, of a command that looks into it."""
    parser.add_argument("--output", type=Path, default=ROOT / "results", metavar="FOLDER", help="where the runs are")


def add_amount(parser: argparse.ArgumentParser) -> None:
    """How much is printed; `quiet` and `verbose` are there whether they were said or not."""
    amount = parser.add_mutually_exclusive_group()
    quiet, verbose = (
        "print the verdicts alone; the run's log file has the rest",
        "print every remark and what was measured on what",
    )
    amount.add_argument("--quiet", action="store_true", default=False, help=quiet)
    amount.add_argument("--verbose", action="store_true", default=False, help=verbose)
