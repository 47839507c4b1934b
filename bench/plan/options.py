"""What the words of a command mean: checked against each other before anything is built or written.

Standard library only: the noxfile checks the options of `nox -s bench` with it, in nox's own interpreter.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract.case import INFERENCE_TRACKS, NUMERICS, QUICK_EPOCHS, TASKS, TRACKS, input_kinds
from bench.contract.catalog import backend_names, training_backends, workload_names
from bench.contract.errors import OwnModelError, UsageError
from bench.contract.parity import CLIMBS
from bench.own_models.adopt import GeneratedWorkload, ModelOptions, adopt, stem

REFERENCE = "jax"
SEEDS = 2**32  # NumPy takes seeds below
PILOT = 6  # repetitions at least, before their spread says how many an ordered precision takes
MOST_LAUNCHES = 1_000  # of one case, however much an ordered precision would take


@dataclass(frozen=True)
class Selection:
    """What to work on, with whose interpreters, and where to. Of `devices` None means that the machine decides."""

    workloads: tuple[str, ...]
    backends: tuple[str, ...]
    devices: tuple[str, ...] | None
    reference: str
    python: Mapping[str, Path]
    seed: int
    launches: int
    output: Path
    pass_env: tuple[str, ...]
    gpu: int | None
    shared_gpu: bool
    adopted: tuple[GeneratedWorkload, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, from the first on."""
        return tuple(range(self.seed, self.seed + self.launches))

    @property
    def training(self) -> tuple[str, ...]:
        """Those of the backends that can train."""
        return tuple(backend for backend in self.backends if backend in training_backends())


@dataclass(frozen=True)
class RunOptions(Selection):
    """What `run` was asked for. None means that profile, workload or device decide.

    With `within` (a fraction) or `budget_seconds`, `launches` is the pilot, and its spread decides how many follow.
    """

    profile: str
    epochs: int | None
    samples: int | None
    batch_sizes: tuple[int, ...] | None
    tasks: tuple[str, ...]
    tracks: tuple[str, ...] | None
    numerics: tuple[str, ...] | None
    inputs: tuple[str, ...]
    to_target: bool
    within: float | None
    budget_seconds: float | None
    parity: bool
    dry_run: bool
    resume: Path | None = None

    @property
    def ordered(self) -> bool:
        """Whether the number of launches follows from a pilot."""
        return self.within is not None or self.budget_seconds is not None


@dataclass(frozen=True)
class CalibrateOptions(RunOptions):
    """What `calibrate` was asked for: a run of many launches, while so many processes keep a core busy."""

    load: int = 0


@dataclass(frozen=True)
class ParityOptions(Selection):
    """What `parity` was asked for: `launches` counts the seeds."""

    steps: int
    numerics: tuple[str, ...]
    tracks: tuple[str, ...]


def run_options(given: argparse.Namespace) -> RunOptions:
    """What the parsed words of `run` mean, with the profile's values where nothing was said."""
    profile = PROFILES[given.profile]
    launches = given.launches or profile.launches
    if given.within is not None or given.budget is not None:
        if (given.launches or PILOT) < PILOT:
            raise UsageError(
                f"--launches {given.launches}: with --within or --budget it is the pilot, at least {PILOT}"
            )
        launches = max(launches, PILOT)
    ordered = given.within is not None or given.budget is not None
    tasks = tuple(sorted(given.tasks or ("train",), key=TASKS.index))
    tracks = given.tracks and tuple(sorted(given.tracks, key=TRACKS.index))
    if "predict" in tasks and tracks and not set(tracks) & set(INFERENCE_TRACKS):
        raise UsageError(
            f"--tracks {','.join(tracks)}: task predict has {', '.join(INFERENCE_TRACKS)}; name one of them"
        )
    most = MOST_LAUNCHES if ordered else launches
    return RunOptions(
        **_selection(given, profile.workloads or workload_names(), launches, most, tasks),
        profile=given.profile,
        epochs=given.epochs or profile.epochs,
        samples=given.samples,
        batch_sizes=given.batch_size,
        tasks=tasks,
        tracks=tracks,
        numerics=given.numerics and tuple(sorted(given.numerics, key=NUMERICS.index)),
        inputs=tuple(sorted(given.inputs or ("arrays",), key=list(input_kinds()).index)),
        to_target=given.to_target,
        within=None if given.within is None else given.within / 100,
        budget_seconds=given.budget,
        parity=not given.no_parity and "train" in tasks,
        dry_run=given.dry_run,
    )


