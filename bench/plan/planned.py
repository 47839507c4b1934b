"""A planned case, a planned launch, what rules one out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.case import MIXED, TRACKS_OF, Case, input_unavailable
from bench.contract.catalog import facts_of
from bench.contract.errors import UsageError
from bench.plan.options import RunOptions

if TYPE_CHECKING:  # which needs a library that the noxfile, which reads these modules, may lack
    from bench.contract.run_json import Workload

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
        """The entry of run.json."""
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
    """What rules a case out here.

    `without_gpu` says of backends why their environment cannot use the GPU, `memory_mib` what each device has,
    `lacking` which numerics a device does not have, and why, `refused` which workloads a backend does not take, by
    backend and workload, `frameworks` which other backends' frameworks a backend's environment has too,
    `without_variant` which variants cannot be had, by backend and variant, `device_counts` how many of each device
    there are, where that is a limit.
    """

    without_gpu: Mapping[str, str] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[tuple[str, str], str] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    frameworks: Mapping[str, Collection[str]] = field(default_factory=dict)
    without_variant: Mapping[tuple[str, str], str] = field(default_factory=dict)
    device_counts: Mapping[str, int] = field(default_factory=dict)


def numerics_of(options: RunOptions, device: str) -> tuple[str, ...]:
    """The numerics asked for, or the device's default: a GPU is used with TF32 as often as without."""
    return options.numerics or (("float32", "tf32") if device == "gpu" else ("float32",))


def tracks_of(options: RunOptions, device: str, task: str, usual: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The task's tracks asked for, else its `usual`, or the device's: on a GPU `shipped` differs in its precision."""
    asked = options.tracks or usual or (("shipped", "fit") if device == "gpu" else ("fit",))
    return tuple(track for track in asked if track in TRACKS_OF[task])


def variants_of(options: RunOptions, description: Workload) -> tuple[str, ...]:
    """The names of the variants in which a workload is trained; where each trains a file of its own it is that one."""
    names = tuple(variant.name for variant in options.variants)
    if not options.variants[0].workload:
        return names
    return (names[options.workloads.index(description.workload)],)


def reason_to_skip(case: Case, description: Workload, limits: Limits) -> str | None:
    """Why a case is not run; None where it is."""
    reasons = [
        limits.without_variant.get((case.backend, case.variant)),
        limits.refused.get((case.backend, case.workload)),
        limits.without_gpu.get(case.backend) if case.device == "gpu" else None,
        _too_small(description, case.device, limits.memory_mib),
        limits.lacking.get((case.device, case.numerics)),
        facts_of(case.backend).lacking.get(case.numerics),
        input_unavailable(case.input, case.backend, limits.frameworks.get(case.backend, ())),
    ]
    if case.device_count > 1:
        reasons.append(alone(case.backend, case.device, case.device_count, limits))
        reasons.append(_unshared(case, description))
    if case.track == "loop" and case.task == "train":
        reasons.append(description.without_loop)
    if case.track == "native" and case.task == "train":
        reasons.append(description.without_native)
        reasons.append(
            f"native computes in float32, tf32 or float64, not in {case.numerics}" if case.numerics in MIXED else None
        )
    if case.track == "shipped" and case.numerics == "tf32":
        reasons.append("shipped takes the precision that its framework chooses; it stands in the rows of float32")
    return next(filter(None, reasons), None)


def alone(backend: str, device: str, count: int, limits: Limits) -> str | None:
    """Why a backend does not train on so many devices here; None where it does."""
    there = limits.device_counts.get(device, count)
    if not facts_of(backend).shares:
        return f"{backend} does not train on several devices here"
    return f"needs {count} of the {device}, of which {there} may be used here" if there < count else None


def _unshared(case: Case, description: Workload) -> str | None:
    """Why a case is not trained on several devices; None where it is."""
    if case.track == "shipped":
        return "shipped keeps the partial last batch, which devices cannot share evenly; fit leaves it out"
    if case.track != "fit":
        return f"track {case.track} trains on one device; several are for fit"
    if case.input != "arrays":
        return f"input {case.input} is measured on one device; several are handed arrays"
    return description.without_devices or None


def _too_small(description: Workload, device: str, memory_mib: Mapping[str, float]) -> str | None:
    """Why a device's memory does not do for a workload; None where it does, or is not known."""
    needed, there = description.memory_mib, memory_mib.get(device, math.inf)
    return f"needs {needed:,} MiB of memory, the {device} has {there:,.0f}" if there < needed else None


def samples_of(options: RunOptions, description: Workload, device: str) -> int:
    """The training samples of one workload on one device."""
    name, available = Path(description.workload).stem, description.train_samples
    if options.samples is not None:
        samples = options.samples
    elif options.profile == "quick":
        samples = description.quick_samples
    elif options.profile == "default" and device == "cpu":
        samples = description.cpu_samples or available
    else:
        samples = available
    if samples > available and not description.drawn:
        raise UsageError(f"--samples {samples}: {name} has {available} training samples ({description.dataset})")
    return samples
