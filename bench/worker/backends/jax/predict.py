"""Task predict on JAX: a jitted stateless call, and an exported one that was written to a file and read back."""

from pathlib import Path
from typing import Any

import jax

from bench.worker.backends import Array, Call


def loop(model: Any, example: Array, folder: Path) -> Call:  # noqa: ARG001
    """See `backends.caller`. The weights are arguments, as they are in a program that goes on training them."""
    weights = _weights(model)
    compiled = jax.jit(lambda given, x: model.stateless_call(*given, x, training=False)[0])
    return lambda x: jax.device_get(compiled(weights, x))


def native(model: Any, example: Array, folder: Path) -> Call:
    """See `backends.caller`. The weights are constants, so that the file is all there is to it."""
    weights, path = _weights(model), folder / "model.jax"
    exported = jax.export.export(jax.jit(lambda x: model.stateless_call(*weights, x, training=False)[0]))
    path.write_bytes(exported(jax.ShapeDtypeStruct(example.shape, example.dtype)).serialize())
    compiled = jax.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    return lambda x: jax.device_get(compiled(x))


def _weights(model: Any) -> tuple[list[Any], list[Any]]:
    trainable, others = model.trainable_variables, model.non_trainable_variables
    return [variable.value for variable in trainable], [variable.value for variable in others]
