"""Private names of Keras, looked up or replaced, and what differs between its versions."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any


class MovedError(Exception):
    """A private name of Keras has moved; the message names it."""


def found(module: str, name: str) -> Any:
    """What a module's name stands for; MovedError where it is gone."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        import keras

        raise MovedError(
            f"{module}.{name}, which is replaced here, is gone (Keras {keras.__version__}): bench/worker has to follow"
        ) from None


def operations(part: str) -> str:
    """The module with this part of the backend's operations, such as `nn`; from 3.16 on it lies in a package `ops`."""
    import keras

    backend = f"keras.src.backend.{keras.backend.backend()}"
    for name in (f"{backend}.ops.{part}", f"{backend}.{part}"):
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name).__name__
    raise MovedError(f"{backend}.{part}, which is replaced here, is gone (Keras {keras.__version__})")


def distributes() -> bool:
    """Whether `keras.distribution` works on the backend; on torch from 3.16 on, before that nothing is behind it."""
    return found("keras.src.backend", "distribution_lib") is not None


def takes_logits(loss: Any) -> bool:
    """Whether a loss reads outputs as logits, by its configuration: from 3.16 on it has no attribute that says so."""
    return bool(loss.get_config()["from_logits"])


def replace(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(original)` in the place of a module's name."""
    original = found(module, name)  # first, since it says what is gone
    setattr(importlib.import_module(module), name, make(original))
