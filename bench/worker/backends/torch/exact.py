"""What parity needs of PyTorch; see `Exact`."""

from collections.abc import Callable
from typing import Any


def patch_float64() -> None:
    """Nothing besides what all backends need."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """See `Exact`."""
    return function


def word(value: int) -> Any:
    """Torch has no arithmetic on uint32; Keras's uint32 is int64 there."""
    return value
