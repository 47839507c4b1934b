"""The arithmetic of a model's layers: chosen by Keras's dtype policy, and found out from what products give.

`float32` and `tf32` differ in the backends' own settings, see `configure` of each; `bfloat16` and `float16` are Keras's
mixed policies: weights in float32, layers in half precision, and with float16 a loss that is scaled. `float64` is
Keras's float type for everything: weights, layers, losses and the samples that are handed over.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from bench.contract.case import FLOAT64, MIXED
from bench.worker import backends
from bench.worker.keras_internals import found

SIZE = 256  # of the products: large enough for a GPU's matrix units
CHANNELS = 64  # as many bits can be told apart

Array = npt.NDArray[np.float64]


def choose(numerics: str | None) -> None:
    """Let models that are built from now on compute in this arithmetic; with None it is Keras's default."""
    if numerics == FLOAT64:
        widen(keras.backend.backend())
    keras.config.set_dtype_policy(MIXED.get(numerics or "", keras.config.floatx()))


def widen(backend: str) -> None:
    """Let this process compute in float64 unless a layer asks for another type. Nothing is computed before it.

    Keras's table of types turns float64 into float32, to agree with JAX's default: its products, such as those of
    Dense on torch, would be float32's. No code is replaced, so that what is timed is Keras's own.
    """
    backends.load(backend).allow_float64()
    keras.config.set_floatx(FLOAT64)
    found("keras.src.backend.common.dtypes", "BIT64_TO_BIT32_DTYPE").pop(FLOAT64, None)


def in_force(policy: Any) -> dict[str, Any]:
    """What the layers of a dtype policy really compute with, found out by computing.

    `matmul_bits` and `convolution_bits` say how many bits after the leading one an operand keeps: 52 in float64, 23 in
    float32, 10 in TF32 and float16, 7 in bfloat16.
    """
    kind = policy.compute_dtype
    return {
        "compute_dtype": kind,
        "variable_dtype": policy.variable_dtype,
        "matmul_bits": _kept(_matmul(kind)),
        "convolution_bits": _kept(_convolution(kind)),
    }


def _operands() -> Array:
    """1 + 2**-k, for each k from 1 on."""
    return np.array([1 + 2.0**-k for k in range(1, CHANNELS + 1)])


def _matmul(kind: str) -> Array:
    left = np.zeros((SIZE, SIZE))
    left[:CHANNELS, :CHANNELS] = np.diag(_operands())
    product = _array(keras.ops.matmul(_tensor(left, kind), _tensor(np.eye(SIZE), kind)))
    return np.diagonal(product)[:CHANNELS]


def _convolution(kind: str) -> Array:
    images = np.broadcast_to(_operands(), (1, 16, 16, CHANNELS))
    kernel = np.zeros((3, 3, CHANNELS, CHANNELS))
    kernel[1, 1] = np.eye(CHANNELS)
    convolved = keras.ops.conv(
        _tensor(images, kind), _tensor(kernel, kind), padding="same", data_format="channels_last"
    )
    return np.asarray(_array(convolved)[0, 8, 8])


def _kept(products: Array) -> int:
    """The operands, times 1: the last k that is not rounded away."""
    lost = products == 1
    return int(np.argmax(lost)) if lost.any() else CHANNELS


def _tensor(array: npt.NDArray[Any], kind: str) -> Any:
    return keras.ops.convert_to_tensor(np.ascontiguousarray(array, dtype=_on_host(kind)), dtype=kind)


def _array(tensor: Any) -> Array:
    kind = _on_host(keras.backend.standardize_dtype(tensor.dtype))
    host: Array = keras.ops.convert_to_numpy(keras.ops.cast(tensor, kind)).astype(np.float64)
    return host


def _on_host(kind: str) -> str:
    """The type that NumPy has for one of Keras's: it has no bfloat16."""
    return FLOAT64 if kind == FLOAT64 else "float32"
