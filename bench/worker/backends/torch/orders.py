"""Where a weight of track `native` has another order on PyTorch than in Keras, by the layer's kind and its role."""

from typing import Any

import torch

Tensor = Any  # torch.Tensor, which is not there when the types are checked

# Keras's axes in torch's order.
AXES: dict[tuple[str, str], tuple[int, ...]] = {
    ("Dense", "kernel"): (1, 0),
    ("Conv2D", "kernel"): (3, 2, 0, 1),
    ("MultiHeadAttention", "query kernel"): (1, 2, 0),
    ("MultiHeadAttention", "key kernel"): (1, 2, 0),
    ("MultiHeadAttention", "value kernel"): (1, 2, 0),
    ("MultiHeadAttention", "output kernel"): (2, 0, 1),
    ("LSTM", "kernel"): (1, 0),
    ("LSTM", "recurrent kernel"): (1, 0),
    ("GRU", "kernel"): (1, 0),
    ("GRU", "recurrent kernel"): (1, 0),
}


def to_torch(value: Tensor, kind: str, role: str) -> Tensor:
    """A weight as torch has it."""
    axes = AXES.get((kind, role))
    value = _gates_swapped(value) if kind == "GRU" else value
    return value.permute(axes) if axes else value


def to_keras(value: Tensor, kind: str, role: str) -> Tensor:
    """A weight as Keras has it."""
    axes = AXES.get((kind, role))
    value = value.permute(sorted(range(len(axes)), key=axes.__getitem__)) if axes else value
    return _gates_swapped(value) if kind == "GRU" else value


def _gates_swapped(value: Tensor) -> Tensor:
    """Of a GRU, in Keras's order of axes: update and reset in turn, which is Keras's order from torch's and back."""
    first, second, candidate = value.chunk(3, dim=-1)
    return torch.cat([second, first, candidate], dim=-1)
