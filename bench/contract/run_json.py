"""run.json: what a run was asked for, of what, on what, and how far it is.

`read(content)` checks what a file holds, and says in one line where it is wrong. `msgspec.structs.replace(description,
state="finished")` gives a changed one, and `description.to_json()` is what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from bench.contract import case as of_case
from bench.contract.case import Case
from bench.contract.machines import Machine
from bench.contract.typed import (
    Amount,
    Line,
    MalformedError,
    Number,
    Positive,
    RunName,
    Seconds,
    Speed,
    Typed,
    Whole,
    Word,
    parse,
)
from bench.contract.values import is_number, printable, shown

State = Literal["running", "finished", "interrupted"]
DECIDED = "decided"  # until when cases are launched, where that is not a number
Ceilings = dict[str, dict[str, Speed]]  # device and backend to floating-point operations per second


class Planned(Typed, frozen=True, kw_only=True):
    """A case of the plan; `skip` says why it is not run, `launches` is how often it is, by default as the run says."""

    case: Case
    skip: str | None
    target_attempted: bool
    expected_seconds: Number | None = None
    launches: Whole | UnsetType = UNSET


class Target(Typed, frozen=True, kw_only=True):
    """The metric that a training of the workload is to reach, and by what margin two backends may differ in it."""

    metric: str
    value: Number | None
    source: str
    margin: int | float  # NaN where labels are no numbers
    chance: Number | None = None
    quick: Number | None = None  # what the smoke test reaches
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        """Refuse a margin that is none."""
        if not is_number(self.margin, 0) and self.margin == self.margin:
            raise MalformedError(f"margin cannot be {shown(self.margin)}, expected a number from 0 on")

    def is_reached(self, value: float) -> bool:
        """Whether so much of the metric is enough; nothing is where no value is declared."""
        if self.value is None:
            return False
        return value <= self.value if self.lower_is_better else value >= self.value


class Workload(Typed, frozen=True, kw_only=True):
    """What the prepare program says of a workload. What only a built model shows is None where none was built."""

    workload: Line
    dataset: str = ""
    train_samples: Whole = 0
    test_samples: Positive
    batch_size: Positive
    epochs: Whole = 0
    quick_samples: Whole
    cpu_samples: Whole | None = None
    target: Target
    drawn: bool = False
    own_seed: bool = False  # a script that sets its random seed itself, so that all its launches draw alike
    memory_mib: Amount = 0
    parameters: Whole | None = None
    step_seconds: Number | None = None
    step_flops: Amount | None = None
    uncounted: tuple[str, ...] = ()
    without_loop: str | None = None
    without_native: str | None = None
    without_native_ladder: str | None = None
    without_devices: str | None = None  # why it is not trained on several
    context: Whole | None = None  # tokens that a decoder takes at a time
    without_generate: str | None = None  # why it is no decoder
    without_own_generate: str | None = None
    weights: dict[str, str] = field(default_factory=dict)  # seed to digest
    notes: tuple[str, ...] = ()


class Adopted(Typed, frozen=True, kw_only=True):
    """A model of the user's own: where the file written for it lies, and what was decided for it, in words."""

    path: str
    said: str


class LadderOutcome(Typed, frozen=True, kw_only=True):
    """A ladder of parity and how its process ended."""

    backend: str
    device: str
    numerics: str
    skip: str | None
    climbs: tuple[str, ...] = ("fit-own",)
    variant: str = ""
    device_count: Positive = 1
    nudged: bool = False  # climbed from weights a rounding beside too
    status: str
    reason: str
    wall_seconds: Seconds
    remark: str = ""


class ParityRun(Typed, frozen=True, kw_only=True):
    """The ladders that a run climbed."""

    steps: Positive
    seeds: tuple[Whole, ...]
    test_samples: Whole | None = None
    ladders: tuple[LadderOutcome, ...]


class Ordered(Typed, frozen=True, kw_only=True):
    """The precision that was ordered, what the launches are to reach of it, each a fraction, and that in words."""

    within: Number | None = None
    reached: float | None = None  # infinite where nothing can be reached
    words: str