def calibrate_options(given: argparse.Namespace) -> CalibrateOptions:
    """What the parsed words of `calibrate` mean."""
    return CalibrateOptions(
        **_selection(given, ("mlp",), given.launches),
        profile="default",
        epochs=given.epochs,
        samples=given.samples,
        batch_sizes=None,
        tasks=("train",),
        tracks=("fit",),
        numerics=("float32",),
        inputs=("arrays",),
        to_target=False,
        within=None,
        budget_seconds=None,
        parity=False,
        dry_run=False,
        load=given.load,
    )


def parity_options(given: argparse.Namespace) -> ParityOptions:
    """What the parsed words of `parity` mean. Exact mode is always climbed: everything else is judged against it."""
    numerics = tuple(dict.fromkeys(("float64", *(given.numerics or ("float32",)))))
    options = ParityOptions(
        **_selection(given, workload_names(), given.seeds),
        steps=given.steps,
        numerics=numerics,
        tracks=given.tracks or tuple(CLIMBS),
    )
    if len(options.backends) < 2:
        raise UsageError(f"--backends {options.backends[0]}: parity compares backends; name at least two")
    return options


def _selection(
    given: argparse.Namespace,
    default_workloads: tuple[str, ...],
    launches: int,
    most: int | None = None,
    tasks: Sequence[str] = ("train",),
) -> dict[str, Any]:
    """The fields of a Selection, checked against each other; a run may come to `most` launches."""
    workloads = given.workloads or default_workloads
    backends, reference = _backends(given, tasks)
    stems = [stem(name) for name in workloads]
    for name in stems:
        if stems.count(name) > 1:
            raise UsageError(f"--workloads: two are called {name}, and a report could not tell them apart; rename one")
    if given.seed + (most or launches) > SEEDS:
        raise UsageError(f"--seed {given.seed}: with {most or launches} launches the seeds would pass {SEEDS - 1}")
    sizes, epochs = (getattr(given, name, None) for name in ("batch_size", "epochs"))
    asked = ModelOptions(given.dataset, given.loss, given.unsafe, sizes, epochs)
    try:
        workloads, adopted = adopt(workloads, asked, given.output)
    except OwnModelError as error:
        raise UsageError(str(error)) from None
    return {
        "workloads": workloads,
        "adopted": adopted,
        "backends": backends,
        "devices": given.devices,
        "reference": reference,
        "python": dict(given.python),
        "seed": given.seed,
        "launches": launches,
        "output": given.output,
        "pass_env": given.pass_env,
        "gpu": given.gpu,
        "shared_gpu": given.shared_gpu,
    }


def _backends(given: argparse.Namespace, tasks: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The backends and the one that is the reference; one that cannot train only where something else is asked for."""
    able = training_backends()
    backends = given.backends or (backend_names() if "predict" in tasks else able)
    idle = [backend for backend in backends if backend not in able]
    if idle and "train" in tasks and (len(tasks) == 1 or len(idle) == len(backends)):
        raise UsageError(f"--backends {idle[0]}: Keras cannot train on it; it takes part in run --tasks predict alone")
    usual = REFERENCE if REFERENCE in backends else next((one for one in backends if one in able), backends[0])
    reference = given.reference or usual
    if reference not in backends:
        raise UsageError(f"--reference {reference}: not among the backends of this run ({', '.join(backends)})")
    if reference in idle and "train" in tasks:
        raise UsageError(f"--reference {reference}: Keras cannot train on it; name one of {', '.join(able)}")
    return backends, reference


@dataclass(frozen=True)
class Profile:
    """How much a run measures where the options do not say; None means all workloads, and the workload's own epochs."""

    workloads: tuple[str, ...] | None
    launches: int
    epochs: int | None
    help: str


PROFILES = {
    "quick": Profile(("mlp", "cnn"), 1, QUICK_EPOCHS, "a smoke test: few samples, one launch"),
    "default": Profile(("mlp", "cnn"), 5, None, "mlp and cnn, five launches, large workloads cut on a CPU"),
    "full": Profile(None, 10, None, "every workload on all its samples, ten launches"),
}
