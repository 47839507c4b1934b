"""Trainings of one workload that take turns, each a little different, and how long their epochs take."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from bench.contract import case
from bench.worker.errors import reason
from bench.worker.workload import inputs, load, numerics
from bench.worker.workload.model import compilation, compile_model, fresh
from models import Workload
from models.datasets import mapped


class Spans(keras.callbacks.Callback):
    """The seconds of each epoch, from its begin until the device is idle; it has to be the first callback."""

    def __init__(self, barrier: Callable[[], None], note: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._barrier, self._note = barrier, note

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._barrier()
        self.seconds.append(time.perf_counter() - self._began)
        self._note()


@dataclass
class Training:
    """One of the trainings that take turns: a compiled model, what `fit` is handed, and what was measured.

    `cold_seconds` is its first epoch, `epoch_seconds` the fastest of the others, `fit_seconds` what a warm `fit` takes
    besides its epochs, at least. Of one that fails `error` says why, in one line.
    """

    steps: int
    batch_size: int
    model: Any = None
    handed: Callable[[], Mapping[str, Any]] = dict
    callbacks: Sequence[Any] = ()
    error: str = ""
    cold_seconds: float | None = None
    epoch_seconds: float | None = None
    fit_seconds: float | None = None

    def fit(self, barrier: Callable[[], None], epochs: int = 2, note: Callable[[], None] = lambda: None) -> None:
        """Train so many epochs and take what they took; a failure is noted and ends this training's turns."""
        if self.error:
            return
        try:
            (first, *others), besides = self.train(barrier, epochs, note)
        except Exception as error:  # whatever a setting makes a framework do
            self.error = reason(error)
            return
        if not others and self.epoch_seconds is None:
            self.error = "a callback ended it after its first epoch"
            return
        if self.cold_seconds is None:
            self.cold_seconds = first
        else:
            self.fit_seconds = min(besides, self.fit_seconds or besides)
        self.epoch_seconds = min([*others, *([] if self.epoch_seconds is None else [self.epoch_seconds])])

    def train(
        self, barrier: Callable[[], None], epochs: int, note: Callable[[], None] = lambda: None
    ) -> tuple[list[float], float]:
        """The seconds of each of so many epochs, and what `fit` took besides; raises what it raises."""
        spans, handed = Spans(barrier, note), self.handed()
        began = time.perf_counter()
        self.model.fit(**handed, epochs=epochs, shuffle=False, verbose=0, callbacks=[spans, *self.callbacks])
        return spans.seconds, time.perf_counter() - began - sum(spans.seconds)

    def to_json(self) -> dict[str, Any]:
        """What is told of it."""
        names = ("steps", "batch_size", "error", "cold_seconds", "epoch_seconds", "fit_seconds")
        return {name: getattr(self, name) for name in names}


@dataclass
class Bench:
    """A workload on one backend, of which trainings are made.

    Args:
        parts: samples, labels and perhaps weights, as many as there are.
        weights: the file that every training begins from.
        steps: of an epoch of most trainings; the samples are repeated where they do not do.
        own: what `fit` is handed for an epoch of so many steps where the user brings the input, in the place of arrays.
        input: what that is called.
    """

    workload: Workload
    parts: Sequence[Any]
    weights: Path
    seed: int
    numerics: str
    steps: int
    own: Callable[[int], Mapping[str, Any]] | None = None
    input: str = "arrays"
    trainings: dict[str, Training] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Most trainings take as many samples, which are in memory once."""
        self.repeated = functools.cache(lambda samples: [_repeated(part, samples) for part in self.parts])

    def add(
        self,
        name: str,
        like: str | None = None,
        *,
        kind: str | None = case.RESIDENT,
        steps: int | None = None,
        batch_size: int | None = None,
        callbacks: Sequence[Any] = (),
        compiled: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Make a training: another use of the model of one that is there (`like`), or a model compiled otherwise.

        Without a kind it is handed the input as it is.
        """
        size, length = batch_size or self.workload.batch_size, steps or self.steps
        training = Training(length, size, callbacks=callbacks)
        self.trainings[name] = training
        try:
            training.model = self.trainings[like].model if like else self._model(compiled)
        except Exception as error:  # whatever a user's code raises
            training.error = reason(error)
            return
        if kind is None and self.own is not None:
            training.handed = functools.partial(self.own, length)
        else:
            training.handed = lambda: inputs.arguments(kind or "arrays", self.repeated(length * size), size)

    def _model(self, compiled: Mapping[str, Any]) -> Any:
        keras.utils.set_random_seed(self.seed)
        numerics.choose(self.numerics)
        model = fresh(self.workload, self.parts[0])
        model.set_weights(load.load_weights(self.weights))
        compile_model(model, compilation(self.workload, model, self.parts[1]), **compiled)
        return model


def _repeated(part: Any, samples: int) -> Any:
    """So many samples of an array, or of a structure of arrays, from the first on and over again."""
    return mapped(lambda array: np.resize(array, (samples, *array.shape[1:])), part)
