"""The outputs of layers, observed from outside."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt


@contextmanager
def observed() -> Iterator[tuple[list[tuple[str, Any]], dict[str, str]]]:
    """Within, every layer's outputs are noted as (location, array), in the order in which the layers finish.

    The other value has the kind of the layer at each path, see `kind_of`.

    The location is the layer's path, with `#2` where it is called a second time, and the output's number where it has
    several. The array is None inside a loop that the backend traces. Layers inside a recurrent one are left out: each
    backend calls them as it likes.
    """
    import keras

    seen: list[tuple[str, Any]] = []
    calls: dict[str, int] = {}
    kinds: dict[str, str] = {}
    inside = 0
    original = keras.Layer.__call__

    @functools.wraps(original)
    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal inside
        hides = isinstance(layer, keras.layers.RNN)
        inside += hides
        try:
            outputs = original(layer, *arguments, **options)
        finally:
            inside -= hides
        path = layer.path or layer.name
        kinds.setdefault(path, kind_of(layer))
        if not inside:
            calls[path] = calls.get(path, 0) + 1
            flat = [value for value in keras.tree.flatten(outputs) if keras.ops.is_tensor(value)]
            for index, value in enumerate(flat):
                name = path if calls[path] == 1 else f"{path}#{calls[path]}"
                seen.append((name if len(flat) == 1 else f"{name}[{index}]", _concrete(value)))
        return outputs

    keras.Layer.__call__ = call
    try:
        yield seen, kinds
    finally:
        keras.Layer.__call__ = original


def kind_of(layer: Any) -> str:
    """The class of a layer, and its activation where it has one."""
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return type(layer).__name__ if activation == "linear" else f"{type(layer).__name__} {activation}"


def _concrete(value: Any) -> npt.NDArray[Any] | None:
    """The value as an array; None for a symbol, as inside a traced loop."""
    try:
        return array(value)
    except Exception:  # each framework has its own error for it
        return None


def array(value: Any) -> npt.NDArray[Any]:
    """A backend's tensor as NumPy's; bfloat16, which NumPy does not have, as float32."""
    import keras

    array = np.array(keras.ops.convert_to_numpy(value))
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
