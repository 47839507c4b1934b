"""What the words of a command mean: checked against each other before anything is built or written.

Standard library only: the noxfile checks the options of `nox -s bench` with it, in nox's own interpreter.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from bench import adopt
from bench.command_line import PROFILES, UsageError, parse
from bench.record import CLIMBS, DEVICES, INFERENCE_TRACKS, INPUTS, NUMERICS, TASKS, TRACKS
from bench.registry import backend_names, training_backends, workload_names
from bench.results import resumable
from bench.saved_model import OwnModelError
from bench.values import is_number, is_text, is_whole

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
    adopted: tuple[adopt.Adopted, ...]

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


def parse_run(arguments: Sequence[str]) -> RunOptions:
    """The options of `run`, checked against each other."""
    return run_options(parse(["run", *arguments]))


def run_options(given: argparse.Namespace) -> RunOptions:
    """What the parsed words of `run` mean, with the profile's values where nothing was said."""
    if given.resume is not None:
        return _resumed(given, RunOptions)
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
        inputs=tuple(sorted(given.inputs or ("arrays",), key=list(INPUTS).index)),
        to_target=given.to_target,
        within=None if given.within is None else given.within / 100,
        budget_seconds=given.budget,
        parity=not given.no_parity and "train" in tasks,
        dry_run=given.dry_run,
    )


def parse_calibrate(arguments: Sequence[str]) -> CalibrateOptions:
    """The options of `calibrate`, checked against each other."""
    return calibrate_options(parse(["calibrate", *arguments]))


def calibrate_options(given: argparse.Namespace) -> CalibrateOptions:
    """What the parsed words of `calibrate` mean."""
    if given.resume is not None:
        return _resumed(given, CalibrateOptions, finished=True)
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


Resumed = TypeVar("Resumed", bound=RunOptions)


def _resumed(given: argparse.Namespace, kind: type[Resumed], finished: bool = False) -> Resumed:
    """The options that an interrupted run was started with; UsageError where others are given besides."""
    nothing = vars(parse([given.command]))
    others = [
        name
        for name, value in vars(given).items()
        if value != nothing[name] and name not in ("resume", "output", "quiet", "verbose")
    ]
    if others:
        option = f"--{others[0].replace('_', '-')}"
        raise UsageError(f"{option}: a run goes on with the options it was started with; give --resume alone")
    folder, stored = resumable(given.resume, given.output, finished)
    if "steps" in stored or ("load" in stored) is not (kind is CalibrateOptions):
        raise UsageError(f"--resume {given.resume}: another command began it; go on with that one")
    try:
        adopted = tuple(adopt.Adopted(**one) for one in stored["adopted"])
        for one in adopted:
            if Path(one.path).resolve() != Path(adopt.place(folder.parent, one.source, one.text)).resolve():
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


def parse_parity(arguments: Sequence[str]) -> ParityOptions:
    """The options of `parity`, checked against each other."""
    return parity_options(parse(["parity", *arguments]))


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
    stems = [adopt.stem(name) for name in workloads]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UsageError(f"--workloads: two are called {stem}, and a report could not tell them apart; rename one")
    if given.seed + (most or launches) > SEEDS:
        raise UsageError(f"--seed {given.seed}: with {most or launches} launches the seeds would pass {SEEDS - 1}")
    sizes, epochs = (getattr(given, name, None) for name in ("batch_size", "epochs"))
    asked = adopt.Asked(given.dataset, given.loss, given.unsafe, sizes, epochs)
    try:
        workloads, adopted = adopt.adopt(workloads, asked, given.output)
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
