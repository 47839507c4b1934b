"""Which layers and operations a training step spends its time in: one warm epoch under the framework's own profiler."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from bench.contract import explain
from bench.contract.operations import BACKWARD, FORWARD, LOSS, METRICS, OPTIMIZER, OTHER, UPDATE
from bench.worker import backends
from bench.worker.backends.spans import Operation, Trace, home, scope_name
from bench.worker.errors import reason
from bench.worker.workload.trainings import Bench, Training

# Steps of the traced epoch: enough to even out, and few enough for a trace of some MiB that is read within seconds.
LEAST_STEPS, MOST_STEPS, LONGEST_SECONDS = 4, 24, 2.0


class Home(NamedTuple):
    """What operations belong to: the path of a layer's name below the model and its class, or a word for both."""

    layer: str
    kind: str


def operations(bench: Bench, backend: backends.Backend, folder: Path) -> dict[str, Any]:
    """The operations of the training as it is, in seconds and calls a step, once all else is measured.

    The profiler's own files stay in `folder`. Whatever goes wrong is a reason in one line, under `error`.
    """
    try:
        return _operations(bench, backend, folder)
    except Exception as error:  # a profiler may fail in any way, and a user's code too
        return {"error": reason(error)}


def _operations(bench: Bench, backend: backends.Backend, folder: Path) -> dict[str, Any]:
    training = _training(bench)
    if training.error:
        return {"error": training.error}
    profile = backends.profile(keras.backend.backend())
    homes = named(training.model, profile.scope)
    for _ in range(2):  # compiles anew, with the scopes; some compile again the second time
        _epoch(training, backend)
    plain = _epoch(training, backend)
    took: list[float] = []
    trace = profile.trace(lambda: took.append(_epoch(training, backend)), folder)
    if not trace.operations:
        return {"error": "the profiler saw no operation"}
    return {
        "error": "",
        "steps": training.steps,
        "plain_seconds": plain,
        "traced_seconds": took[0],
        "trace": str(trace.file.relative_to(folder.parent)),
        "rows": _rows(trace, homes, training.steps),
    }


def _training(bench: Bench) -> Training:
    """The training as it is, with an epoch of fewer steps."""
    whole = bench.trainings[explain.AS_IT_IS]
    step_seconds = (whole.epoch_seconds or 0.0) / whole.steps
    most = int(LONGEST_SECONDS / step_seconds) if step_seconds else MOST_STEPS
    steps = min(max(most, LEAST_STEPS), MOST_STEPS)
    bench.add("traced", explain.AS_IT_IS, kind="arrays", steps=steps, callbacks=whole.callbacks)
    training = bench.trainings.pop("traced")
    training.error = training.error or whole.error
    return training


def _epoch(training: Training, backend: backends.Backend) -> float:
    """Train one epoch and say what it took."""
    (seconds,), _ = training.train(backend.barrier, 1)
    return seconds


def named(model: Any, scope: Callable[[str], Any]) -> Sequence[Home]:
    """Open a scope around each layer, loss, metrics and update of a compiled model; their numbers count these homes.

    Keras opens scopes of its own for layers, but not on every backend, nor for what is no layer. The step is another
    function from now on, so that it is compiled anew.
    """
    homes: list[Home] = []
    for thing, name, one in _scoped(model):
        setattr(thing, name, _within(getattr(thing, name), scope, scope_name(len(homes), one.layer)))
        homes.append(one)
    step = model.train_step

    def traced_step(*arguments: Any) -> Any:
        return step(*arguments)

    model.train_step = traced_step
    model.make_train_function(force=True)
    return homes


def _scoped(model: Any) -> Iterator[tuple[Any, str, Home]]:
    """What is called in a step, by object and name, and where that belongs; what no layer does is the model's own."""
    yield model, "call", Home(model.name, type(model).__name__)
    for path, layer in _layers(model):
        yield layer, "call", Home(path, type(layer).__name__)
    yield model, "compute_loss", Home(LOSS, LOSS)
    yield model, "compute_metrics", Home(METRICS, METRICS)
    optimizer = model.optimizer
    while optimizer is not None:
        yield optimizer, "apply", Home(OPTIMIZER, OPTIMIZER)
        optimizer = getattr(optimizer, "inner_optimizer", None)  # of one that scales the loss


def _within(function: Callable[..., Any], scope: Callable[[str], Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)  # Keras looks at the arguments
    def scoped(*arguments: Any, **named: Any) -> Any:
        with scope(name):
            return function(*arguments, **named)

    return scoped


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Every layer below a model once, with the path of its name."""
    seen: set[int] = set()
    waiting = [("", model)]
    while waiting:
        above, parent = waiting.pop(0)
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            if id(layer) not in seen:
                seen.add(id(layer))
                waiting.append((f"{above}{layer.name}/", layer))
                yield f"{above}{layer.name}", layer


def _rows(trace: Trace, homes: Sequence[Home], steps: int) -> list[dict[str, Any]]:
    """The operations by layer, phase and name, the dearest first."""
    seconds: Counter[tuple[Home, str, str]] = Counter()
    calls: Counter[tuple[Home, str, str]] = Counter()
    for operation in trace.operations:
        key = (*_place(operation, homes), operation.name)
        seconds[key] += operation.seconds  # type: ignore[assignment] # which counts in fractions too
        calls[key] += 1
    return [
        {**one._asdict(), "phase": phase, "operation": name, "seconds": took / steps, "calls": calls[key] / steps}
        for key, took in seconds.most_common()
        for one, phase, name in (key,)
    ]


def _place(operation: Operation, homes: Sequence[Home]) -> tuple[Home, str]:
    """The home of an operation and its phase; of what has no home, the phase is known of the backward pass alone."""
    number = home(operation.scopes)
    one = Home(OTHER, OTHER) if number is None else homes[number]
    if one.layer == OPTIMIZER:
        return one, UPDATE
    return one, BACKWARD if operation.is_backward else "" if number is None else FORWARD
