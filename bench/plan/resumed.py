"""The options of a run that goes on."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from bench.contract.case import DEVICES, INPUTS, NUMERICS, TASKS, TRACKS
from bench.contract.catalog import backend_names
from bench.contract.errors import UsageError
from bench.contract.results import resumable
from bench.contract.values import is_number, is_text, is_whole
from bench.own_models.adopt import GeneratedWorkload, place
from bench.plan.arguments import Parser, add_calibrate_arguments, add_run_arguments
from bench.plan.options import CalibrateOptions, RunOptions

Resumed = TypeVar("Resumed", bound=RunOptions)


def resumed_options(given: argparse.Namespace, kind: type[Resumed], finished: bool = False) -> Resumed:
    """The options that an interrupted run was started with; UsageError where others are given besides."""
    parser = Parser()
    (add_calibrate_arguments if kind is CalibrateOptions else add_run_arguments)(parser)
    others = [
        name
        for name, value in vars(parser.parse_args([])).items()
        if value != getattr(given, name) and name not in ("resume", "output", "quiet", "verbose")
    ]
    if others:
        option = f"--{others[0].replace('_', '-')}"
        raise UsageError(f"{option}: a run goes on with the options it was started with; give --resume alone")
    folder, stored = resumable(given.resume, given.output, finished)
    if "steps" in stored or ("load" in stored) is not (kind is CalibrateOptions):
        raise UsageError(f"--resume {given.resume}: another command began it; go on with that one")
    try:
        adopted = tuple(GeneratedWorkload(**one) for one in stored["adopted"])
        for one in adopted:
            if Path(one.path).resolve() != Path(place(folder.parent, one.source, one.text)).resolve():
                raise UsageError(
                    f"--resume {given.resume}: it wrote {one.path}, which is not beside it; move the results folder "
                    "back, or start anew"
                )
        resumed = kind(
            **{
                **{field.name: stored[field.name] for field in fields(kind) if field.name != "resume"},
                **{name: tuple(stored[name]) for name in ("workloads", "backends", "pass_env", "tasks", "inputs")},
                **{
                    name: stored[name] and tuple(stored[name])
                    for name in ("devices", "batch_sizes", "tracks", "numerics")
                },
                "python": {backend: Path(path) for backend, path in stored["python"].items()},
                "output": folder.parent,
                "adopted": adopted,
                "resume": folder,
            }
        )
        _check_stored(resumed)
        return resumed
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(
            f"--resume {given.resume}: another version began it, or run.json is damaged; start anew"
        ) from None


def _check_stored(options: RunOptions) -> None:
    """Raise ValueError where what run.json says the options were is nothing that they can have been."""
    words = (*options.workloads, *options.backends, *options.pass_env, options.profile, options.reference)
    chosen: list[tuple[Sequence[str], Collection[str]]] = [(options.inputs, INPUTS), (options.tasks, TASKS)]
    chosen += [(options.tracks or (), TRACKS), (options.numerics or (), NUMERICS), (options.devices or (), DEVICES)]
    chosen += [(options.backends, backend_names())]
    numbers = [
        is_whole(options.launches, 1),
        is_whole(options.seed),
        *(is_whole(size, 1) for size in options.batch_sizes or ()),
        *(value is None or is_whole(value) for value in (options.epochs, options.samples, options.gpu)),
        *(value is None or is_number(value, 0.0) for value in (options.within, options.budget_seconds)),
    ]
    known = [word in every for given, every in chosen for word in given]
    if not (all(map(is_text, words)) and all(numbers) and all(known)):
        raise ValueError("not options")
