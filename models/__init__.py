"""What is trained: each module of this folder defines one `workload`, found by the module's file name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names and data sets are listed without importing Keras
    import keras


@dataclass(frozen=True)
class Target:
    """What the trained model should reach on the test set.

    `value` is a fraction, `margin` the largest difference between two backends that still counts as equivalent,
    `source` says where the value comes from. `metric` is a name that `model.compile(metrics=[…])` knows.
    """

    metric: str
    value: float
    source: str
    margin: float = 0.005


@dataclass(frozen=True)
class Workload:
    """Everything that must be equal on every backend.

    `build` returns a fresh, uncompiled model whose outputs are logits; `optimizer` and `loss` return fresh objects, so
    that importing a workload allocates nothing. `epochs` is what reaching the target takes. `quick_samples` are
    trained in the smoke test, `cpu_samples` in the default profile on a CPU (None: all), always the first of the set.
    """

    build: Callable[[], keras.Model]
    dataset: str
    batch_size: int
    epochs: int
    optimizer: Callable[[], keras.optimizers.Optimizer]
    loss: Callable[[], keras.losses.Loss]
    target: Target
    quick_samples: int
    cpu_samples: int | None = None
