"""One module per backend, named as KERAS_BACKEND spells it, each with the same functions; see `Backend`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast


class Backend(Protocol):
    """What the worker asks of a backend. The module imports its framework only inside the functions."""

    def environment(self, device: str, numerics: str, threads: int) -> Mapping[str, str]:
        """Environment variables that must be set before the framework is imported."""

    def configure(self, numerics: str, threads: int) -> None:
        """Set what can only be set after the import: threads, and TF32, which is off unless it is the numerics."""

    def building(self, folder: Path) -> AbstractContextManager[None]:
        """While a model is built: what is compiled to draw its weights may stay in `folder` for the next launch."""

    def barrier(self) -> None:
        """Return when the device has finished all that was asked of it."""

    def devices(self) -> list[str]:
        """The devices the framework sees, in its own words."""

    def device_of(self, value: Any) -> str:
        """`cpu` or `gpu`: where a variable's value lives."""

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
