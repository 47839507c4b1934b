"""Track `loop` on PyTorch: the Keras model and optimizer in a loop of our own, with the metric once for many steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import torch

from bench.worker.backends import Knobs, Pass, placed, undisturbed
from models.datasets import mapped

CHUNK = 64  # steps after which the metric is updated: their outputs have to be kept until then
# The whole step is compiled: forward, loss, gradient and Keras's optimizer, whose many small calls cost most.
KNOBS: Mapping[str, Sequence[Any]] = {"compile": (False, True)}


def make(model: Any, metric: str, knobs: Knobs) -> "Loop":
    """See `Trainer`."""
    return Loop(model, metric, knobs)


class Loop:
    """See `Trainer`."""

    def __init__(self, model: Any, metric: str, knobs: Knobs) -> None:
        self._model, self._metric = model, metric
        self._values = [variable.value for variable in model.trainable_variables]
        model.optimizer.build(model.trainable_variables)
        self._compiled = self._step
        if knobs["compile"]:
            torch._dynamo.config.trace_autograd_ops = True  # else the step falls apart at its gradient
            self._compiled = torch.compile(self._step)

    def place(self, *parts: Any) -> Any:
        device = self._values[0].device
        batches = placed(
            [mapped(lambda array: torch.from_numpy(array).to(device), part) for part in parts], False, _same
        )
        x, y, weights = (*batches[0], None)[:3]
        # Keras makes its losses at their first use, which cannot be compiled.
        with torch.no_grad(), undisturbed(self._model):
            self._model.compute_loss(x, y, self._model(x, training=False), weights, training=False)
        return batches

    def train(self, batches: Any) -> Pass:
        model, losses = self._model, list[Any]()
        model.reset_metrics()
        for first in range(0, len(batches), CHUNK):
            chunk = batches[first : first + CHUNK]
            found, outputs = zip(*[self._compiled(*batch) for batch in chunk], strict=True)
            losses += found
            x, y, weights = (*map(_together, zip(*chunk, strict=True)), None)[:3]
            results = model.compute_metrics(x, y, _together(outputs), weights)
        return Pass(torch.stack(losses).tolist(), float(results[self._metric]))

    def store(self) -> None:
        """Do nothing: the Keras model's own weights are trained."""

    def copies(self) -> Sequence[Any]:
        return ()

    def _step(self, x: Any, y: Any, weights: Any = None) -> tuple[Any, Any]:
        model = self._model
        outputs = model(x, training=True)
        loss = model.compute_loss(x, y, outputs, weights, training=True)
        scaled = model.optimizer.scale_loss(loss)  # as it is, but for float16
        model.optimizer.apply(torch.autograd.grad(scaled, self._values, allow_unused=True))
        return loss.detach(), keras.tree.map_structure(lambda output: output.detach(), outputs)


def _same(tensor: Any) -> Any:
    return tensor


def _together(batches: Sequence[Any]) -> Any:
    """Batches of one structure as one."""
    return keras.tree.map_structure(lambda *tensors: torch.cat(tensors), *batches)
