"""The cases of task predict."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from bench.contract.case import Case, stem
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

# Calls of a launch of inference: at most so many, on no more samples than these, and on no more than three times those
# of an epoch of training: a forward pass being a third of a step, they cost about as much as that at most.
CALLS = {"quick": 100, "default": 200, "full": 1_000}
MOST_SAMPLES, FORWARD = 25_600, 1 / 3
FEWEST_CALLS = 10
LARGE_BATCH = 256  # for throughput, where no batch size is asked for; latency takes batches of one
CALL_SECONDS = 0.03  # a guess: the overhead of a call


def predict_cases(
    options: RunOptions, descriptions: Sequence[Workload], devices: Sequence[str], limits: Limits
) -> Iterator[PlannedCase]:
    """The cases of task predict: `samples` are those that a launch's series of calls goes through."""
    for description, device in itertools.product(descriptions, devices):
        trained = samples_of(options, description, device)

        def calls_of(size: int, trained: int = trained) -> int:
            most = min(CALLS[options.profile], MOST_SAMPLES // size, round(trained / FORWARD) // size)
            return max(FEWEST_CALLS, most)

        sizes, tracks = _inference_batch_sizes(options, description), tracks_of(options, device, "predict")
        for case in called_cases(options, description, device, "predict", tracks, sizes, calls_of):
            steps = case.samples / description.batch_size
            calls = case.samples // case.batch_size
            expected = OVERHEAD_SECONDS + calls * CALL_SECONDS + steps * FORWARD * (description.step_seconds or 0.0)
            skip = reason_to_skip(case, description, limits)
            yield PlannedCase(case, skip, False, expected, options.launches)


def called_cases(
    options: RunOptions,
    description: Workload,
    device: str,
    task: str,
    tracks: Sequence[str],
    sizes: Sequence[int],
    calls_of: Callable[[int], int],
) -> Iterator[Case]:
    """The cases in which a workload's model is called: `calls_of` says how often in a launch, by the batch size."""
    for batch_size, numerics, track, variant, backend in itertools.product(
        sizes, numerics_of(options, device), tracks, variants_of(options, description), options.backends
    ):
        yield Case(
            workload=description.workload,
            dataset=description.dataset,
            samples=calls_of(batch_size) * batch_size,
            epochs=1,
            batch_size=batch_size,
            input="arrays",
            backend=backend,
            device=device,
            numerics=numerics,
            task=task,
            track=track,
            variant=variant,
        )


def _inference_batch_sizes(options: RunOptions, description: Workload) -> tuple[int, ...]:
    available = description.test_samples
    sizes = options.batch_sizes or tuple(dict.fromkeys((1, min(LARGE_BATCH, available))))
    check_batch_sizes(description, sizes)
    return sizes


def check_batch_sizes(description: Workload, sizes: Sequence[int]) -> None:
    """Refuse a batch that the test samples do not fill."""
    available = description.test_samples
    if max(sizes) > available:
        name = stem(description.workload)
        raise UsageError(f"{name}: a batch of {max(sizes)} is larger than its {available} test samples")
