"""Exact mode: float64 from end to end on every backend, so that what differs is not rounding.

Keras 3.15.1 offers float64 but passes much of it through float32. The patches of each backend, in its `exact.py`, keep
it out; each replaces a name that may move with the next version, so each is looked up through `replace`, which says
which one is gone. No model and no hyperparameter is touched. For parity only: nothing that is timed runs with patched
code.
"""

from bench.worker import backends
from bench.worker.keras_internals import found


def enable(backend: str) -> None:
    """Switch this process to exact mode, before anything is built; JAX needs JAX_ENABLE_X64=1 before its import."""
    import keras

    keras.config.set_floatx("float64")
    # Keras turns float64 into float32 whenever it works out the type of a result, to agree with JAX's default.
    found("keras.src.backend.common.dtypes", "BIT64_TO_BIT32_DTYPE").pop("float64", None)
    backends.exact(backend).patch_float64()
