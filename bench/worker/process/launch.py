"""One launch in its process: set up before Keras is imported, measured, and written down at the end.

The process holds Keras, its backend and our clock; who writes the record is another one.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract.case import CASE_COLUMNS, CASE_DEFAULTS, CASE_OPTIONS, Case, guest_of
from bench.contract.files import write
from bench.contract.messages import Messenger
from bench.contract.record import SCHEMA
from bench.worker import backends
from bench.worker.errors import StartError
from bench.worker.process import environment


@dataclass
class Launch:
    """What one launch was asked for, and the `launch` object it fills."""

    case: Case
    seed: int
    weights: Path | None
    knobs: dict[str, Any]
    validation_split: float
    backend: backends.Backend
    messenger: Messenger
    record: dict[str, Any] = field(default_factory=dict)
    team: backends.Team | None = None  # of a case on several devices


class Rounds(NamedTuple):
    """What pytest-benchmark is told of a launch: the seconds of each round, and what its table says besides."""

    group: str
    name: str
    seconds: list[float]
    extra_info: dict[str, float]


def options(description: str | None) -> argparse.ArgumentParser:
    """The options of every program that is given a case: a case column is an option of the same name."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    for option, kind in CASE_OPTIONS.items():
        default = CASE_DEFAULTS.get(option)
        parser.add_argument(option, type=kind, required=default is None, default=default)
    parser.add_argument("--seed", type=int, required=True, help="of the batches' order and of random layers")
    parser.add_argument("--weights", type=Path, help="initial weights; default: drawn here")
    parser.add_argument("--output", type=Path, required=True)
    return parser


def run(measure: Callable[[Launch], Rounds], description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Measure the case on the command line and write `launch` and `rounds`; a failure is told in one line."""
    started = time.perf_counter()
    parser = options(description)
    parser.add_argument("--knobs", type=json.loads, default={}, help="of its track, as JSON; default: the track's own")
    help_split = "of the training samples, where the workload holds out none itself; default: nothing"
    parser.add_argument("--validation-split", type=float, default=0.0, help=help_split)
    given = vars(parser.parse_args(arguments))
    output = given.pop("output")
    case = Case(**{name: given.pop(name) for name in CASE_COLUMNS})
    messenger = Messenger()
    try:
        launch = _begin(case, given, messenger)
    except Exception as error:
        messenger.send("failed", reason=_told(case, f"cannot import its backend: {_in_one_line(error)}"))
        raise
    try:
        rounds = measure(launch)
    except Exception as error:
        reason = str(error) if isinstance(error, StartError) else _in_one_line(error)
        messenger.send("failed", reason=_told(case, reason))
        raise
    if launch.team and launch.team.rank:
        return  # the first process leaves the record
    launch.record["phases"]["process"] = time.perf_counter() - started
    write(output, {"schema": SCHEMA, "launch": _written(launch), "rounds": rounds._asdict()})
    gc.freeze()  # spare the exit: Python's collector would walk every object of the framework, up to 0.8 s a launch


def _begin(case: Case, given: dict[str, Any], messenger: Messenger) -> Launch:
    """Prepare the process, then import Keras."""
    began = time.perf_counter()
    numerics = None if case.track == "shipped" else case.numerics
    backend = environment.prepare(case.backend, case.device, numerics, case.device_count)
    import keras  # noqa: F401 - so that its time is told apart from the measurement's

    guest = guest_of(case.input, case.backend)
    if guest:
        backends.inputs(guest).as_guest()
    launch = Launch(case, backend=backend, messenger=messenger, **given)
    if case.device_count > 1:
        several = backends.devices(case.backend)
        several.watch(lambda reason: messenger.send("failed", reason=reason))
        launch.team = several.team(case.device, case.device_count)
    launch.record["phases"] = {"import": time.perf_counter() - began}
    return launch


def _written(launch: Launch) -> dict[str, Any]:
    """The `launch` object."""
    return {
        "schema": SCHEMA,
        "case": vars(launch.case),
        "seed": launch.seed,
        "status": "ok",
        "reason": "",
        "knobs": launch.knobs,
        **launch.record,
        "versions": environment.versions(launch.case.backend, guest_of(launch.case.input, launch.case.backend)),
    }


def _told(case: Case, reason: str) -> str:
    """The reason to tell: where several processes train together, that of the one which failed first."""
    return backends.devices(case.backend).failed(reason) if case.device_count > 1 else reason


def _in_one_line(error: Exception) -> str:
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
