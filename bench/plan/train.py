"""The cases of task train."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.case import RESIDENT, Case, stem
from bench.contract.errors import UsageError
from bench.plan.options import RunOptions
from bench.plan.planned import (
    OVERHEAD_SECONDS,
    Limits,
    PlannedCase,
    numerics_of,
    reason_to_skip,
    samples_of,
    tracks_of,
    variants_of,
)

if TYPE_CHECKING:  # which needs a library that the noxfile, which reads these modules, may lack
    from bench.contract.run_json import Workload

# Where samples are cut the target is out of reach, and with it the epochs that reach it: one cold, three steady.
CUT_EPOCHS = 4


def train_cases(
    options: RunOptions, descriptions: Sequence[Workload], devices: Sequence[str], limits: Limits
) -> list[PlannedCase]:
    """The cases of task train."""
    cases = []
    for description in descriptions:
        for device in devices:
            samples, epochs = _size(options, description, device)
            for (batch_size, count), numerics, (track, handed), variant, backend in itertools.product(
                _shares(options, description, samples),
                numerics_of(options, device),
                _executions(options, device),
                variants_of(options, description),
                options.backends,
            ):
                if options.tracks is None and track == "shipped" and (numerics == "tf32" or count > 1):
                    continue  # it takes the precision that its framework chooses, once; several devices are for fit
                case = Case(
                    workload=description.workload,
                    dataset=description.dataset,
                    samples=samples,
                    epochs=epochs,
                    batch_size=batch_size,
                    input=handed,
                    backend=backend,
                    device=device,
                    numerics=numerics,
                    task="train",
                    track=track,
                    variant=variant,
                    device_count=count,
                )
                declared = [description.train_samples, description.batch_size]
                attempted = [samples, batch_size] == declared and epochs >= description.epochs
                share = batch_size / description.batch_size  # of the batch whose step was timed
                steps = epochs * (samples // batch_size)
                expected = OVERHEAD_SECONDS + steps * share * (description.step_seconds or 0.0)
                skip = reason_to_skip(case, description, limits)
                cases.append(PlannedCase(case, skip, attempted, expected, options.launches))
    return cases


def _executions(options: RunOptions, device: str) -> list[tuple[str, str]]:
    """The tracks, each with its input; where inputs are compared, `fit` has all of them, and the resident one."""
    inputs = options.inputs if options.inputs == ("arrays",) else dict.fromkeys((*options.inputs, RESIDENT))
    return [
        (track, one)
        for track in tracks_of(options, device, "train")
        for one in (inputs if track == "fit" else ("arrays",))
    ]


def _size(options: RunOptions, description: Workload, device: str) -> tuple[int, int]:
    """Samples and epochs of one workload on one device."""
    name, available = Path(description.workload).stem, description.train_samples
    samples = samples_of(options, description, device)
    declared = description.epochs
    epochs = options.epochs or (declared if samples >= available else min(CUT_EPOCHS, declared))
    if epochs < 2:
        raise UsageError(f"{name}: declares {declared} epoch; the first is cold, so at least 2 are needed (--epochs 2)")
    return samples, epochs


def _shares(options: RunOptions, description: Workload, samples: int) -> list[tuple[int, int]]:
    """The sizes of batches, each with the number of devices that share it; UsageError where they cannot evenly."""
    found, name = [], stem(description.workload)
    for size, count in itertools.product(_batch_sizes(options, description, samples), options.device_counts):
        shared = size * count if options.scaling == "weak" else size
        if shared % count:
            nearest = f"--batch-size {shared - shared % count or count}"
            raise UsageError(f"{name}: a batch of {shared} does not divide among {count} devices; {nearest} does")
        if shared > samples:
            raise UsageError(f"{name}: a batch of {shared} on {count} devices is larger than its {samples} samples")
        found.append((shared, count))
    return found


def _batch_sizes(options: RunOptions, description: Workload, samples: int) -> tuple[int, ...]:
    sizes = options.batch_sizes or (description.batch_size,)
    if max(sizes) > samples:
        name = stem(description.workload)
        raise UsageError(f"{name}: a batch of {max(sizes)} is larger than its {samples} training samples in this run")
    return sizes
