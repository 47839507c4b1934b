"""A launch record as types that check it: every field that tables and reports read is looked at.

What an ok launch measured depends on its task; any other measured nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from msgspec import Meta, field

from bench.contract import case as of_case
from bench.contract.case import Case
from bench.contract.disturbance import disturbed, launch_disturbed
from bench.contract.files import RecordError, load
from bench.contract.record import READABLE, STATUSES
from bench.contract.typed import Line, MalformedError, Number, Positive, Seconds, Took, Typed, Whole, parse
from bench.contract.values import LEAST_SECONDS, MOST_SECONDS, is_number, is_text, printable, shown

Numbers = dict[str, Number | None]  # by name; None is what could not be read
Span = Numbers  # an epoch, or the series of calls: its seconds, and what the gauges say of it
Plain = str | bool | Number | None
Setting = Plain | list[Plain]


class Launch(Typed, frozen=True, kw_only=True):
    """What every launch says, however it ended; `reason` is in words where it is not ok.

    `node` is the machine of a cluster that it ran on, by name; empty where the run was local. `gpu` is the number of
    the GPU that it had there while others ran on that node's other GPUs; None where it had the machine to itself.
    """

    schema: int
    case: Case
    repetition: Whole
    attempt: Positive = 1
    seed: Whole
    status: str
    reason: str
    wall_seconds: Seconds | None = None
    command: tuple[Line, ...] | None = None
    node: Line = ""
    gpu: Whole | None = None

    @property
    def place(self) -> str:
        """Where it ran, as `place_name` has it."""
        return place_name(self.node, self.gpu)

    @property
    def disturbed(self) -> str:
        """Why the launch counts as disturbed, in words; empty where it does not."""
        return ""


class Measured(Launch, frozen=True, kw_only=True):
    """What every ok launch says, whatever its task. `resolved` is what was in force, as it was read back."""

    setup_seconds: Seconds
    memory: Numbers
    phases: Numbers
    resolved: dict[Line, Setting | dict[Line, Setting]]
    versions: dict[Line, Line]
    parameters: Whole | None = None
    samples_per_epoch: Whole | None = None
    weights_digest: Line | None = None
    batches_digest: Line | None = None
    knobs: dict[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> dict[str, Setting]:
        """What a backend's own settings were."""
        flags = self.resolved.get("flags")
        return flags if isinstance(flags, dict) else {}

    def __post_init__(self) -> None:
        """Refuse settings that are none, and a launch that ran elsewhere than its case says."""
        for name, value in self.resolved.items():
            if isinstance(value, dict) is not (name == "flags"):
                expected = "an object" if name == "flags" else "text, a number or a list of them"
                raise MalformedError(f"resolved.{name} cannot be {shown(value)}, expected {expected}")
        for name, value in (*self.resolved.items(), *self.flags.items()):
            if not all(is_text(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)):
                raise MalformedError(
                    f"resolved: {name} cannot be {shown(value)}, expected text that can stand in a line"
                )
        lived = self.resolved.get("device")
        if lived not in (None, "", self.case.device):  # it does not say, or has no variables that could live elsewhere
            where = lived if isinstance(lived, str) and len(lived) < 40 else shown(lived)
            raise MalformedError(f"asked for on the {self.case.device}, its variables lived on the {where}")


class Scores(Typed, frozen=True, kw_only=True):
    """What the trained model reaches on the test set."""

    metric: Number
    loss: Number


class Trained(Measured, frozen=True, kw_only=True):
    """An ok launch of task train."""

    epochs: tuple[Span, ...]
    test: Scores
    stopped_early: bool | None = None

    def __post_init__(self) -> None:
        """Refuse epochs that are not those of the case."""
        super().__post_init__()
        if len(self.epochs) < 2:
            raise MalformedError("an ok launch needs at least two epochs")
        stopped_early = self.stopped_early is True and len(self.epochs) < self.case.epochs
        if len(self.epochs) != self.case.epochs and not stopped_early:
            raise MalformedError(f"{len(self.epochs)} epochs, but its case says {self.case.epochs}")
        _check_spans("every epoch", self.epochs)

    @property
    def seconds(self) -> list[float]:
        """Of each epoch, the cold one first."""
        return [_seconds(epoch) for epoch in self.epochs]

    @property
    def disturbed(self) -> str:
        """Why the launch counts as disturbed, in words; empty where it does not."""
        return launch_disturbed(self.epochs)


