"""Task predict on TensorFlow: the model in a `tf.function`, and a SavedModel that was written and loaded.

Neither asks for XLA, nor does `model.predict` of a model that was not compiled for training.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bench.worker.backends import Array, Call


def loop(model: Any, example: Array, folder: Path) -> Call:  # noqa: ARG001
    """See `backends.caller`."""
    compiled = tf.function(lambda x: model(x, training=False), autograph=False)
    return lambda x: _arrays(compiled(tf.constant(x)))


def native(model: Any, example: Array, folder: Path) -> Call:
    """See `backends.caller`."""
    signature = [keras.InputSpec(shape=example.shape, dtype=example.dtype.name)]
    model.export(str(folder / "model"), format="tf_saved_model", input_signature=signature, verbose=False)
    loaded = tf.saved_model.load(str(folder / "model"))
    return lambda x: _arrays(loaded.serve(tf.constant(x)))


def _arrays(outputs: Any) -> Any:
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), outputs)
