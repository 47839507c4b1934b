"""What TensorFlow hands to `fit`; see `Inputs`."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from bench.worker.backends import Maker


def as_guest() -> None:
    """See `Inputs`."""
    tf.config.set_visible_devices([], "GPU")  # else it takes nearly all of its memory at its first tensor


def resident(*parts: Any) -> Mapping[str, Any]:
    """See `Inputs`."""
    return {"x": tf.data.Dataset.from_tensor_slices(parts).prefetch(tf.data.AUTOTUNE)}


def _tf_data(parts: Sequence[Any], batch_size: int) -> Mapping[str, Any]:
    return {"x": tf.data.Dataset.from_tensor_slices(tuple(parts)).batch(batch_size).prefetch(tf.data.AUTOTUNE)}


MAKERS: Mapping[str, Maker] = {"tf.data": _tf_data}
