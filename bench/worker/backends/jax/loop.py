"""Track `loop` on JAX: the Keras model and optimizer, stateless, in a loop of our own with donated buffers."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras

from bench.worker.backends import Knobs, Pass, placed, undisturbed
from models.datasets import taken

# `scan` compiles the whole pass into one program, `call` one step, which is called for each batch. XLA does not run
# convolutions inside a scan with several threads on a CPU: 0.38 s a step of `cnn` for 0.03 s on two cores.
KNOBS: Mapping[str, Sequence[Any]] = {"steps": ("call", "scan")}


def make(model: Any, metric: str, knobs: Knobs) -> "Loop":
    """See `Trainer`."""
    return Loop(model, metric, knobs)


class Loop:
    """See `Trainer`."""

    def __init__(self, model: Any, metric: str, knobs: Knobs) -> None:
        self._model, self._metric = model, metric
        self._whole = knobs["steps"] == "scan"
        self._state: Any = None
        model.optimizer.build(model.trainable_variables)
        pass_ = self._scan if self._whole else self._step
        self._compiled = jax.jit(pass_, donate_argnums=0)

    def place(self, *parts: Any) -> Any:
        if self._state is None:
            self._begin(*(taken(part, 0) for part in parts))
        return placed(parts, self._whole, jnp.asarray)

    def train(self, batches: Any) -> Pass:
        state = [*self._state[:3], [jnp.zeros_like(value) for value in self._state[3]]]
        if self._whole:
            state, losses = self._compiled(state, batches)
        else:
            losses = []
            for batch in batches:
                state, loss = self._compiled(state, batch)
                losses.append(loss)
        self._state = state
        for variable, value in zip(self._model.metrics_variables, state[3], strict=True):
            variable.assign(value)
        result = self._model.get_metrics_result()[self._metric]
        return Pass(jax.device_get(losses), float(result))

    def store(self) -> None:
        model = self._model
        parts = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
        for variables, values in zip(parts, self._state, strict=False):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(jnp.array(value))

    def copies(self) -> Sequence[Any]:
        return list(jax.tree.leaves(self._state[:3]))

    def _begin(self, x: Any, y: Any, weights: Any = None) -> None:
        """Let Keras make the metrics' variables, which it does at their first use, and copy all that training changes.

        Copies, since a donated buffer is gone.
        """
        model = self._model
        with undisturbed(model):
            model.compute_metrics(x, y, model(x, training=False), weights)
        parts = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
        model.reset_metrics()
        self._state = [[jnp.array(one.value) for one in part] for part in (*parts, model.metrics_variables)]

    def _scan(self, state: Any, batches: Any) -> Any:
        return jax.lax.scan(self._step, state, batches)

    def _step(self, state: Any, batch: Any) -> Any:
        model, (x, y, weights) = self._model, (*batch, None)[:3]
        trainable, others, optimizer, metrics = state
        gradient = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)
        (_, (loss, outputs, others, metrics)), found = gradient(
            trainable, others, metrics, x, y, weights, True, optimizer
        )
        trainable, optimizer = model.optimizer.stateless_apply(optimizer, found, trainable)
        with keras.StatelessScope(list(zip(model.metrics_variables, metrics, strict=True))) as scope:
            model.compute_metrics(x, y, outputs, weights)
        metrics = [scope.get_current_value(variable) for variable in model.metrics_variables]
        return [trainable, others, optimizer, metrics], loss
