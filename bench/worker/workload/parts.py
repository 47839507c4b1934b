"""Where the time of a training step goes: the same training with one thing taken away after the other, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from bench.contract import case, explain
from bench.contract.tuning import HOPELESS
from bench.worker import backends
from bench.worker.timing.memory import Looks
from bench.worker.workload import calls, inputs
from bench.worker.workload.compiled import in_words, metric_names
from bench.worker.workload.model import compilation, fixed_batch
from bench.worker.workload.trainings import Bench, Training

# Rounds of a launch, in which every training takes its turn; the fastest epoch counts. Fewer where an epoch is long.
ROUNDS, FEWER_ROUNDS, LONG_SECONDS = 3, 1, 0.5
SGD_RATE = 1e-4  # so small that no training runs away


def measure(bench: Bench, backend: backends.Backend) -> dict[str, Any]:
    """What every training took, and what was seen besides: compilations of warm epochs, memory over epochs."""
    _add(bench)
    needed = list(bench.trainings.values())
    _warm_up(needed, backend)
    _add_tried(bench)
    tried = list(bench.trainings.values())[len(needed) :]
    _warm_up(tried, backend)
    base = bench.trainings[explain.AS_IT_IS]
    seen = backends.explain(keras.backend.backend())
    before = seen.compilations(base.model) if base.model else 0
    is_long = (base.epoch_seconds or 0.0) > LONG_SECONDS
    for _ in range(FEWER_ROUNDS if is_long else ROUNDS):
        for training in (*needed, *tried):
            training.fit(backend.barrier)
        tried = [one for one in tried if not _is_hopeless(one, base)]  # not before: some compile in their second call
    compiled = (seen.compilations(base.model) if base.model else 0) - before
    looks = Looks(backend.held_device_mib)
    bench.trainings[explain.SHORT].fit(backend.barrier, explain.LEAKING_EPOCHS, looks.take)
    besides = {} if base.error else _besides(bench, backend)  # last, since it shows the step other shapes
    return {
        "trainings": {name: training.to_json() for name, training in bench.trainings.items()},
        "compilations": compiled,
        **looks.to_json(),
        **besides,
    }


def _warm_up(trainings: Sequence[Training], backend: backends.Backend) -> None:
    """Train a cold epoch and a warm one of each."""
    for training in trainings:
        training.fit(backend.barrier)


def _is_hopeless(tried: Training, base: Training) -> bool:
    """Whether what is tried took so long for a sample in all its warm epochs that no later one can gain."""
    took = [(one.epoch_seconds or 0.0) / one.steps / one.batch_size for one in (tried, base)]
    return took[0] > HOPELESS * took[1] > 0


def _besides(bench: Bench, backend: backends.Backend) -> dict[str, Any]:
    """What is no part of a step: a step of validation, what a partial last batch costs the first epoch, single calls.

    None of the seconds where the model takes batches of one size alone, or what is tried fails.
    """
    model, size = bench.trainings[explain.AS_IT_IS].model, bench.workload.batch_size
    free = size > 1 and fixed_batch(model) is None
    return {
        "validation_seconds": _validation_seconds(bench, model, size),
        "partial_batch_seconds": _partial_batch_seconds(bench, backend.barrier, size) if free else None,
        "calls": calls.measure(model, bench.parts, size, free, lambda: Looks(backend.held_device_mib)),
    }


def _validation_seconds(bench: Bench, model: Any, size: int) -> float | None:
    """Of a step of `evaluate`, which validation is: the fastest of two warm epochs."""
    given = inputs.arguments("arrays", bench.repeated(bench.steps * size), size)
    seconds = []
    try:
        for _ in range(3):
            began = time.perf_counter()
            model.evaluate(**given, verbose=0)  # gives numbers, which are waited for
            seconds.append(time.perf_counter() - began)
    except Exception:  # a test_step of a user's own, say
        return None
    return min(seconds[1:]) / bench.steps


def _partial_batch_seconds(bench: Bench, barrier: Callable[[], None], size: int) -> float | None:
    """By how much the first epoch with a last batch of half the size is longer than the next."""
    training = Training(bench.steps // explain.SHORTER + 1, size, bench.trainings[explain.AS_IT_IS].model)
    samples = (training.steps - 1) * size + size // 2
    training.handed = lambda: inputs.arguments("arrays", bench.repeated(samples), size)
    training.fit(barrier)
    if training.error or training.cold_seconds is None or training.epoch_seconds is None:
        return None
    return training.cold_seconds - training.epoch_seconds


def about(bench: Bench, samples: int) -> dict[str, Any]:
    """What sentences need to know: what is trained with, how, by which callbacks, and how long an epoch is."""
    model = bench.trainings[explain.AS_IT_IS].model
    if model is None:
        return {}
    given = compilation(bench.workload, model, bench.parts[1])
    return {
        "trained_with": in_words(given, (), model),
        "optimizer": type(model.optimizer).__name__,
        "metrics": metric_names(given),
        "input": bench.input,
        "jit_compile": model.jit_compile,
        "run_eagerly": model.run_eagerly,
        "callbacks": [type(one).__name__ for one in bench.trainings[explain.AS_IT_IS].callbacks],
        "steps_per_epoch": max(samples // bench.workload.batch_size, 1),
    }


def _add(bench: Bench) -> None:
    """The trainings with something taken away, and what advice may come to."""
    workload = bench.workload
    callbacks = list(workload.callbacks()) if workload.callbacks else []
    bench.add(explain.AS_IT_IS, kind=None, callbacks=callbacks)
    bench.add(explain.SHORT, explain.AS_IT_IS, kind=None, steps=bench.steps // explain.SHORTER, callbacks=callbacks)
    if callbacks:
        bench.add(explain.QUIET, explain.AS_IT_IS, kind=None)
    if bench.own is not None:
        bench.add(explain.HELD, explain.AS_IT_IS, kind="arrays", callbacks=callbacks)
    bench.add(explain.RESIDENT, explain.AS_IT_IS)
    without = {"metrics": None, "weighted_metrics": None}
    bench.add(explain.UNMEASURED, compiled=without)
    bench.add(explain.PLAIN, compiled={"optimizer": keras.optimizers.SGD(SGD_RATE), **without})
    model = bench.trainings[explain.PLAIN].model
    if model is not None and fixed_batch(model) is None and workload.batch_size > 1:
        bench.add(explain.SINGLE, explain.PLAIN, batch_size=1)


def _add_tried(bench: Bench) -> None:
    """The trainings that advice may come to, once each of the others has had a warm epoch: what can gain, no other."""
    base, size = bench.trainings[explain.AS_IT_IS], bench.workload.batch_size
    if bench.own is None and explain.SINGLE in bench.trainings and _may_gain(bench, "per step"):
        steps = bench.steps // explain.TIMES
        larger: dict[str, Any] = {"steps": steps, "batch_size": size * explain.TIMES, "callbacks": base.callbacks}
        bench.add(explain.LARGER, explain.AS_IT_IS, kind=None, **larger)
    for part, name, kind, compiled in _tried(bench):
        if not part or _may_gain(bench, part):
            bench.add(name, kind=kind, callbacks=base.callbacks, compiled=compiled)


def _may_gain(bench: Bench, part: str) -> bool:
    """Whether a part of the step may come to the share at which it is advised about; half of it, by a single epoch."""
    names = (explain.AS_IT_IS, explain.QUIET, explain.RESIDENT, explain.SINGLE)
    found = {name: bench.trainings[name] for name in names if name in bench.trainings}
    step = {name: (one.epoch_seconds or 0.0) / one.steps for name, one in found.items()}
    if not all(step.values()):  # nobody knows
        return True
    whole = step[explain.AS_IT_IS]
    if part == "input":
        taken = step.get(explain.QUIET, whole) - step[explain.RESIDENT]
    else:
        taken = step.get(explain.SINGLE, whole)
    return taken >= explain.ADVISED[part] / 2 * whole


def _tried(bench: Bench) -> Iterator[tuple[str, str, str | None, dict[str, Any]]]:
    """What may be faster: the part that it is for, the words that advise it, the input, settings of `model.compile`."""
    model = bench.trainings[explain.AS_IT_IS].model
    name = keras.backend.backend()
    if model is None:
        return
    if model.run_eagerly:
        yield "", "run_eagerly=False", None, {"run_eagerly": False}
        return
    yield "per step", f"steps_per_execution={explain.EXECUTIONS}", None, {"steps_per_execution": explain.EXECUTIONS}
    if backends.explain(name).tries_jit(bool(model.jit_compile)):
        yield "", f"jit_compile={not model.jit_compile}", None, {"jit_compile": not model.jit_compile}
    for kind in case.input_kinds() if bench.own is None else ():
        if kind not in ("arrays", case.RESIDENT) and not case.input_unavailable(kind, name):
            yield "input", f"input {kind}", kind, {}
