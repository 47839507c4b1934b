"""What `fit` is handed: the same batches in the same order, as arrays or as a framework's own input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from bench.contract.case import INPUTS


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


def _resident(x: Any, y: Any, batch_size: int) -> Mapping[str, Any]:
    """Each backend's tensors, handed out by whatever costs the least there."""
    whole = [part.reshape(-1, batch_size, *part.shape[1:]) for part in (x, y)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return {"x": tf.data.Dataset.from_tensor_slices(tuple(whole)).prefetch(tf.data.AUTOTUNE)}
    placed = [tuple(keras.ops.convert_to_tensor(part[step]) for part in whole) for step in range(len(whole[0]))]
    if keras.backend.backend() == "torch":
        from torch.utils.data import DataLoader

        return {"x": DataLoader(placed, batch_size=None)}

    class Placed(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(placed)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return placed[index]

    return {"x": Placed()}


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
    zip(INPUTS, (_arrays, _py_dataset, _tf_data, _data_loader, _resident), strict=True)
)
