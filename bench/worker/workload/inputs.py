"""What `fit` is handed: the same batches in the same order, as arrays or as a framework's own input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bench.contract.case import RESIDENT
from bench.worker import backends
from bench.worker.backends import Maker


def arguments(kind: str, x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    """The arguments of `fit` that hand it arrays of shape (samples, …) in batches, whose order is kept."""
    if kind in MAKERS:
        return MAKERS[kind](x, y, batch_size)
    own = backends.inputs(keras.backend.backend())
    if kind == RESIDENT:
        return own.resident(*(part.reshape(-1, batch_size, *part.shape[1:]) for part in (x, y)))
    return own.MAKERS[kind](x, y, batch_size)


def _arrays(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    return {"x": x, "y": y, "batch_size": batch_size}


def _py_dataset(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(x) // batch_size

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            batch = slice(index * batch_size, (index + 1) * batch_size)
            return x[batch], y[batch]

    return {"x": Batches()}


MAKERS: Mapping[str, Maker] = {"arrays": _arrays, "PyDataset": _py_dataset}
