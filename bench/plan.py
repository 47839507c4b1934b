"""Options and descriptions of workloads to an ordered list of cases and launches; pure: same input, same plan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.command_line import UsageError
from bench.options import RunOptions, Selection
from bench.record import INFERENCE_TRACKS, MIXED, RESIDENT, Case, input_unavailable, stem

# Where samples are cut the target is out of reach, and with it the epochs that reach it: one cold, three steady.
CUT_EPOCHS = 4
# What a launch takes besides its epochs, until a first repetition has shown it: imports, data, compilation, evaluation.
OVERHEAD_SECONDS = 8.0
# Calls of a launch of inference: at most so many, on no more samples than these, and on no more than three times those
# of an epoch of training: a forward pass being a third of a step, they cost about as much as that at most.
CALLS = {"quick": 100, "default": 200, "full": 1_000}
MOST_SAMPLES, FORWARD = 25_600, 1 / 3
FEWEST_CALLS = 10
LARGE_BATCH = 256  # for throughput, where no batch size is asked for; latency takes batches of one
CALL_SECONDS = 0.03  # guessed: what a call takes besides computing


@dataclass(frozen=True)
class PlannedCase:
    """A case, why it is not run (None: it is), whether it trains long enough to try for the target, how often it is."""

    case: Case
    skip: str | None
    target_attempted: bool
    expected_seconds: float
    launches: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in run.json."""
        return {**asdict(self), "case": asdict(self.case)}


@dataclass(frozen=True)
class PlannedLaunch:
    """One process to come."""

    case: Case
    repetition: int
    seed: int
    attempt: int = 1  # above 1 where it replaces a launch that was disturbed


@dataclass(frozen=True)
class Limits:
    """What keeps a case from being run here.

    `without_gpu` says of backends why their environment cannot use the GPU, `memory_mib` what each device has,
    `lacking` which numerics a device does not have, and why.
    """

    without_gpu: Mapping[str, str] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[tuple[str, str], str] = field(default_factory=dict)


def plan(
    options: RunOptions,
    descriptions: Sequence[Mapping[str, Any]],
    gpus: Sequence[Any],
    limits: Limits | None = None,
) -> list[PlannedCase]:
    """The cases of a run, the backends of one workload, device, batch size, numerics and track next to each other.

    `gpus` are the machine's. A case that `limits` rule out is skipped with that reason.

    Raises UsageError where a number does not fit a workload.
    """
    limits = limits or Limits()
    devices = devices_of(options, gpus)
    cases = []
    if "train" in options.tasks:
        cases += _training(replace(options, backends=options.training), descriptions, devices, limits)
    if "predict" in options.tasks:
        cases += _inference(options, descriptions, devices, limits)
    return cases


