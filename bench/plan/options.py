"""The options of a run, made from the command line or from Python alike, with their defaults and checks.

`RunOptions(workloads=("mlp",), launches=3)` is what `run --workloads mlp --launches 3` means. What cannot be ends in
UsageError, one line that names the option as the command line spells it. Nothing is built or written yet.

Standard library only: the noxfile checks the options of `nox -s bench` with it, in nox's own interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import ClassVar

from bench.contract.case import FIRST_LOOK, NUMERICS, TASKS, TRACKS, TRACKS_OF, input_kinds
from bench.contract.catalog import workload_names
from bench.contract.errors import UsageError
from bench.contract.parity import CLIMBS, LADDER_BATCH, LADDER_NUMERICS
from bench.plan import checks
from bench.plan.places import LOCAL, NODE, Places, check_places, read_places
from bench.plan.profiles import PROFILES
from bench.plan.script import AS_IT_IS, script_settings
from bench.plan.selection import Selection
from bench.plan.variants import NOTHING, REVISION, SPREAD, Variant, read_variants, variant_settings

PILOT = 6  # repetitions at least, before their spread says how many an ordered precision takes
MOST_UNTIL = 12  # launches of a case, of a run that stops as soon as it is sure
UNTIL = ("decided",)
SCALINGS = ("strong", "weak")
MOST_LAUNCHES = 1_000  # of one case, however much an ordered precision would take


@dataclass(frozen=True, kw_only=True)
class RunOptions(Selection):
    """What `run` was asked for. None means that profile, workload or device decide.

    With `within` (a fraction) or `budget_seconds`, `launches` is the pilot, and its spread decides how many follow.
    With `until` each case is launched until its verdicts are sure, and `launches` is the most; `fail_slower` (a
    fraction) is by how much a variant may be slower than the first.
    Each of `device_counts` makes cases of its own; with `scaling` weak a batch is as many times as large.
    With `explain` the steps of training are taken apart after the launches. `script` is the path of a training script
    of the user's, with its arguments, which is run as it is, in the place of workloads; `fit` is which of its fits is
    timed, from 1. `against` is the workload that the others are compared with, as `workloads` has it. `vary` says what
    is compared besides, as plan.variants reads it. `places` says where launches happen, as plan.places reads it, `per`
    what a launch there has to itself, and with `pool_unlike` nodes that differ are measured together.
    """

    profile: str = "default"
    epochs: int | None = None
    samples: int | None = None
    batch_sizes: tuple[int, ...] | None = None
    tasks: tuple[str, ...] = ("train",)
    tracks: tuple[str, ...] | None = None
    numerics: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ("arrays",)
    device_counts: tuple[int, ...] = (1,)
    scaling: str = "strong"
    to_target: bool = False
    within: float | None = None
    budget_seconds: float | None = None
    until: str | None = None
    fail_slower: float | None = None
    parity: bool = True
    explain: bool = False
    dry_run: bool = False
    resume: Path | None = None
    against: str | None = None
    vary: str | None = None
    places: str = LOCAL
    per: str = NODE
    pool_unlike: bool = False
    script: InitVar[str | None] = None
    fit: InitVar[int | None] = None

    LEAST_EPOCHS: ClassVar[int] = 2  # the first is cold

    @property
    def ordered(self) -> bool:
        """Whether the number of launches follows from a pilot."""
        return self.until is None and (self.within is not None or self.budget_seconds is not None)

    def __post_init__(
        self, dataset: str | None, loss: str | None, unsafe: bool, script: str | None, fit: int | None
    ) -> None:
        """Put what is decided in the place of what was left out; UsageError where something cannot be."""
        if script is not None:
            given = {**vars(self), "dataset": dataset, "loss": loss, "unsafe": unsafe}
            self._settle(**script_settings(str(script), 1 if fit is None else fit, given), **AS_IT_IS)
        elif fit is not None:
            raise UsageError("--fit: says which fit of a --script is timed; leave it out, or name a script")
        checks.check_one_of("--profile", self.profile, PROFILES, "profile")
        self._settle_variants()
        self._settle_kinds()
        self._settle_devices()
        check_places(vars(self))
        self._check_amounts()
        if self.launches is None:
            usual = max(PROFILES[self.profile].launches, PILOT if self.ordered else 1)
            self._settle(launches=usual if self.until is None else MOST_UNTIL)
        named = None if self.workloads is None else list(self.workloads)
        super().__post_init__(dataset, loss, unsafe)
        self._settle_against(named)
        self._check_until()
        if self.ordered and self.launches < PILOT:
            raise UsageError(f"--launches {self.launches}: with --within or --budget it is the pilot, at least {PILOT}")
        if self.epochs is None:  # only now: a model of the user's own has its own where nobody says
            self._settle(epochs=PROFILES[self.profile].epochs)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is compared besides, the reference first; one without a name where that is nothing."""
        return read_variants(self.vary, self.python) or (NOTHING,)

    @property
    def where(self) -> Places:
        """Where launches happen."""
        return read_places(self.places)

    def _settle_variants(self) -> None:
        """What variants decide: which files are trained, and on which backends."""
        if self.vary is not None and not isinstance(self.vary, str):
            raise UsageError(f"--vary {self.vary!r}: expected text such as keras=3.14.1,3.15.1")
        given = {**vars(self), "python": checks.interpreters(self.python)}
        self._settle(**variant_settings(given))

    @property
    def told_apart(self) -> bool:
        """Whether workloads of one name are told apart by their variants."""
        return any(variant.name.startswith(REVISION) for variant in self.variants)

    def _settle_against(self, named: Sequence[str] | None) -> None:
        """The workload that others are compared with, by the name that it has in this run; `named` as they were."""
        if self.against is None or self.against in self.workloads:
            return
        if named is None or self.against not in named:
            known = ", ".join(named or self.workloads)
            raise UsageError(f"--against {self.against}: not among the workloads of this run ({known})")
        self._settle(against=self.workloads[named.index(self.against)])

    def _settle_kinds(self) -> None:
        """Tasks, tracks, numerics and inputs, in their own order."""
        self._settle(
            tasks=checks.ordered_of("--tasks", self.tasks, TASKS, "task"),
            inputs=checks.ordered_of("--inputs", self.inputs, tuple(input_kinds()), "input"),
        )
        if self.tracks is not None:
            self._settle(tracks=checks.ordered_of("--tracks", self.tracks, TRACKS, "track"))
        if self.numerics is not None:
            self._settle(numerics=checks.ordered_of("--numerics", self.numerics, NUMERICS, "numerics"))
        for task in self.tasks:
            if self.tracks and not set(self.tracks) & set(TRACKS_OF[task]):
                known = ", ".join(TRACKS_OF[task])
                raise UsageError(f"--tracks {','.join(self.tracks)}: task {task} has {known}; name one of them")
        for option, value in {
            "--no-parity": self.parity,
            "--to-target": self.to_target,
            "--explain": self.explain,
            "--dry-run": self.dry_run,
            "--pool-unlike": self.pool_unlike,
        }.items():
            checks.check_flag(option, value)
        self._settle(parity=self.parity and "train" in self.tasks)

    def _settle_devices(self) -> None:
        """On how many devices each case is trained, and what becomes of the batch."""
        self._settle(device_counts=checks.device_counts(self.device_counts))
        checks.check_one_of("--scaling", self.scaling, SCALINGS, "scaling")
        if self.scaling != SCALINGS[0] and self.device_counts == (1,):
            words = "says how a batch grows with the devices; give --device-count too"
            raise UsageError(f"--scaling {self.scaling}: {words}")
        if self.device_counts == (1,) and str(self.vary).startswith(SPREAD):
            raise UsageError(f"--vary {self.vary}: one device has one process; give --device-count too, such as 2")
        if self.to_target and self.device_counts != (1,):
            raise UsageError("--to-target: held-out samples are evaluated on one device; leave out --device-count")

    def _check_amounts(self) -> None:
        checks.check_whole("--epochs", self.epochs, self.LEAST_EPOCHS, or_none=True)
        checks.check_whole("--samples", self.samples, 1, or_none=True)
        if self.batch_sizes is not None:
            self._settle(batch_sizes=checks.several("--batch-size", self.batch_sizes))
            for size in self.batch_sizes:
                checks.check_whole("--batch-size", size, 1)
        checks.check_fraction("--within", self.within)
        checks.check_seconds("--budget", self.budget_seconds)

    def _check_until(self) -> None:
        """What stops a run as soon as it is sure, and what a variant may cost."""
        if self.until is not None:
            checks.check_one_of("--until", self.until, UNTIL, "end")
            if self.within is not None:
                raise UsageError("--within: orders a precision, and --until decided a verdict; give one of the two")
            if self.launches < FIRST_LOOK:
                words = f"with --until {self.until} it is the most, at least {FIRST_LOOK}"
                raise UsageError(f"--launches {self.launches}: {words}")
        if self.fail_slower is not None:
            checks.check_fraction("--fail-slower", self.fail_slower)
            if self.variants == (NOTHING,):
                raise UsageError("--fail-slower: says how much slower a variant may be than the first; give --vary too")

    def _tasks(self) -> tuple[str, ...]:
        return self.tasks

    def _most_launches(self) -> int:
        return MOST_LAUNCHES if self.ordered else self.launches

    def _default_workloads(self) -> tuple[str, ...]:
        return PROFILES[self.profile].workloads or workload_names()

    def _sizes(self) -> tuple[tuple[int, ...] | None, int | None]:
        return self.batch_sizes, self.epochs


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(RunOptions):
    """What `calibrate` was asked for: a run of many launches, while so many processes keep a core busy."""

    workloads: tuple[str, ...] = ("mlp",)
    launches: int = 60
    epochs: int | None = 10
    samples: int | None = 19_200
    tracks: tuple[str, ...] | None = ("fit",)
    numerics: tuple[str, ...] | None = ("float32",)
    parity: bool = False
    load: int = 0

    LEAST_LAUNCHES: ClassVar[int] = 12
    LEAST_EPOCHS: ClassVar[int] = 4

    def __post_init__(
        self, dataset: str | None, loss: str | None, unsafe: bool, script: str | None, fit: int | None
    ) -> None:
        """As that of a run."""
        checks.check_whole("--load", self.load, 0)
        super().__post_init__(dataset, loss, unsafe, script, fit)


