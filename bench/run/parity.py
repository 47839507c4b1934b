"""Parity: each backend climbs the ladder in a process of its own; what comes after reads only the recordings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from bench.contract.run_json import ParityRun
from bench.plan.cases import devices_of
from bench.plan.options import ParityOptions
from bench.plan.parity import Ladder, plan_ladders
from bench.run.console import RunConsole
from bench.run.ladders import Amount, climb, climbing
from bench.run.prepare import prepare
from bench.run.workflow import (
    Run,
    Step,
    carry_out,
    check_machine,
    described,
    find_limits,
    make_folder,
    open_log,
    tell_remarks,
)


@dataclass(frozen=True, kw_only=True)
class ClimbingRun(Run):
    """A run of ladders."""

    options: ParityOptions
    ladders: Sequence[Ladder] = ()

    KEPT: ClassVar[str] = "recorded"
    GOES_ON: ClassVar[bool] = False

    @property
    def amount(self) -> Amount:
        """How far each ladder is climbed: on the whole test set."""
        return Amount(self.options.seeds, self.options.steps, None)


def parity(options: ParityOptions, console: RunConsole) -> Path:
    """Climb every ladder that the options ask for and return the run's folder.

    Raises UsageError for what the user can mend, RunError where no backend works or the run's folder cannot be written
    any more. Ctrl-C ends it early; the recordings made until then are kept.
    """
    begun = ClimbingRun(options=options, console=console, began=time.monotonic())
    return carry_out(begun, PREPARING, lambda run: [partial(climb_ladder, ladder=ladder) for ladder in run.ladders])


def prepare_workloads(run: ClimbingRun) -> ClimbingRun:
    """Describe the workloads and draw the weights; nothing is climbed that needs a device of some size."""
    return replace(run, prepared=prepare(run.options, run.folder, memory_mib=0))


def plan_climbs(run: ClimbingRun) -> ClimbingRun:
    """Find the ladders that the options ask for."""
    devices = dict.fromkeys(devices_of(run.options, run.gpus), run.options.numerics)
    return replace(run, ladders=plan_ladders(run.options, run.options.tracks, devices, run.limits))


def describe_run(run: ClimbingRun) -> ClimbingRun:
    """Find what run.json says, of which the ladders are still to come."""
    parity = ParityRun(**run.amount._asdict(), ladders=())
    return replace(run, description=msgspec.structs.replace(described(run, []), parity=parity))


def leave_out(run: ClimbingRun) -> ClimbingRun:
    """Say which workloads are not climbed; where none is, no ladder is."""
    return run if climbing(run.prepared, run.console) else replace(run, ladders=())


def climb_ladder(run: ClimbingRun, ladder: Ladder) -> ClimbingRun:
    """Climb one ladder."""
    climbed = climb(run.prepared, ladder, run.amount, run.console)
    parity = run.description.parity
    assert parity is not None  # for the types: describe_run made it
    return run.describing(parity=msgspec.structs.replace(parity, ladders=(*parity.ladders, climbed)))


PREPARING: Sequence[Step[ClimbingRun]] = (  # then one step a ladder, and run.json is written after each
    check_machine,
    make_folder,
    open_log,
    prepare_workloads,
    find_limits,
    plan_climbs,
    describe_run,
    tell_remarks,
    leave_out,
)
