"""What `fit` is handed: the same batches in the same order, as arrays or as what the frameworks bring along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

INPUTS = ("arrays", "PyDataset", "tf.data", "DataLoader")


def unavailable(kind: str, backend: str) -> str:
    """Why a backend is not handed this kind of input; empty where it can be."""
    needed = {"tf.data": "tensorflow", "DataLoader": "torch"}.get(kind, backend)
    return "" if needed == backend else f"{kind} needs {needed}, which the environment of {backend} does not have"


def arguments(kind: str, x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    """The arguments of `fit` that hand it arrays of shape (samples, …) in batches, whose order is kept."""
    return MAKERS[kind](x, y, batch_size)


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


def _tf_data(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    import tensorflow as tf

    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size).prefetch(tf.data.AUTOTUNE)}


def _data_loader(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    import torch
    from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

    samples = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    # A sampler of whole batches: one gather each, where a DataLoader otherwise fetches and stacks sample by sample.
    sampler = BatchSampler(SequentialSampler(samples), batch_size, drop_last=True)
    return {"x": DataLoader(samples, sampler=sampler, batch_size=None)}


MAKERS: Mapping[str, Callable[[Any, Any, int], Mapping[str, Any]]] = dict(
    zip(INPUTS, (_arrays, _py_dataset, _tf_data, _data_loader), strict=True)
)
