"""Track `loop` on PyTorch: the Keras model and optimizer in a loop of our own, with the metric once for all steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.worker.backends import Knobs, Pass

# What is compiled is forward and loss, and with them the gradient.
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
        self._compiled = torch.compile(self._loss) if knobs["compile"] else self._loss

    def place(self, x: Any, y: Any) -> Any:
        device = self._values[0].device
        inputs, labels = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        with torch.no_grad():  # Keras makes its losses at their first use, which cannot be compiled
            self._model.compute_loss(inputs[0], labels[0], self._model(inputs[0], training=False), training=False)
        return list(zip(inputs.unbind(), labels.unbind(), strict=True))

    def train(self, batches: Any) -> Pass:
        model = self._model
        losses, outputs = [], []
        for x, y in batches:
            loss, logits = self._compiled(x, y)
            model.optimizer.apply(torch.autograd.grad(loss, self._values, materialize_grads=True))
            losses.append(loss.detach())
            outputs.append(logits.detach())
        x, y = (torch.cat(part) for part in zip(*batches, strict=True))
        model.reset_metrics()
        result = model.compute_metrics(x, y, torch.cat(outputs))[self._metric]
        return Pass(torch.stack(losses).tolist(), float(result))

    def store(self) -> None:
        """Nothing to do: the weights were the model's own all the time."""

    def _loss(self, x: Any, y: Any) -> tuple[Any, Any]:
        outputs = self._model(x, training=True)
        return self._model.compute_loss(x, y, outputs, training=True), outputs
