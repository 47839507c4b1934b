"""Options and descriptions of workloads to an ordered list of cases and launches; pure: same input, same plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.options import RunOptions, Selection, UsageError
from bench.record import Case

# Where samples are cut the target is out of reach, and with it the epochs that reach it: one cold, three steady.
CUT_EPOCHS = 4
# What a launch takes besides its epochs, until a first repetition has shown it: imports, data, compilation, evaluation.
OVERHEAD_SECONDS = 8.0


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


def plan(
    options: RunOptions,
    descriptions: Sequence[Mapping[str, Any]],
    gpus: Sequence[str],
    without_gpu: Mapping[str, str] | None = None,
) -> list[PlannedCase]:
    """The cases of a run, the backends of one workload and device next to each other.

    `gpus` are the machine's; `without_gpu` says of backends whose environment cannot use them why: those are skipped.

    Raises UsageError where a number does not fit a workload.
    """
    devices = devices_of(options, gpus)
    cases = []
    for description in descriptions:
        for device in devices:
            samples, epochs, batch_size = _size(options, description, device)
            attempted = samples == description["train_samples"] and epochs >= description["epochs"]
            steps = epochs * (samples // batch_size)
            for backend in options.backends:
                case = Case(
                    workload=description["workload"],
                    dataset=description["dataset"],
                    samples=samples,
                    epochs=epochs,
                    batch_size=batch_size,
                    input="arrays",
                    backend=backend,
                    device=device,
                    numerics="float32",
                    task="train",
                    track="fit",
                )
                expected = OVERHEAD_SECONDS + steps * description["step_seconds"]
                skip = (without_gpu or {}).get(backend) if device == "gpu" else None
                cases.append(PlannedCase(case, skip, attempted, expected, options.launches))
    return cases


def devices_of(options: Selection, gpus: Sequence[str]) -> tuple[str, ...]:
    """The devices asked for, or every one that is here, the GPU first; UsageError where one is not here."""
    devices = options.devices or (("gpu", "cpu") if gpus else ("cpu",))
    check_devices(devices, gpus)
    return devices


def check_devices(devices: Sequence[str], gpus: Sequence[str]) -> None:
    """Refuse a device that this machine lacks, rather than measure another one."""
    if "gpu" in devices and not gpus:
        raise UsageError(
            "--devices gpu: no GPU was found here (nvidia-smi lists none); leave it out or use --devices cpu"
        )


def schedule(cases: Sequence[PlannedCase], seed: int, begun: int = 0) -> list[PlannedLaunch]:
    """Every launch in its order, until each case has its number of them; `begun` repetitions are there already.

    Repetition r takes seed + r, and its own order of groups and of backends within each. Rotated by half the repetition
    and turned round in every other one, three backends go through all six orders in six repetitions, so that a drift of
    the machine, or what a neighbour leaves behind, hits all of them alike. A group that takes fewer
    repetitions than another is left out in between, and so is a case of a group: all are spread over the same time, and
    the case with the most launches, the reference, takes part in every repetition of its group.
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
                due = [case for case in order if _due(wanted[case] - begun, most_of_group, place)]
                ordered += [PlannedLaunch(case, repetition, seed + repetition) for case in due]
    return ordered


def _due(launches: int, repetitions: int, repetition: int) -> bool:
    """Whether something is launched in this repetition, so that its launches are spread evenly over all of them."""
    return (repetition + 1) * launches // repetitions > repetition * launches // repetitions


def group_of(case: Case) -> Case:
    """What cases have in common that differ only in their backend."""
    return replace(case, backend="")


def _groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that differ only in their backend, together."""
    groups: dict[Case, list[Case]] = {}
    for case in cases:
        groups.setdefault(group_of(case), []).append(case)
    return list(groups.values())


def _size(options: RunOptions, description: Mapping[str, Any], device: str) -> tuple[int, int, int]:
    """Samples, epochs and batch size of one workload on one device."""
    name, available = Path(description["workload"]).stem, description["train_samples"]
    if options.samples is not None:
        samples = options.samples
    elif options.profile == "quick":
        samples = description["quick_samples"]
    elif options.profile == "default" and device == "cpu":
        samples = description["cpu_samples"] or available
    else:
        samples = available
    batch_size = options.batch_size or description["batch_size"]
    if samples > available:
        raise UsageError(f"--samples {samples}: {name} has {available} training samples ({description['dataset']})")
    if batch_size > samples:
        raise UsageError(f"{name}: a batch of {batch_size} is larger than its {samples} training samples in this run")
    declared = description["epochs"]
    epochs = options.epochs or (declared if samples == available else min(CUT_EPOCHS, declared))
    if epochs < 2:
        raise UsageError(f"{name}: declares {declared} epoch; the first is cold, so at least 2 are needed (--epochs 2)")
    return samples, epochs, batch_size
