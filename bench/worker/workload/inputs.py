"""What `fit` is handed: the same batches in the same order, as arrays or as a framework's own input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from bench.contract.case import RESIDENT, input_kinds
from bench.worker import backends
from bench.worker.backends import Maker
from models.datasets import count, mapped, taken


def arguments(kind: str, parts: Sequence[Any], batch_size: int) -> Mapping[str, Any]:
    """The arguments of `fit` that hand it arrays of shape (samples, …) in batches, whose order is kept.

    `parts` are samples, labels and, where there are some, weights; each an array or a structure of arrays.
    """
    if kind in MAKERS:
        return MAKERS[kind](parts, batch_size)
    if kind == RESIDENT:
        own = backends.inputs(keras.backend.backend())
        return own.resident(*(in_batches(part, batch_size) for part in parts))
    return backends.inputs(input_kinds()[kind] or "").MAKERS[kind](parts, batch_size)


def in_batches(samples: Any, batch_size: int) -> Any:
    """Arrays of shape (samples, …) as (steps, batch, …)."""
    return mapped(lambda array: array.reshape(-1, batch_size, *array.shape[1:]), samples)


def _arrays(parts: Sequence[Any], batch_size: int) -> Mapping[str, Any]:
    named = zip(("x", "y", "sample_weight"), parts, strict=False)
    return {**dict(named), "batch_size": batch_size}


def _py_dataset(parts: Sequence[Any], batch_size: int) -> Mapping[str, Any]:
    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return count(parts[0]) // batch_size

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            batch = slice(index * batch_size, (index + 1) * batch_size)
            return tuple(taken(part, batch) for part in parts)

    return {"x": Batches()}


MAKERS: Mapping[str, Maker] = {"arrays": _arrays, "PyDataset": _py_dataset}
