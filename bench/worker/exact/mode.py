"""Exact mode: float64 from end to end on every backend, so that what differs is not rounding.

Keras 3.15.1 offers float64 but passes much of it through float32. The patches here keep it out; each replaces a name
that may move with the next version, so each is looked up through `replace`, which says which one is gone. No model and
no hyperparameter is touched. For parity only: nothing that is timed runs with patched code.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from bench.worker.keras_internals import found, replace


def enable(backend: str) -> None:
    """Switch this process to exact mode, before anything is built; JAX needs JAX_ENABLE_X64=1 before its import."""
    import keras

    keras.config.set_floatx("float64")
    # Keras turns float64 into float32 whenever it works out the type of a result, to agree with JAX's default.
    found("keras.src.backend.common.dtypes", "BIT64_TO_BIT32_DTYPE").pop("float64", None)
    PATCHES[backend]()


class _Widened(ModuleType):
    """A module whose float32 is float64."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _jax() -> None:
    """Both of JAX's attentions, its own and Keras's, cast the logits to float32 before the softmax."""
    for module, name in (("jax._src.nn.functions", "np"), ("keras.src.backend.jax.nn", "jnp")):
        found(module, "_dot_product_attention_core")
        replace(module, name, _Widened)


def _tensorflow() -> None:
    """Python floats become float32 tensors, also on their way to float64; so do a default scale and a slope."""
    import tensorflow as tf

    def cast_directly(original: Callable[..., Any]) -> Callable[..., Any]:
        def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
            kind = tf.as_dtype(dtype).base_dtype
            if kind.is_floating and _holds_python_floats(x):
                return tf.constant(x, dtype=kind, name=name)
            return original(x, dtype, name)

        return cast

    def convert_to_float64(original: Callable[..., Any]) -> Callable[..., Any]:
        def convert_to_tensor(value: Any, dtype: Any = None, *arguments: Any, **others: Any) -> Any:
            kind = tf.float64 if dtype is None and _holds_python_floats(value) else dtype
            return original(value, kind, *arguments, **others)

        return convert_to_tensor

    def scale_in_python(original: Callable[..., Any]) -> Callable[..., Any]:
        def dot_product_attention(query: Any, *arguments: Any, **others: Any) -> Any:
            if len(arguments) < 5 and others.get("scale") is None:  # it can also be the sixth argument
                others["scale"] = float(query.shape[-1]) ** -0.5
            return original(query, *arguments, **others)

        return dot_product_attention

    def slope_in_python(_original: Callable[..., Any]) -> Callable[..., Any]:
        def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:  # TensorFlow's takes the slope as float32
            return tf.where(x > 0, x, tf.constant(negative_slope, dtype=x.dtype) * x)

        return leaky_relu

    replace("keras.src.backend.tensorflow.nn", "leaky_relu", slope_in_python)
    replace("tensorflow.python.ops.math_ops", "cast", cast_directly)
    replace("tensorflow", "cast", lambda _original: found("tensorflow.python.ops.math_ops", "cast"))
    replace("tensorflow", "convert_to_tensor", convert_to_float64)
    replace("keras.src.backend.tensorflow.nn", "dot_product_attention", scale_in_python)


def _holds_python_floats(value: Any) -> bool:
    """Whether a value is a Python float, or a list of Python numbers that are not all whole."""
    if not isinstance(value, float | list | tuple):
        return False
    import keras

    numbers = keras.tree.flatten(value)
    return all(isinstance(one, float | int) for one in numbers) and any(isinstance(one, float) for one in numbers)


def _torch() -> None:
    """Do nothing: what all backends need is done."""


PATCHES = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