class RunDescription(Typed, frozen=True, kw_only=True, omit_defaults=True):
    """run.json. What has its default is not written: None, and empty mappings.

    `options` are the command's own, as plan.resumed reads them; `workloads` has those of the plan, each once. `nodes`
    are the machines of a cluster that launches ran on, by name; empty where the run was local.
    """

    schema: Whole
    id: RunName
    started: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    reference: Word
    prepared_by: str | None = None
    workloads: tuple[Workload, ...]
    machine: Machine
    nodes: dict[Line, Machine] = field(default_factory=dict)
    code: str | None = None
    versions: dict[str, dict[str, str]] = field(default_factory=dict)  # backend to package to version
    launches: Whole
    plan: tuple[Planned, ...]
    parity: ParityRun | None = None
    ceilings: Ceilings | None = None
    tuning_seconds: Seconds | None = None
    explain_seconds: Seconds | None = None
    ordered: Ordered | None = None
    state: State
    wall_seconds: Seconds | None = None

    def __post_init__(self) -> None:
        """Refuse what each value allows and all of them together do not."""
        if self.started is not None and not _is_moment(self.started):
            raise MalformedError(f"started cannot be {shown(self.started)}, expected a time with its zone")
        if not isinstance(self.options.get("adopted", []), list | tuple):
            raise MalformedError(f"options.adopted cannot be {shown(self.options['adopted'])}, expected a list")
        names = [one.workload for one in self.workloads]
        if len(set(names)) < len(names):
            raise MalformedError("it describes a workload twice")
        cases = [planned.case for planned in self.plan]
        if len(set(cases)) < len(cases):
            raise MalformedError("its plan has a case twice")
        unknown = [case.workload for case in cases if case.workload not in names]
        if unknown:
            raise MalformedError(f"it does not describe {unknown[0]}, which is in its plan")
        _ = self.adopted  # refuses what is none
        if self.fail_slower is not None and not is_number(self.fail_slower, 0):
            raise MalformedError(
                f"options.fail_slower cannot be {shown(self.fail_slower)}, expected a number from 0 on"
            )

    @property
    def until_decided(self) -> bool:
        """Whether verdicts are looked at after each repetition, and cases stop when theirs are sure."""
        return self.options.get("until") == DECIDED

    @property
    def fail_slower(self) -> float | None:
        """By what fraction a variant may be slower than the first one; None where nobody said."""
        found: float | None = self.options.get("fail_slower")
        return found

    @property
    def adopted(self) -> tuple[Adopted, ...]:
        """The models of the user's own that the options name."""
        try:
            return parse(tuple[Adopted, ...], self.options.get("adopted", []))
        except MalformedError as error:
            raise MalformedError(f"options.adopted{error}") from None

    def workload(self, name: str) -> Workload:
        """What is known of a workload that is in the plan."""
        return next(one for one in self.workloads if one.workload == name)

    def by_workload(self) -> dict[str, Workload]:
        """What is known of every workload, by its name."""
        return {one.workload: one for one in self.workloads}

    def launches_of(self, planned: Planned) -> int:
        """How many launches a case of the plan is to have."""
        return self.launches if isinstance(planned.launches, UnsetType) else planned.launches


def read(content: Mapping[str, Any]) -> RunDescription:
    """What a run.json says; MalformedError where an analysis could not use it."""
    plan = content.get("plan")
    for item in plan if isinstance(plan, list) else ():
        wrong = of_case.fault(item["case"]) if isinstance(item, dict) and "case" in item else None
        if wrong:
            raise MalformedError(f"its plan: {wrong}")
    return parse(RunDescription, content)


def cleaned(value: Any) -> Any:
    """A JSON value whose texts can stand in a line of any file; RecursionError where it is too deep."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {printable(name): cleaned(one) for name, one in value.items()}
    return value


def _is_moment(value: str) -> bool:
    """Whether a text is a time with its zone, as every run says it."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