def _training(
    options: RunOptions, descriptions: Sequence[Mapping[str, Any]], devices: Sequence[str], limits: Limits
) -> list[PlannedCase]:
    """The cases of task train."""
    cases = []
    for description in descriptions:
        for device in devices:
            samples, epochs = _size(options, description, device)
            for batch_size, numerics, (track, handed), backend in itertools.product(
                _batch_sizes(options, description, samples),
                numerics_of(options, device),
                _executions(options, device),
                options.backends,
            ):
                if options.tracks is None and (track, numerics) == ("shipped", "tf32"):
                    continue  # it takes the precision that its framework chooses, once
                case = Case(
                    workload=description["workload"],
                    dataset=description["dataset"],
                    samples=samples,
                    epochs=epochs,
                    batch_size=batch_size,
                    input=handed,
                    backend=backend,
                    device=device,
                    numerics=numerics,
                    task="train",
                    track=track,
                )
                declared = [description[name] for name in ("train_samples", "batch_size")]
                attempted = [samples, batch_size] == declared and epochs >= description["epochs"]
                share = batch_size / description["batch_size"]  # of the batch whose step was timed
                steps = epochs * (samples // batch_size)
                expected = OVERHEAD_SECONDS + steps * share * (description["step_seconds"] or 0.0)
                skip = _reason_to_skip(case, description, limits)
                cases.append(PlannedCase(case, skip, attempted, expected, options.launches))
    return cases


def _inference(
    options: RunOptions, descriptions: Sequence[Mapping[str, Any]], devices: Sequence[str], limits: Limits
) -> Iterator[PlannedCase]:
    """The cases of task predict: `samples` are those that a launch's series of calls goes through."""
    for description, device in itertools.product(descriptions, devices):
        tracks = [track for track in _tracks(options, device) if track in INFERENCE_TRACKS]
        trained = _samples(options, description, device)
        for batch_size, numerics, track, backend in itertools.product(
            _inference_batch_sizes(options, description), numerics_of(options, device), tracks, options.backends
        ):
            most = min(CALLS[options.profile], MOST_SAMPLES // batch_size, round(trained / FORWARD) // batch_size)
            calls = max(FEWEST_CALLS, most)
            case = Case(
                workload=description["workload"],
                dataset=description["dataset"],
                samples=calls * batch_size,
                epochs=1,
                batch_size=batch_size,
                input="arrays",
                backend=backend,
                device=device,
                numerics=numerics,
                task="predict",
                track=track,
            )
            steps = calls * batch_size / description["batch_size"]
            expected = OVERHEAD_SECONDS + calls * CALL_SECONDS + steps * FORWARD * (description["step_seconds"] or 0.0)
            skip = _reason_to_skip(case, description, limits)
            yield PlannedCase(case, skip, False, expected, options.launches)


def _inference_batch_sizes(options: RunOptions, description: Mapping[str, Any]) -> tuple[int, ...]:
    available = description["test_samples"]
    sizes = options.batch_sizes or tuple(dict.fromkeys((1, min(LARGE_BATCH, available))))
    if max(sizes) > available:
        name = stem(description["workload"])
        raise UsageError(f"{name}: a batch of {max(sizes)} is larger than its {available} test samples")
    return sizes


def numerics_of(options: RunOptions, device: str) -> tuple[str, ...]:
    """The numerics asked for, or a device's own: a GPU is used with TF32 as often as without."""
    return options.numerics or (("float32", "tf32") if device == "gpu" else ("float32",))


def _tracks(options: RunOptions, device: str) -> tuple[str, ...]:
    """The tracks asked for, or a device's own: on a GPU what is shipped differs in its precision too."""
    return options.tracks or (("shipped", "fit") if device == "gpu" else ("fit",))


def _executions(options: RunOptions, device: str) -> list[tuple[str, str]]:
    """The tracks, each with its input; where inputs are compared, `fit` has every one, and one that costs nothing."""
    inputs = options.inputs if options.inputs == ("arrays",) else dict.fromkeys((*options.inputs, RESIDENT))
    return [(track, one) for track in _tracks(options, device) for one in (inputs if track == "fit" else ("arrays",))]


def _reason_to_skip(case: Case, description: Mapping[str, Any], limits: Limits) -> str | None:
    """Why a case is not run; None where it is."""
    reasons = [
        limits.without_gpu.get(case.backend) if case.device == "gpu" else None,
        _too_small(description, case.device, limits.memory_mib),
        limits.lacking.get((case.device, case.numerics)),
        input_unavailable(case.input, case.backend),
    ]
    if case.track == "native" and case.task == "train":
        reasons.append(description.get("without_native"))
        reasons.append(
            f"native computes in float32 or tf32, not in {case.numerics}" if case.numerics in MIXED else None
        )
    if case.track == "shipped" and case.numerics == "tf32":
        reasons.append("shipped takes the precision that its framework chooses; it stands in the rows of float32")
    return next(filter(None, reasons), None)


def _too_small(description: Mapping[str, Any], device: str, memory_mib: Mapping[str, float]) -> str | None:
    """Why a device's memory does not do for a workload; None where it does, or is not known."""
    needed, there = description.get("memory_mib", 0), memory_mib.get(device, math.inf)
    return f"needs {needed:,} MiB of memory, the {device} has {there:,.0f}" if there < needed else None


def devices_of(options: Selection, gpus: Sequence[Any]) -> tuple[str, ...]:
    """The devices asked for, or every one that is here, the GPU first; UsageError where one is not here."""
    devices = options.devices or (("gpu", "cpu") if gpus else ("cpu",))
    check_devices(devices, gpus)
    return devices


def check_devices(devices: Sequence[str], gpus: Sequence[Any]) -> None:
    """Refuse a device that this machine lacks, rather than measure another one."""
    if "gpu" in devices and not gpus:
        raise UsageError(
            "--devices gpu: no GPU was found here (NVIDIA's driver names none); leave it out or use --devices cpu"
        )


def schedule(cases: Sequence[PlannedCase], seed: int, begun: int = 0) -> list[PlannedLaunch]:
    """Every launch in its order, until each case has its number of them; `begun` repetitions are there already.

    Repetition r takes seed + r, and its own order of groups and of backends within each. Rotated by half the repetition
    and turned round in every other one, three backends go through all six orders in six repetitions, so that a drift of
    the machine, or what a neighbour leaves behind, hits all of them alike. A group that takes fewer
    repetitions than another is left out in between, and so is a case of a group: all are spread over the same time, and
    of two cases of a group the one with more launches takes part in every repetition of the other.
    """
    wanted = {planned.case: planned.launches for planned in cases if planned.skip is None}
    most = max(wanted.values(), default=0)
    ordered = []
    for repetition in range(begun, most):
        groups = _groups(list(wanted))
        for group in groups[::-1] if repetition % 2 else groups:
            turn = repetition // 2 % len(group)
            order = group[turn:] + group[:turn]
            if repetition % 2:
                order.reverse()
            most_of_group = max(wanted[case] for case in group) - begun
            if _due(most_of_group, most - begun, repetition - begun):
                place = (repetition - begun) * most_of_group // (most - begun)
                rank = _ranks(most_of_group)[place]
                due = [case for case in order if rank < wanted[case] - begun]
                ordered += [PlannedLaunch(case, repetition, seed + repetition) for case in due]
    return ordered


def _ranks(repetitions: int) -> list[int]:
    """For each repetition when its turn comes to be taken, so that the first n to be taken lie evenly, for every n.

    Van der Corput's order. Who takes fewer repetitions than another takes some of the other's, which so are pairs.
    """
    digits = max(repetitions - 1, 1).bit_length()
    order = sorted(range(repetitions), key=lambda one: int(f"{one:0{digits}b}"[::-1], 2))
    return [order.index(repetition) for repetition in range(repetitions)]


def _due(launches: int, repetitions: int, repetition: int) -> bool:
    """Whether something is launched in this repetition, so that its launches are spread evenly over all of them."""
    return (repetition + 1) * launches // repetitions > repetition * launches // repetitions


def group_of(case: Case) -> Case:
    """What cases have in common that take turns: those that differ only in their backend, track and input."""
    return replace(case, backend="", track="", input="")


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that take turns, together."""
    groups: dict[Case, list[Case]] = {}
    for case in cases:
        groups.setdefault(group_of(case), []).append(case)
    return list(groups.values())


def _samples(options: RunOptions, description: Mapping[str, Any], device: str) -> int:
    """The training samples of one workload on one device."""
    name, available = Path(description["workload"]).stem, description["train_samples"]
    if options.samples is not None:
        samples = options.samples
    elif options.profile == "quick":
        samples = description["quick_samples"]
    elif options.profile == "default" and device == "cpu":
        samples = description["cpu_samples"] or available
    else:
        samples = available
    if samples > available and not description.get("drawn"):
        raise UsageError(f"--samples {samples}: {name} has {available} training samples ({description['dataset']})")
    return samples


def _size(options: RunOptions, description: Mapping[str, Any], device: str) -> tuple[int, int]:
    """Samples and epochs of one workload on one device."""
    name, available = Path(description["workload"]).stem, description["train_samples"]
    samples = _samples(options, description, device)
    declared = description["epochs"]
    epochs = options.epochs or (declared if samples >= available else min(CUT_EPOCHS, declared))
    if epochs < 2:
        raise UsageError(f"{name}: declares {declared} epoch; the first is cold, so at least 2 are needed (--epochs 2)")
    return samples, epochs


def _batch_sizes(options: RunOptions, description: Mapping[str, Any], samples: int) -> tuple[int, ...]:
    sizes = options.batch_sizes or (description["batch_size"],)
    if max(sizes) > samples:
        name = stem(description["workload"])
        raise UsageError(f"{name}: a batch of {max(sizes)} is larger than its {samples} training samples in this run")
    return sizes
