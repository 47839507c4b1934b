"""A run as steps over one value: each takes what is known of the run and gives what is known after it.

`prepare_run` takes the steps that only look and plan, `measure_run` those that leave something worth keeping.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import msgspec

from bench.contract.case import Case
from bench.contract.errors import RunError, UsageError
from bench.contract.machines import Machine
from bench.contract.run_json import Planned, RunDescription, read
from bench.contract.typed import MalformedError
from bench.launch.interruption import under_way
from bench.machine.nvidia import Gpu
from bench.places.fleet import Fleet
from bench.plan.options import RunOptions
from bench.plan.planned import Limits, PlannedCase
from bench.plan.selection import Selection
from bench.run.console import Progress, RunConsole
from bench.run.devices import limits_here, measured_gpus
from bench.run.folder import LOG, clear_partial, clock_warning, describe, new_run, remove, write_state
from bench.run.interpreters import variants_missing
from bench.run.launches import Measuring
from bench.run.prepare import Prepared, remarks

LATER: Any = None  # until the step that finds it


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run between two steps; no step changes it, each gives another.

    `now` is a clock in seconds, on which the run began at `began`; `spent` are the seconds before it was interrupted.
    `dry` plans and measures nothing; `continued` is the folder of a run that goes on.
    """

    options: Selection
    console: RunConsole
    now: Callable[[], float] = time.monotonic
    began: float
    spent: float = 0.0
    dry: bool = False
    continued: Path | None = None
    gpus: tuple[Gpu, ...] = ()
    folder: Path = LATER
    made_output: bool = False  # the results folder was made for this run
    prepared: Prepared = LATER
    limits: Limits = LATER
    description: RunDescription = LATER

    KEPT: ClassVar[str] = "measured"  # what is kept, in a word
    GOES_ON: ClassVar[bool] = True  # with --resume

    def describing(self, **changes: Any) -> Self:
        """The same run, of which run.json says these things besides."""
        return replace(self, description=msgspec.structs.replace(self.description, **changes))

    def write(self, state: str) -> None:
        """Write run.json; `state` is `running`, `finished` or `interrupted`."""
        write_state(self.folder, self.description.to_json(), state, wall_seconds=self.spent + self.now() - self.began)


AnyRun = TypeVar("AnyRun", bound=Run)
Step = Callable[[AnyRun], AnyRun]


def prepare_run(run: AnyRun, steps: Sequence[Step[AnyRun]]) -> AnyRun:
    """Take the steps before anything is measured; where one fails or is interrupted, nothing is left behind."""
    try:
        for step in steps:
            run = _shown(run, step)
    except BaseException:  # Ctrl-C too
        discard(run)
        raise
    return run


def measure_run(run: AnyRun, steps: Sequence[Step[AnyRun]]) -> AnyRun:
    """Take the steps that measure, run.json being written between them: however they end, it says how far they came.

    An interruption ends the run early. RunError where its folder cannot be written any more.
    """
    try:
        run.write("running")
        for step in steps:
            run = _shown(run, step)
            run.write("running")
        run.write("finished")
    except KeyboardInterrupt:
        run.write("interrupted")
        run.console.say(f"interrupted: what was {run.KEPT} is kept")
    except OSError as error:
        with contextlib.suppress(OSError):  # else its state stays `running`, and nothing runs it any more
            run.write("interrupted")
        mend = f"; mend it and go on with --resume {run.folder.name}" if run.GOES_ON else ""
        words = f"cannot be written any more ({error.strerror or error}); what was {run.KEPT} is kept{mend}"
        raise RunError(f"{run.folder}: {words}") from None
    except BaseException:
        run.write("interrupted")
        raise
    return run


def _shown(run: AnyRun, step: Step[AnyRun]) -> AnyRun:
    """Take a step and show meanwhile that it is under way, by its name."""
    name: str = getattr(getattr(step, "func", step), "__name__", "working")
    with run.console.showing(name.replace("_", " ")):
        return step(run)


def carry_out(
    run: AnyRun, preparing: Sequence[Step[AnyRun]], measuring: Callable[[AnyRun], Sequence[Step[AnyRun]]]
) -> Path:
    """Take the steps that prepare and those that follow, while no other run is under way; gives the folder."""
    with under_way(run.console.say):
        planned = prepare_run(run, preparing)
        return measure_run(planned, measuring(planned)).folder


def discard(run: Run) -> None:
    """Remove the folder of a run that has measured nothing, unless it was there before."""
    if run.folder is not None and run.continued is None:
        remove(run.folder, run.options.output if run.made_output else None)


def check_machine(run: AnyRun) -> AnyRun:
    """Find the GPU that is measured, if one is; UsageError where it is not there, or in use."""
    return replace(run, gpus=measured_gpus(run.options, shared=run.dry))


def make_folder(run: AnyRun) -> AnyRun:
    """Make the run's folder, for a dry run one that nobody sees."""
    if run.continued is not None:
        return replace(run, folder=run.continued)
    if run.dry:
        return replace(run, folder=Path(tempfile.mkdtemp()))
    made_output = not run.options.output.exists()
    return replace(run, folder=new_run(run.options.output), made_output=made_output)


def open_log(run: AnyRun) -> AnyRun:
    """Let what is said stand in the run's log too; what a killed run was writing is removed."""
    (run.folder / "logs").mkdir(exist_ok=True)
    run.console.log_to(run.folder / LOG)
    clear_partial(run.folder)
    warning = "" if run.dry or run.continued else clock_warning(run.folder)
    if warning:
        run.console.say(warning)
    return run


def find_limits(run: AnyRun) -> AnyRun:
    """Find what keeps cases and ladders from being run on this machine."""
    refused = {(backend, refusal.workload): refusal.error for backend, refusal in run.prepared.refusals.items()}
    limits = limits_here(run.gpus, run.prepared.pythons, refused)
    missing = variants_missing(run.options, run.prepared.variants, run.prepared.pythons_of)
    return replace(run, limits=replace(limits, without_variant=missing))


def tell_remarks(run: AnyRun) -> AnyRun:
    """Say what was decided for the user's own models, and of their data."""
    for remark in remarks(run.options, run.prepared, run.gpus):
        run.console.say(remark)
    return run


def described(run: Run, cases: Sequence[PlannedCase]) -> RunDescription:
    """What run.json says of a run that begins now; UsageError where a name in it can stand in no file."""
    plan = [planned.to_json() for planned in cases]
    content = describe(run.options, run.prepared, launches=run.options.launches, plan=plan, state="running")
    try:
        return read(content)
    except MalformedError as error:
        raise UsageError(f"this cannot be described in run.json: {error}") from None


def as_described(cases: Sequence[PlannedCase]) -> tuple[Planned, ...]:
    """A plan as it stands in run.json."""
    return tuple(Planned(**vars(planned)) for planned in cases)


@dataclass(frozen=True, kw_only=True)
class MeasuringRun(Run):
    """A run of launches: `cases` are what is planned, `known` the wall seconds that a launch of a case last took.

    `measuring` executes the launches, and `progress` shows them. `fleet` are the nodes of a cluster where launches
    happen there, and `nodes` what each of these is, by name.
    """

    options: RunOptions
    progress: Progress
    cases: Sequence[PlannedCase] = ()
    known: dict[Case, float] = field(default_factory=dict)
    measuring: Measuring = LATER
    fleet: Fleet | None = None
    nodes: dict[str, Machine] = field(default_factory=dict)

    @property
    def until(self) -> float | None:
        """When the budget ends, on the run's clock."""
        budget = self.options.budget_seconds
        return None if budget is None else self.began + budget - self.spent
