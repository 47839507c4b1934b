"""The entries of Keras's logs: what a training, an evaluation or a step says of loss and metrics, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOSS = "loss"  # under which Keras has it


def entry(logs: Mapping[str, Any], name: str) -> float:
    """The value of an entry; of the loss, where none is called so, that of `loss_name`."""
    return float(logs[loss_name(logs) if name == LOSS else name])


def loss_name(logs: Mapping[str, Any]) -> str:
    """Under which name the loss stands: a `train_step` or `metrics` of one's own may call it otherwise.

    It is `loss`, else `total_loss`, else the first with `loss` in its name, else the first of all.
    """
    called = [name for name in logs if LOSS in name]
    return next((name for name in (LOSS, "total_loss") if name in logs), [*called, *logs][0])