@dataclass(frozen=True, kw_only=True)
class ParityOptions(Selection):
    """What `parity` was asked for: `launches` counts the seeds. Exact mode is always climbed: it judges the rest."""

    launches: int = 1
    steps: int = 300
    numerics: tuple[str, ...] = ("float32",)
    tracks: tuple[str, ...] = tuple(CLIMBS)
    device_counts: tuple[int, ...] = (1,)

    LAUNCHES: ClassVar[str] = "--seeds"

    def __post_init__(self, dataset: str | None, loss: str | None, unsafe: bool) -> None:
        """Put exact mode first; UsageError where something cannot be."""
        checks.check_whole("--steps", self.steps, 1)
        counts = checks.device_counts(self.device_counts)
        self._settle(device_counts=tuple(dict.fromkeys((1, *counts))))  # one device is what the others are held against
        numerics = checks.several_of("--numerics", self.numerics, LADDER_NUMERICS, "numerics")
        self._settle(
            numerics=tuple(dict.fromkeys(("float64", *numerics))),
            tracks=checks.several_of("--tracks", self.tracks, tuple(CLIMBS), "track with a ladder"),
        )
        super().__post_init__(dataset, loss, unsafe)
        uneven = [count for count in self.device_counts if LADDER_BATCH % count]
        if uneven:
            said = f"a ladder's batch of {LADDER_BATCH} does not divide among {uneven[0]} devices"
            raise UsageError(f"--device-count {uneven[0]}: {said}; name 2, 4 or 8")
        if len(self.backends) < 2 and self.device_counts == (1,):
            raise UsageError(f"--backends {self.backends[0]}: parity compares backends; name at least two")


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(Selection):
    """What `explain` was asked for: `launches` processes take the step of each workload and backend apart."""

    launches: int = 3
    script: InitVar[str | None] = None
    fit: InitVar[int | None] = None

    def __post_init__(
        self, dataset: str | None, loss: str | None, unsafe: bool, script: str | None, fit: int | None
    ) -> None:
        """Put a script in the place of the workloads; UsageError where something cannot be."""
        if script is not None:
            given = {**vars(self), "dataset": dataset, "loss": loss, "unsafe": unsafe}
            self._settle(**script_settings(str(script), 1 if fit is None else fit, given))
        elif fit is not None:
            raise UsageError("--fit: says which fit of a --script is taken apart; leave it out, or name a script")
        super().__post_init__(dataset, loss, unsafe)

    def _default_workloads(self) -> tuple[str, ...]:
        return "mlp", "cnn"
