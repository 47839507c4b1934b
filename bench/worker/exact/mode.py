"""Exact mode: float64 from end to end on every backend, so that what differs is not rounding.

Keras 3.15.1 offers float64 but passes much of it through float32. The patches of each backend, in its `exact.py`, keep
it out; each replaces a name that may move with the next version, so each is looked up through `replace`, which says
which one is gone. No model and no hyperparameter is touched but for the type that a layer asks for: a last layer in
float32, as mixed precision wants it, is float64 here like all others. For parity only: nothing that is timed runs with
patched code.
"""

from collections.abc import Callable
from typing import Any

from bench.worker import backends
from bench.worker.keras_internals import replace

FLOATING = ("float16", "bfloat16", "float32", "mixed_float16", "mixed_bfloat16")


def enable(backend: str) -> None:
    """Switch this process to exact mode, before anything is built."""
    from bench.worker.workload import numerics  # which imports Keras

    numerics.widen(backend)
    replace("keras.src.dtype_policies", "get", _exact_policy)
    backends.exact(backend).patch_float64()


def _exact_policy(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Policies looked up as ever, but for those of floating-point types, which are all float64's."""

    def get(identifier: Any) -> Any:
        policy = original(identifier)
        return original("float64") if policy.name in FLOATING else policy

    return get
