"""A model's way up the ladder on one backend: what each rung records."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from bench.contract.parity import EXACT, LADDER_BATCH, NUDGED, ROUNDED_STEPS
from bench.worker import backends
from bench.worker.backends import network
from bench.worker.exact.batches import ladder_data, next_batch, stacked, widened
from bench.worker.exact.observed import array, observed
from bench.worker.logs import LOSS, entry
from bench.worker.workload import load, numerics, train
from bench.worker.workload.compiled import metric_name
from bench.worker.workload.load import EVALUATION_BATCH, whole_batches
from bench.worker.workload.model import (
    compilation,
    compile_model,
    fixed_batch,
    fresh,
    hand_as_fit,
    keras_loss,
    tensors,
)
from models import own
from models.datasets import mapped, taken

OBSERVED = 8  # samples whose layer outputs and gradients are recorded
CATEGORICAL = keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy
CHUNK = 256  # steps that a trainer is given at a time
SGD_RATE, SGD_MOMENTUM = 2**-7, 0.875  # at 2**-4 a transformer leaves every bound within 30 steps


Recording = dict[str, npt.NDArray[Any]]
Stepper = Callable[[int, int], list[float]]  # the first step's number and how many, to their losses


class NotClimbedError(Exception):
    """A workload made for a GPU, or one that track `native` cannot take over, or whose draws it makes itself."""


def climb(recording: Recording, about: dict[str, Any], weights: Path, backend: backends.Backend) -> None:
    """Fill `recording` with the rungs of one workload, seed and track, in their order; `about` gets the rest.

    Every rung starts from the same weights, random state and optimizer. With numerics other than float64 the ladder is
    short: what training has amplified for long says nothing about the arithmetic. Track `native` gives no layers'
    outputs, and its gradients are read from what one step of SGD does to the weights. With `nudged` the training is
    recorded once more, from weights that lie one rounding beside.
    """
    climbing, dataset, model = begun(recording, about, weights, Climb)
    refused = network.refusals(model)[1] if about["optimizer"] == "SGD" else ""  # nobody else is held against SGD
    refused = refused or (network.refused_by_loop(model) if about["track"] == "loop" else "")
    if refused:
        raise NotClimbedError(refused)
    climbing.observe(backend)
    if climbing.train() and about["numerics"] == EXACT:
        climbing.evaluate(dataset)
    if about["nudged"]:
        climbing.begin_beside()
        climbing.observe_gradients(backend)
        if climbing.train():
            climbing.evaluate(dataset)


def begun(
    recording: Recording,
    about: dict[str, Any],
    weights: Path,
    kind: Callable[..., Any],
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[Any, Any, keras.Model]:
    """The climb of a model that has the weights in a file, which are recorded; its data, and the model."""
    workload = load.load_workload(about["workload"])
    if workload.memory_mib:
        raise NotClimbedError("it is made for a GPU")
    dataset, batches = ladder_data(workload, about["seed"], about["steps"])
    tested = taken(dataset.y_test, slice(about["test_samples"] or None))
    about["batches_digest"] = batches.digest
    about["labels"] = tested.size if isinstance(tested, np.ndarray) else 0  # of several outputs nothing is counted

    keras.utils.clear_session(free_memory=False)  # names begin anew, so that every process gives the same paths
    numerics.choose(about["numerics"])  # forgotten with them
    keras.utils.set_random_seed(about["seed"])
    with scope():
        model = fresh(workload, batches.x)
        model.set_weights(load.load_weights(weights))
        given = compilation(workload, model, batches.y)
        climbing = kind(recording, about, workload, given, model, batches)
        climbing.restart()
    about["classes"] = isinstance(keras_loss(given.loss), CATEGORICAL)
    climbing.note("weights", [variable.path for variable in model.weights], model.weights)
    return climbing, dataset, model


class Climb:
    """A model on its way up the ladder, and the recording it leaves.

    Args:
        recording: gets the arrays, by `rung/location`.
        about: what is climbed, and with what.
        given: what the model is compiled with.
        model: with the weights that it starts from.
    """

    def __init__(
        self, recording: Recording, about: dict[str, Any], workload: Any, given: Any, model: Any, batches: Any
    ) -> None:
        self._recording, self._about, self._given, self._model = recording, about, given, model
        self._batches, self._metric = batches, metric_name(workload, given, model)
        self._fixed = fixed_batch(model)
        self._prefix = ""
        self._state = [(variable, array(variable)) for variable in model.variables]  # those of random layers included
        self._optimizer_state: list[Any] = []

    def restart(self, scaled: bool = False) -> None:
        """Weights, random state and optimizer as they were before the first step; `scaled` as float16's losses are."""
        model, given = self._model, self._given
        keras.utils.set_random_seed(self._about["seed"])
        for variable, value in self._state:
            variable.assign(value)
        sgd = keras.optimizers.SGD(SGD_RATE, momentum=SGD_MOMENTUM)
        optimizer = sgd if self._about["optimizer"] == "SGD" else given.optimizer
        compile_model(model, given, optimizer=optimizer, auto_scale_loss=scaled)
        model.optimizer.build(model.trainable_variables)
        if optimizer is given.optimizer:  # one for all, since it may be the one that the model was compiled with
            self._optimizer_state = self._optimizer_state or [array(variable) for variable in optimizer.variables]
            for variable, value in zip(optimizer.variables, self._optimizer_state, strict=True):
                variable.assign(value)

    def begin_beside(self) -> None:
        """Let the next training begin from weights one rounding beside, and be recorded as `nudged`."""
        random = np.random.default_rng(self._about["seed"])
        trained = {id(variable) for variable in self._model.trainable_variables}

        def beside(value: Any) -> Any:
            return value * (1 + np.finfo(value.dtype).eps * random.choice([-1, 1], value.shape))

        self._state = [(one, beside(value) if id(one) in trained else value) for one, value in self._state]
        self._prefix = NUDGED

    def note(self, rung: str, locations: Sequence[str], values: Sequence[Any]) -> None:
        """Record a rung's arrays."""
        for location, value in zip(_distinct(locations), values, strict=True):
            found = array(value)
            if found.dtype.kind in "biufc":  # text is not computed with
                self._recording[f"{self._prefix}{rung}/{location}"] = found

    def observe(self, backend: backends.Backend) -> None:
        """Record the layers' outputs, the loss and the gradients of the first samples."""
        trained = [variable.path for variable in self._model.trainable_variables]
        if self._about["track"] == "native":
            losses = self._stepper(self._fixed or OBSERVED)(0, 1)
            before = {variable.path: value for variable, value in self._state}
            moved = [(before[one.path] - array(one)) / SGD_RATE for one in self._model.trainable_variables]
            self.note("loss", ["loss"], losses)
            self.note("gradients", trained, moved)
            return
        with observed() as (seen, self._about["kinds"]):
            self._model(self._first_samples()[0], training=True)
        shown = [(location, value) for location, value in seen if value is not None]
        self.note("outputs", [location for location, _ in shown], [value for _, value in shown])
        self._about["unseen"] = [location for location, value in seen if value is None]
        self.observe_gradients(backend)

    def observe_gradients(self, backend: backends.Backend) -> None:
        """Record the loss and the gradients of the first samples."""
        self.restart()
        loss, gradients = backend.gradients(self._model, *self._first_samples())
        self.note("loss", ["loss"], [loss])
        self.note("gradients", [variable.path for variable in self._model.trainable_variables], gradients)

    def train(self) -> bool:
        """Record the steps' losses and the weights after them; gives whether every loss was a finite number."""
        is_exact = self._about["numerics"] == EXACT
        paths = [variable.path for variable in self._model.weights]
        take, losses = self._stepper(self._fixed or LADDER_BATCH), list[float]()
        steps = self._about["steps"] if is_exact else min(self._about["steps"], ROUNDED_STEPS)
        for first in (0, *range(1, steps, CHUNK)):  # the first alone, for the rung after it
            losses += take(first, min(CHUNK, steps - first) if first else 1)
            self._recording[f"{self._prefix}losses/loss"] = np.array(losses)
            if not first and is_exact:
                self.note("one step", paths, self._model.weights)
            if not math.isfinite(losses[-1]):
                return False
        if is_exact:
            self.note("all steps", paths, self._model.weights)
        return True

    def evaluate(self, dataset: Any) -> None:
        """Record what the trained model predicts for the test samples, and its metric on them."""
        model, tested = self._model, slice(self._about["test_samples"] or None)
        parts = (dataset.x_test, dataset.y_test)
        x, y = (widened(whole_batches(taken(part, tested), self._fixed)) for part in parts)
        outputs = model.predict(x, batch_size=self._fixed or EVALUATION_BATCH, verbose=0)
        flat = keras.tree.flatten(outputs)
        self.note("predictions", [f"output {index}" for index in range(len(flat))], flat)
        model.reset_metrics()
        predicted = keras.tree.map_structure(keras.ops.convert_to_tensor, outputs)
        if self._metric == LOSS and own.brings_its_loss(model):  # what its layers added belongs to the predicting step
            batch_size = self._fixed or EVALUATION_BATCH
            found = entry(model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True), LOSS)
        elif self._metric == LOSS:
            found = model.compute_loss(x, mapped(keras.ops.convert_to_tensor, y), predicted, training=False)
        else:
            found = model.compute_metrics(x, y, predicted)[self._metric]
        self.note("metric", [self._metric], [found])

    def _stepper(self, batch_size: int) -> Stepper:
        self.restart(scaled=True)  # with float16; loss and gradients are observed as they are
        about = self._about
        if about["track"] == "fit":
            return _by_fit(self._model, self._batches, batch_size)
        return _by_trainer(about["backend"], about["track"], self._model, self._metric, self._batches, batch_size)

    def _first_samples(self) -> tuple[Any, ...]:
        first = slice(self._fixed or OBSERVED)
        parts = (widened(taken(part, first)) for part in self._batches.parts)
        return tuple(mapped(keras.ops.convert_to_tensor, part) for part in parts)


