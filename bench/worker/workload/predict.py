"""Task predict: the batches of a launch, the function called on them, its time, whether its outputs are right."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from bench.contract.agreement import DIGITS, USUAL_DIGITS, disagreement
from bench.contract.case import Case
from bench.worker import backends
from bench.worker.backends import Call
from bench.worker.errors import StartError
from bench.worker.timing import gauges
from bench.worker.timing.gauges import Counters
from bench.worker.timing.nvml import Gpu, during, nothing
from models.datasets import Part, arrays_of, count, taken

Result = TypeVar("Result")
WARM_UP = 5  # calls after the first that are not recorded: the second and third still settle
OBSERVED = 32  # of the test samples, whose outputs are kept
OWN = "own"  # whose call is no function of a batch
KERAS_TRACKS = ("fit", "on_batch", "call")  # that call the Keras model itself
MOST_OUTPUTS = 512  # numbers that are kept of them


def batches(samples: Part, batch_size: int) -> list[Part]:
    """The test samples in batches, in their order, as views; without the last partial one."""
    there = count(samples)
    if there < batch_size:
        raise StartError(f"a batch of {batch_size} is larger than the {there} test samples")
    firsts = range(0, there - batch_size + 1, batch_size)
    return [taken(samples, slice(first, first + batch_size)) for first in firsts]


def keras_call(track: str, model: keras.Model, batch_size: int) -> Call:
    """What a track of KERAS_TRACKS calls on a batch; its outputs end on the host."""
    if track == "fit":
        return lambda x: model.predict(x, batch_size=batch_size, verbose=0)
    if track == "on_batch":
        return lambda x: model.predict_on_batch(x)
    return lambda x: keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))


def call(case: Case, model: keras.Model, example: Part, folder: Path) -> Call:
    """What a case's track calls on a batch like `example`; an exported model is written into `folder`.

    Where a model's own `generate` is called, its logits are those of `model.predict`.
    """
    if case.track in (*KERAS_TRACKS, OWN):
        return keras_call("fit" if case.track == OWN else case.track, model, case.batch_size)
    if len(arrays_of(example)) > 1:
        raise StartError(f"predict in track {case.track} takes a model with one input; this one has several")
    return backends.caller(case.backend, case.track, model, example, folder)


def measure(
    called: Call,
    given: Sequence[Part],
    number: int,
    now: Callable[[], float] = time.perf_counter,
    counters: Callable[[], Counters] = gauges.counters,
    probe: Callable[[], float] = gauges.probe,
    gpu: Callable[[], Gpu] = nothing,
) -> dict[str, Any]:
    """Seconds of the first call, and of each of `number` calls in a row; `series` has the gauges around these.

    Each call takes the next of the batches, over and over, and ends when its outputs are on the host. `WARM_UP` calls
    between the first and the others are not recorded.
    """
    following = itertools.cycle(given)

    def timed() -> float:
        batch = next(following)
        began = now()
        called(batch)
        return now() - began

    first_seconds = timed()
    for _ in range(WARM_UP):
        timed()
    seconds, series = gauged(lambda: [timed() for _ in range(number)], now, counters, probe, gpu)
    return {"first_seconds": first_seconds, "seconds": seconds, "series": series}


def gauged(
    work: Callable[[], Result],
    now: Callable[[], float] = time.perf_counter,
    counters: Callable[[], Counters] = gauges.counters,
    probe: Callable[[], float] = gauges.probe,
    gpu: Callable[[], Gpu] = nothing,
) -> tuple[Result, dict[str, Any]]:
    """What some work gives, and as a record has it how long it took and what the noise gauges say of that time."""
    gpu_before = gpu()
    probed, before, began = probe(), counters(), now()
    result = work()
    ended, after = now(), counters()
    noise = gauges.noise(before, after, (probed, probe()), during(gpu_before, gpu()))
    cpu_seconds = after.cpu_seconds - before.cpu_seconds
    return result, {"seconds": ended - began, "cpu_seconds": cpu_seconds, **noise.to_json()}


def outputs(called: Call, given: Sequence[Part], kind: str) -> list[float]:
    """What a call gives for the first test samples, `MOST_OUTPUTS` numbers at most, spread evenly.

    Each has the digits that the numerics `kind` is judged by.

    Raises TypeError where it does not give arrays, so that its work may not be done, and ArithmeticError where an
    output is not finite.
    """
    found = [keras.tree.flatten(called(batch)) for batch in given[: math.ceil(OBSERVED / count(given[0]))]]
    for one in found[0]:
        if not isinstance(one, np.ndarray):
            raise TypeError(f"a call gives {type(one).__name__}, not an array on the host")
    parts = [np.concatenate(part)[:OBSERVED].astype(np.float64).ravel() for part in zip(*found, strict=True)]
    flat = np.concatenate(parts)
    kept = flat[:: math.ceil(len(flat) / MOST_OUTPUTS)]
    if not np.isfinite(kept).all():
        raise ArithmeticError("an output is not finite")
    return [float(f"{value:.{DIGITS.get(kind, USUAL_DIGITS)}g}") for value in kept]


def check(ours: Sequence[float], model: keras.Model, given: Sequence[Part], case: Case) -> None:
    """Raise ArithmeticError where a track's outputs are not those of `model.predict`."""
    predicted = outputs(lambda x: model.predict(x, batch_size=case.batch_size, verbose=0), given, case.numerics)
    apart = disagreement(ours, predicted, case.numerics)
    if apart:
        raise ArithmeticError(f"track {case.track} gives other outputs than model.predict: {apart}")
