"""What parity needs of JAX; see `Exact`."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import numpy as np

from bench.worker.keras_internals import found, operations, replace


def patch_float64() -> None:
    """Both of JAX's attentions, its own and Keras's, cast the logits to float32 before the softmax."""
    for module, name in (("jax._src.nn.functions", "np"), (operations("nn"), "jnp")):
        found(module, "_dot_product_attention_core")
        replace(module, name, _Widened)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """One compilation for each shape, where eager operations would take one each."""
    made: Callable[..., Any] = jax.jit(function)
    return made


def word(value: int) -> Any:
    """See `Exact`."""
    return np.uint32(value)


class _Widened(ModuleType):
    """A module, but for its float32, which is float64."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
