"""The batches of a ladder: a workload's data in the seed's order, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bench.contract.parity import LADDER_BATCH
from bench.worker.workload import load
from models.datasets import count, taken


def next_batch(batches: Any, step: int, batch_size: int) -> tuple[Any, ...]:
    """The parts of a step's batch."""
    first = step * batch_size % count(batches.x)
    return tuple(widened(taken(part, slice(first, first + batch_size))) for part in batches.parts)


def widened(part: Any) -> Any:
    """In exact mode floating-point data as float64.

    Keras casts what a model is called on, but on JAX `fit` calls a model of a user's own class without it
    (`stateless_call`, Keras 3.15.1): a layer that follows its input's type then computes in float32.
    """
    return load.widened(part, keras.config.floatx())


def stacked(batches: Sequence[Any]) -> Any:
    """Batches of one structure, as arrays of shape (steps, batch, …)."""
    if isinstance(batches[0], dict):
        return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    if isinstance(batches[0], tuple):
        return tuple(map(np.stack, zip(*batches, strict=True)))
    return np.stack(batches)


_LAST: dict[tuple[Any, ...], tuple[Any, Any]] = {}  # one entry: workloads with the same data follow each other


def ladder_data(workload: Any, seed: int, steps: int) -> tuple[Any, Any]:
    """A workload's data and its batches in the seed's order; of data that are drawn, as many as there are steps."""
    weights = tuple((workload.class_weight or {}).items())
    key = workload.dataset, weights, seed, steps
    if key not in _LAST:
        _LAST.clear()
        dataset = load.dataset_of(workload, steps * LADDER_BATCH)
        _LAST[key] = dataset, load.batches(dataset, count(dataset.x_train), LADDER_BATCH, seed)
    return _LAST[key]
