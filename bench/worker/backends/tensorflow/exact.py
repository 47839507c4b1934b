"""What parity needs of TensorFlow; see `Exact`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.worker.keras_internals import found, operations, replace


def patch_float64() -> None:
    """Python floats become float32 tensors, also on their way to float64; so do a default scale and a slope."""

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

    replace(operations("nn"), "leaky_relu", slope_in_python)
    replace("tensorflow.python.ops.math_ops", "cast", cast_directly)
    replace("tensorflow", "cast", lambda _original: found("tensorflow.python.ops.math_ops", "cast"))
    replace("tensorflow", "convert_to_tensor", convert_to_float64)
    replace(operations("nn"), "dot_product_attention", scale_in_python)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """See `Exact`."""
    return function


def word(value: int) -> Any:
    """See `Exact`."""
    return np.uint32(value)


def _holds_python_floats(value: Any) -> bool:
    """Whether a value is a Python float, or a list of Python numbers that are not all whole."""
    if not isinstance(value, float | list | tuple):
        return False
    numbers = keras.tree.flatten(value)
    return all(isinstance(one, float | int) for one in numbers) and any(isinstance(one, float) for one in numbers)
