"""Track `loop` on TensorFlow: the Keras model and optimizer in a `tf.function` of our own, with or without XLA."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from bench.worker.backends import Knobs, Pass, placed, undisturbed
from models.datasets import arrays_of, taken

# `scan` makes the whole pass one call, with a loop in the graph, `call` one step, which is called for each batch. On a
# CPU XLA is the faster of the two where operations are small, and the slower by far where there are convolutions.
KNOBS: Mapping[str, Sequence[Any]] = {"steps": ("scan", "call"), "xla": (False, True)}


def make(model: Any, metric: str, knobs: Knobs) -> "Loop":
    """See `Trainer`."""
    return Loop(model, metric, knobs)


class Loop:
    """See `Trainer`."""

    def __init__(self, model: Any, metric: str, knobs: Knobs) -> None:
        self._model, self._metric = model, metric
        self._whole = knobs["steps"] == "scan"
        self._begun = False
        model.optimizer.build(model.trainable_variables)
        pass_ = self._scan if self._whole else self._step
        self._compiled = tf.function(pass_, autograph=False, jit_compile=knobs["xla"])

    def place(self, *parts: Any) -> Any:
        if not self._begun:
            self._begin(*(taken(part, 0) for part in parts))
        return placed(parts, self._whole, tf.constant)

    def train(self, batches: Any) -> Pass:
        model = self._model
        model.reset_metrics()
        # Arguments, since a function would take what it closes over for constants, and XLA compile them in.
        losses = self._compiled(*batches) if self._whole else tf.stack([self._compiled(*batch) for batch in batches])
        return Pass(losses.numpy(), float(model.get_metrics_result()[self._metric]))

    def store(self) -> None:
        """Do nothing: the Keras model's own variables are trained."""

    def copies(self) -> Sequence[Any]:
        return ()

    def _begin(self, x: Any, y: Any, weights: Any = None) -> None:
        """Let Keras make the metrics' variables, which it does at their first use and cannot do in the function."""
        with undisturbed(self._model):
            self._model.compute_metrics(x, y, self._model(x, training=False), weights)
        self._begun = True

    def _scan(self, *parts: Any) -> Any:
        def step(number: Any) -> Any:
            return self._step(*(taken(part, number) for part in parts))

        steps = tf.range(arrays_of(parts[0])[0].shape[0])
        return tf.map_fn(step, steps, fn_output_signature=keras.config.floatx())

    def _step(self, x: Any, y: Any, weights: Any = None) -> Any:
        model = self._model
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x, y, outputs, weights, training=True)
            scaled = model.optimizer.scale_loss(loss)  # as it is, but for float16
        model.optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        model.compute_metrics(x, y, outputs, weights)
        return loss