def _by_fit(model: Any, batches: Any, batch_size: int) -> Stepper:
    """Steps as `fit` takes them; the last is the first whose loss is no finite number."""
    hand_as_fit(model)

    def take(first: int, number: int) -> list[float]:
        losses = []
        for step in range(first, first + number):
            batch = [None if part is None else tensors(part) for part in next_batch(batches, step, batch_size)]
            model.reset_metrics()  # Keras's own from 3.15 on; before, the loss was the mean of all steps so far
            losses.append(entry(model.train_on_batch(*batch, return_dict=True), LOSS))
            if not math.isfinite(losses[-1]):
                break
        return losses

    return take


def _by_trainer(backend: str, track: str, model: Any, metric: str, batches: Any, batch_size: int) -> Stepper:
    """Steps of track `loop` or `native`, as many at a time as are asked for; the weights end up in the model."""
    trainer = backends.trainer(backend, track, model, metric, train.defaults(backend, track))

    def take(first: int, number: int) -> list[float]:
        steps = [next_batch(batches, step, batch_size) for step in range(first, first + number)]
        done = trainer.train(trainer.place(*map(stacked, zip(*steps, strict=True))))
        trainer.store()
        losses = [float(loss) for loss in done.losses]
        finite = list(itertools.takewhile(math.isfinite, losses))
        return losses[: len(finite) + 1]

    return take


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, the second of a kind with `#2` and so on."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return found