class Calls(Typed, frozen=True, kw_only=True):
    """The first call, those of the series, and what the gauges say of the series."""

    first_seconds: Took
    seconds: tuple[Took, ...]
    series: Span


class Called(Measured, frozen=True, kw_only=True):
    """An ok launch of task predict; `outputs` are those of the first batch."""

    calls: Calls
    outputs: Annotated[tuple[Number, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse calls that are not those of the case."""
        super().__post_init__()
        self._check_number(self.case.samples // self.case.batch_size)
        _check_spans("the series of calls", [self.calls.series])

    def _check_number(self, expected: int) -> None:
        if len(self.calls.seconds) != expected or not expected:
            raise MalformedError(f"{len(self.calls.seconds)} calls, but its case says {expected}")

    @property
    def series_seconds(self) -> float:
        """Of the whole series of calls."""
        return _seconds(self.calls.series)

    @property
    def disturbed(self) -> str:
        """Why the launch counts as disturbed, in words; empty where it does not."""
        return disturbed(self.calls.series)


class Generated(Called, frozen=True, kw_only=True):
    """An ok launch of task generate: `calls` are seconds of a token, the first that of the first, cold generation.

    `first_token_seconds` are those from a prompt to its first token, of each generation; a token of each sequence of
    the batch is generated at once. Track `own` tells of each generation what its tokens took on average.
    """

    prompt_tokens: Positive
    tokens: Positive
    first_token_seconds: Annotated[tuple[Took, ...], Meta(min_length=1)]

    def _check_number(self, expected: int) -> None:
        generations = len(self.first_token_seconds)
        if generations * self.tokens != expected:
            said = f"{generations} generations of {self.tokens} tokens"
            raise MalformedError(f"{said}, but its case says {expected} tokens")
        timed = generations if self.case.track == "own" else expected - generations
        if len(self.calls.seconds) != timed or not timed:
            raise MalformedError(f"{len(self.calls.seconds)} times of a token, where {timed} belong")


def place_name(node: str, gpu: int | None) -> str:
    """A place's name: its node's, and the GPU's where launches run on several of a node at once."""
    return node if gpu is None else f"{node}/gpu{gpu}"


KINDS: dict[str, type[Measured]] = {"train": Trained, "predict": Called, "generate": Generated}  # by task


def read(path: Path) -> Launch:
    """The launch that a file records; RecordError when it is unreadable, truncated, of another schema or damaged."""
    return check(load(path), printable(path.name))


def check(content: Mapping[str, Any], name: str) -> Launch:
    """The launch in a record's content; RecordError, which begins with `name`, where it is none of this schema."""
    try:
        return _launch(content.get("launch"))
    except MalformedError as error:
        raise RecordError(f"{name}: {error}") from None


def _launch(launch: object) -> Launch:
    if not isinstance(launch, dict):
        raise MalformedError("no launch object")
    if type(launch.get("schema")) is not int or launch["schema"] not in READABLE:
        known = ", ".join(map(str, READABLE))
        raise MalformedError(f"schema {shown(launch.get('schema'))}, this version reads {known}")
    wrong = of_case.fault(launch.get("case"))
    if wrong:
        raise MalformedError(wrong)
    if launch.get("status") not in STATUSES:
        raise MalformedError(f"status {shown(launch.get('status'))}, expected one of {', '.join(STATUSES)}")
    if launch["status"] != "ok":
        return parse(Launch, launch)
    return parse(KINDS[launch["case"]["task"]], launch)


def _check_spans(what: str, spans: Sequence[Span]) -> None:
    for span in spans:
        if not is_number(span.get("seconds"), LEAST_SECONDS, MOST_SECONDS):
            bounds = f"{LEAST_SECONDS} to {MOST_SECONDS:g}"
            raise MalformedError(f"{what} needs a positive, finite number of seconds, {bounds}")
        if (span.get("validation_seconds") or 0) < 0:
            raise MalformedError("validation_seconds must not be negative")


def _seconds(span: Span) -> float:
    """Which every span has, see `_check_spans`."""
    return cast(float, span["seconds"])
