"""One package per backend, named as KERAS_BACKEND spells it, each with the same functions; see `Backend`.

`backend.toml` of each has the plain facts, which `bench.contract.catalog` reads for every world. `__init__` is what
every track needs; `loop` and `native` train without Keras's `fit`, `inputs` is what `fit` is handed, `exact` is what
parity needs, `explain` and `profile` what an explanation does, `predict` has the calls of task predict, and `devices`
lets several devices share each batch. A backend without `loop` cannot train: of these it needs `predict` alone; one
without `devices` trains on one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from bench.contract import catalog
from bench.worker.backends.several import Devices as Devices
from bench.worker.backends.several import Team as Team
from bench.worker.backends.spans import Trace
from bench.worker.errors import StartError
from models.datasets import count, mapped, taken

Array = npt.NDArray[np.generic]
Call = Callable[[Array], Any]  # a batch on the host to its outputs on the host: an array, or a structure of arrays
Matrix = npt.NDArray[np.float32]
Product = Callable[[], Any]  # multiplies, and may return before the device has done it
Maker = Callable[[Sequence[Any], int], Mapping[str, Any]]  # a batch's parts and its size to the arguments of `fit`
Knobs = Mapping[str, Any]  # how a track is executed: the knob's name to its value


class Pass(NamedTuple):
    """What one pass over batches gave: the loss of every step, and the metric over all samples."""

    losses: Sequence[float]
    metric: float


class Trainer(Protocol):
    """A network being trained by the backend's own means, in the tracks `loop` and `native`."""

    def place(self, *parts: Any) -> Any:
        """Batches from the host, of shape (steps, batch, …) each, to where and how `train` wants them.

        The parts are samples, labels and, where there are some, weights.
        """

    def train(self, batches: Any) -> Pass:
        """Train one step on each of the placed batches, in their order; returns when the results are on the host."""

    def store(self) -> None:
        """Put the weights as they are now into the Keras model."""

    def copies(self) -> Sequence[Any]:
        """What is trained where it is not the Keras model's own: weights and the optimizer's arrays of numbers."""


class Backend(Protocol):
    """The protocol of a backend; one that cannot train has neither `product` nor `gradients`.

    The module imports its framework only inside the functions.
    """

    def environment(self, device: str, numerics: str | None, threads: int) -> Mapping[str, str]:
        """Environment variables that must be set before the framework is imported.

        With None as numerics, those that choose the device and let memory be measured, and no other.
        """

    def configure(self, numerics: str, threads: int) -> None:
        """Set what can only be set after the import: threads, and TF32, which is off unless it is the numerics."""

    def allow_float64(self) -> None:
        """Let the framework have float64, before anything is computed."""

    def cached_weight_init(self, folder: Path) -> AbstractContextManager[None]:
        """While a model is built: what is compiled to draw its weights may stay in `folder` for the next launch."""

    def make_deterministic(self) -> None:
        """Let every operation on a GPU give the same bits each time. For parity alone, since it costs time."""

    def barrier(self) -> None:
        """Return when the device has finished all its work."""

    def synchronize(self) -> None:
        """The framework's own call for that, with which the barrier is compared."""

    def devices(self) -> list[str]:
        """The devices the framework sees: each what `device_of` calls it, a colon, and the framework's own words."""

    def device_of(self, value: Any) -> str:
        """Where a variable's value lives: `cpu`, `gpu`, or what the framework calls another device."""

    def peak_device_mib(self) -> float | None:
        """The most device memory the framework held at one time; None on a CPU."""

    def held_device_mib(self) -> float | None:
        """The device memory that is in use now, as the framework's allocator counts it; None on a CPU."""

    def flags(self) -> dict[str, Any]:
        """Threads and precision as the framework reports them, read back."""

    def product(self, first: Matrix, second: Matrix) -> Product:
        """The product of two matrices, which lie on the device; compiled where the framework does that."""

    def gradients(self, model: Any, x: Any, y: Any, weights: Any = None) -> tuple[Any, list[Any]]:
        """The loss of a compiled model on one batch, training, and its gradient by each trainable variable in turn."""


class Inputs(Protocol):
    """What a framework hands to `fit`; the order of samples is kept."""

    MAKERS: Mapping[str, Maker]  # by the names that its `backend.toml` has under `inputs`; for other backends too

    def as_guest(self) -> None:
        """Let the framework serve nothing but inputs in another backend's process: it takes no memory of a GPU."""

    def resident(self, *parts: Any) -> Mapping[str, Any]:
        """The arguments of `fit` for batches of shape (steps, batch, …), placed before, by what costs least."""


class Exact(Protocol):
    """What parity needs of a backend: float64 where Keras passes through float32, and words of 32 bits to draw from."""

    def patch_float64(self) -> None:
        """Keep float32 out of this process; nothing may have been built. MovedError where a private name is gone."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of tensors, compiled where operations one by one would each be."""

    def word(self, value: int) -> Any:
        """A number below 2^32 as what becomes a tensor of Keras's type uint32."""


class Explain(Protocol):
    """What an explanation needs of a backend."""

    def compilations(self, model: Any) -> int:
        """How often something was compiled so far, in this process or for this model."""

    def tries_jit(self, on: bool) -> bool:
        """Whether the other `jit_compile` may be faster, where it is `on` or off, and is soon compiled."""


class Profile(Protocol):
    """The framework's own profiler, for one traced epoch."""

    def scope(self, name: str) -> AbstractContextManager[Any]:
        """Within, operations bear this name, in the forward pass and in what the backward pass makes of them."""

    def trace(self, work: Callable[[], Any], folder: Path) -> Trace:
        """Do some work under the profiler, whose own files stay in the folder.

        A device's operations where one computes, else those of the host's threads; each with its own time, without
        what passes between them.
        """


def load(name: str) -> Backend:
    """The module of a backend."""
    module: ModuleType = import_module(f"{__name__}.{name}")
    return cast(Backend, module)


def trains(name: str) -> bool:
    """Whether Keras can train on a backend."""
    return catalog.facts_of(name).trains


def explain(name: str) -> Explain:
    """What an explanation needs of this backend; imports its framework."""
    return cast(Explain, import_module(f"{__name__}.{name}.explain"))


def profile(name: str) -> Profile:
    """The profiler of this backend; imports its framework."""
    return cast(Profile, import_module(f"{__name__}.{name}.profile"))


def inputs(name: str) -> Inputs:
    """What this backend's framework hands over; imports the framework."""
    return cast(Inputs, import_module(f"{__name__}.{name}.inputs"))


def exact(name: str) -> Exact:
    """What parity needs of a backend; imports its framework."""
    return cast(Exact, import_module(f"{__name__}.{name}.exact"))


def devices(name: str) -> Devices:
    """How several devices train on this backend."""
    return cast(Devices, import_module(f"{__name__}.{name}.devices"))


def placed(parts: Sequence[Any], whole: bool, put: Callable[[Any], Any]) -> Any:
    """Batches of shape (steps, batch, …) put where training wants them: whole for one program, else a tuple a step."""
    if whole:
        return tuple(mapped(put, part) for part in parts)
    steps = count(parts[0])
    return [tuple(mapped(put, taken(part, step)) for part in parts) for step in range(steps)]


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Within, calls leave a model's state as it was: `fit` makes its metrics without one, and no seed is used up."""
    import keras

    state = [(one, np.array(keras.ops.convert_to_numpy(one.value))) for one in model.non_trainable_variables]
    yield
    for variable, value in state:
        variable.assign(value)


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
