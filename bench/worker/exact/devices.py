"""The way up the ladder on several devices: the rungs of training alone, each step a `fit` of one batch.

`train_on_batch` would not do: on TensorFlow it hands the whole batch to every replica, and all would agree for nothing.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import keras

from bench.worker import backends
from bench.worker.exact.batches import next_batch
from bench.worker.exact.climb import Climb, NotClimbedError, Recording, Stepper, begun
from bench.worker.exact.observed import kind_of as kind_of_layer
from bench.worker.logs import LOSS, entry
from bench.worker.workload import devices, inputs


def climb(recording: Recording, about: dict[str, Any], weights: Path, team: backends.Team) -> None:
    """Fill `recording` with the rungs of training of one workload and seed on several devices; `about` gets the rest.

    Every process of the team calls it. What is evaluated is a copy on one device, with the weights after training.
    RuntimeError where the devices do not hold the same trained weights.
    """
    climbing, dataset, model = begun(recording, about, weights, partial(SharedClimb, team=team), team.scope)
    refused = devices.refused(climbing.workload, model)
    if refused:
        raise NotClimbedError(refused)
    about["kinds"] = kinds(model)
    team.joined(model)
    finite = climbing.train()
    about["devices"] = list(team.holders(model, climbing.last_batch, climbing.batch_size))
    about["unlike"] = list(team.unlike(model))
    if finite and not team.rank:
        climbing.evaluate(dataset)


def kinds(model: keras.Model) -> dict[str, str]:
    """What findings on several devices know a compiled model by: the kind of each layer by its path, and its optimizer.

    `optimizer clips` is one that clips gradients.
    """
    found = {layer.path: kind_of(layer) for layer in model._flatten_layers(include_self=False)}
    clips = any(getattr(model.optimizer, name, None) for name in ("clipnorm", "clipvalue", "global_clipnorm"))
    return {**found, "optimizer": "optimizer clips" if clips else "optimizer"}


def kind_of(layer: keras.layers.Layer) -> str:
    """The class of a layer, its activation, and `random` where it draws, `masking` where it masks, `synchronized`."""
    said = {
        "random": any(isinstance(one, keras.random.SeedGenerator) for one in vars(layer).values()),
        "masking": isinstance(layer, keras.layers.Masking) or bool(getattr(layer, "mask_zero", False)),
        "synchronized": bool(getattr(layer, "synchronized", False)),
    }
    return " ".join([kind_of_layer(layer), *(word for word, holds in said.items() if holds)])


class SharedClimb(Climb):
    """A model on its way up the ladder that several devices train."""

    def __init__(
        self, recording: Recording, about: dict[str, Any], workload: Any, *others: Any, team: backends.Team
    ) -> None:
        super().__init__(recording, about, workload, *others)
        self.workload, self._team = workload, team
        self.last_batch: tuple[Any, ...] = ()
        self.batch_size = 0

    def restart(self, scaled: bool = False) -> None:
        """As on one device."""
        with self._team.scope():
            super().restart(scaled)

    def evaluate(self, dataset: Any) -> None:
        """As on one device, with a copy that lives on one."""
        shared = self._model
        with devices.on_one_device(self._team, self.workload, shared, self._batches.parts) as self._model:
            super().evaluate(dataset)
        self._model = shared

    def _stepper(self, batch_size: int) -> Stepper:
        self.restart(scaled=True)
        self.batch_size = batch_size

        def take(first: int, number: int) -> list[float]:
            losses: list[float] = []
            for step in range(first, first + number):
                losses.append(self._step(step))
                if not math.isfinite(losses[-1]):
                    break
            return losses

        return take

    def _step(self, step: int) -> float:
        """One step on all devices; gives the loss of all of its batch."""
        model, team = self._model, self._team
        self.last_batch = next_batch(self._batches, step, self.batch_size)
        parts, size = team.share(self.last_batch, self.batch_size)
        handed = inputs.arguments("arrays", parts, size)
        done = model.fit(**handed, epochs=1, shuffle=False, verbose=0, callbacks=[*team.callbacks(model)])
        return entry({name: values[-1] for name, values in done.history.items()}, LOSS)
