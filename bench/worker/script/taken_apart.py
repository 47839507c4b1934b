"""The timed `fit` of a script as a workload, so that its step is taken apart like any other's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.worker.errors import StartError
from bench.worker.script.first_fit import Fit, check_built, is_arrays
from bench.worker.workload.trainings import Bench
from models import Compilation, Workload
from models.datasets import count


class Theirs(keras.utils.PyDataset):
    """So many batches of a script's own input, which begins anew where it ends."""

    def __init__(self, source: Any, length: int) -> None:
        own = isinstance(source, keras.utils.PyDataset)
        names = ("workers", "use_multiprocessing", "max_queue_size") if own else ()
        super().__init__(**{name: getattr(source, name) for name in names})
        self._source, self._length, self._is_indexed = source, length, own
        self._batches: Iterator[Any] = iter(())
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if self._is_indexed:
            return self._source[index % len(self._source)]
        with self._lock:
            batch = next(self._batches, None)
            if batch is None:
                self._batches = iter(self._source)
                batch = next(self._batches, None)
        if batch is None:
            raise StartError("its generator ends; one without end can be taken apart")
        return batch


def bench_of(fit: Fit, size: int, steps: int, weights: Path, seed: int) -> tuple[Bench, int]:
    """What a fit is measured by, and how many samples its epoch has.

    `size` is its batch's, `steps` what an epoch of a measured training has. Raises StartError for a model that cannot
    be made a second time, and for data without labels.
    """
    check_built(fit.model)
    x = fit.arguments["x"]
    has_arrays = is_arrays(x)
    parts = _arrays(fit) if has_arrays else _batches(x, size, steps)
    if len(parts) < 2:
        raise StartError("its fit is given no labels; only a model that is given some is taken apart")
    workload = Workload(
        build=lambda: _again(fit.model),
        dataset="",
        batch_size=size,
        epochs=fit.epochs,
        quick_samples=size,
        compilation=lambda _model, _labels: _compiled_anew(fit),
        callbacks=(lambda: fit.callbacks) if fit.callbacks else None,
    )
    own: Callable[[int], Mapping[str, Any]] | None = None if has_arrays else lambda length: _taken(x, length)
    name = "arrays" if has_arrays else type(x).__name__
    samples = count(parts[0]) if has_arrays else size * _steps_of(fit, steps)
    return Bench(workload, parts, weights, seed, "float32", steps, own=own, input=name), samples


def _arrays(fit: Fit) -> list[Any]:
    given = [fit.arguments[name] for name in ("x", "y", "sample_weight")]
    return [keras.tree.map_structure(keras.ops.convert_to_numpy, one) for one in given if one is not None]


def _batches(x: Any, size: int, steps: int) -> Sequence[Any]:
    """So many of an input's whole batches, in memory, as arrays."""
    theirs = Theirs(x, steps)
    taken = [keras.tree.map_structure(keras.ops.convert_to_numpy, tuple(theirs[number])) for number in range(steps)]
    whole = [one for one in taken if count(one[0]) == size]
    return list(keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *whole))


def _taken(x: Any, length: int) -> Mapping[str, Any]:
    """What `fit` is handed of an input of a script's: its own kind where that can be cut to a length."""
    if hasattr(x, "repeat") and hasattr(x, "take"):
        return {"x": x.repeat().take(length)}
    return {"x": Theirs(x, length)}


def _steps_of(fit: Fit, usual: int) -> int:
    """Of an epoch of the script's; as many as are measured where nobody can tell."""
    try:
        return int(fit.arguments["steps_per_epoch"] or len(fit.arguments["x"]))
    except TypeError:
        return usual


def _again(model: keras.Model) -> keras.Model:
    """Such a model once more; Keras would compile it as well, for which its losses and metrics may not be made."""
    compiled, model.compiled = model.compiled, False
    try:
        return keras.models.clone_model(model)
    except (ValueError, TypeError, NotImplementedError):
        name = type(model).__name__
        raise StartError(f"{name} cannot be made again by keras.models.clone_model, as a functional one can") from None
    finally:
        model.compiled = compiled


def _compiled_anew(fit: Fit) -> Compilation:
    """What it is compiled with, with an optimizer that no other model has."""
    given = fit.compilation
    optimizer = given.optimizer
    return replace(given, optimizer=type(optimizer).from_config(optimizer.get_config()))
