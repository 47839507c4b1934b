"""One package per backend, named as KERAS_BACKEND spells it, each with the same functions; see `Backend`.

`__init__` of each is what every track needs; `loop` and `native` train without Keras's `fit`, and `predict` has the
calls of task predict. A backend without `loop` cannot train.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from bench.worker.errors import StartError

Array = npt.NDArray[np.generic]
Call = Callable[[Array], Any]  # a batch on the host to its outputs on the host: an array, or a structure of arrays
Knobs = Mapping[str, Any]  # how a track is executed: the knob's name to its value


class Pass(NamedTuple):
    """What one pass over batches gave: the loss of every step, and the metric over all samples."""

    losses: Sequence[float]
    metric: float


class Trainer(Protocol):
    """A network being trained by the backend's own means, in the tracks `loop` and `native`."""

    def place(self, x: Any, y: Any) -> Any:
        """Batches from the host, of shape (steps, batch, …) each, to where and how `train` wants them."""

    def train(self, batches: Any) -> Pass:
        """Train one step on each of the placed batches, in their order; returns when the results are on the host."""

    def store(self) -> None:
        """Put the weights as they are now into the Keras model."""

    def copies(self) -> Sequence[Any]:
        """What is trained where it is not the Keras model's own: weights and the optimizer's arrays of numbers."""


class Backend(Protocol):
    """The protocol of a backend; one that cannot train has no `gradients`.

    The module imports its framework only inside the functions.
    """

    def environment(self, device: str, numerics: str | None, threads: int) -> Mapping[str, str]:
        """Environment variables that must be set before the framework is imported.

        With None as numerics, those that choose the device and let memory be measured, and no other.
        """

    def configure(self, numerics: str, threads: int) -> None:
        """Set what can only be set after the import: threads, and TF32, which is off unless it is the numerics."""

    def cached_weight_init(self, folder: Path) -> AbstractContextManager[None]:
        """While a model is built: what is compiled to draw its weights may stay in `folder` for the next launch."""

    def make_deterministic(self) -> None:
        """Let every operation on a GPU give the same bits each time. For parity alone, since it costs time."""

    def barrier(self) -> None:
        """Return when the device has finished all its work."""

    def synchronize(self) -> None:
        """The framework's own call for that, with which the barrier is compared."""

    def devices(self) -> list[str]:
        """The devices the framework sees, in its own words."""

    def device_of(self, value: Any) -> str:
        """Where a variable's value lives: `cpu`, `gpu`, or what the framework calls another device."""

    def peak_device_mib(self) -> float | None:
        """The most device memory the framework held at one time; None on a CPU."""

    def flags(self) -> dict[str, Any]:
        """Threads and precision as the framework reports them, read back."""

    def gradients(self, model: Any, x: Any, y: Any) -> tuple[Any, list[Any]]:
        """The loss of a compiled model on one batch, training, and its gradient by each trainable variable in turn."""


def load(name: str) -> Backend:
    """The module of a backend."""
    module: ModuleType = import_module(f"{__name__}.{name}")
    return cast(Backend, module)


def trains(name: str) -> bool:
    """Whether Keras can train on a backend; asked without importing its framework."""
    return find_spec(f"{__name__}.{name}.loop") is not None


def placed(x: Any, y: Any, whole: bool, put: Callable[[Any], Any]) -> Any:
    """Batches of shape (steps, batch, …) put where training wants them: whole for one program, else a pair a step."""
    return (put(x), put(y)) if whole else [(put(one), put(other)) for one, other in zip(x, y, strict=True)]


def trainer(backend: str, track: str, model: Any, metric: str, knobs: Knobs) -> Trainer:
    """The trainer of a compiled model in track `loop` or `native`; StartError where `native` cannot take it over."""
    made: Trainer = _part(backend, track).make(model, metric, knobs)
    return made


def candidates(backend: str, track: str) -> Mapping[str, Sequence[Any]]:
    """The knobs of track `loop` or `native`, each with the values that a search tries; the first is the default."""
    found: Mapping[str, Sequence[Any]] = _part(backend, track).KNOBS
    return found


def caller(backend: str, track: str, model: Any, example: Array, folder: Path) -> Call:
    """The function that is timed in track `loop` or `native` of task predict.

    `loop` calls the Keras model without `predict`, `native` an export of it, written into `folder` and read back. Each
    takes batches of the shape and type of `example`, and returns when the outputs are on the host.
    """
    made: Call = getattr(_part(backend, "predict"), track)(model, example, folder)
    return made


def _part(backend: str, name: str) -> ModuleType:
    """A module of a backend's folder; StartError where it needs a package that this environment lacks."""
    try:
        return import_module(f"{__name__}.{backend}.{name}")
    except ModuleNotFoundError as error:
        raise StartError(
            f"{name} on {backend} needs {error.name}, which this environment lacks; install it there, or leave it out"
        ) from None
