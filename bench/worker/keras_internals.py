"""Private names of Keras, looked up or replaced."""

from __future__ import annotations

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


def replace(module: str, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(original)` in the place of a module's name."""
    original = found(module, name)  # first, since it says what is gone
    setattr(importlib.import_module(module), name, make(original))
