"""Task predict on PyTorch: the model under `torch.compile`, and one that was exported, saved, loaded and compiled.

Of the Keras model `torch.compile` gets layers with Python in between; the exported program is nothing but torch's
operations.
"""

from pathlib import Path
from typing import Any

import keras
import torch

from bench.worker.backends import Array, Call


def loop(model: Any, example: Array, folder: Path) -> Call:  # noqa: ARG001
    """See `backends.caller`."""
    return _call(torch.compile(lambda x: model(x, training=False)), model)


def native(model: Any, example: Array, folder: Path) -> Call:
    """See `backends.caller`."""
    path = str(folder / "model.pt2")
    signature = [keras.InputSpec(shape=example.shape, dtype=example.dtype.name)]
    model.export(path, format="torch", input_signature=signature, verbose=False)
    return _call(torch.compile(torch.export.load(path).module()), model)


def _call(program: Any, model: Any) -> Call:
    device = model.weights[0].value.device

    def call(x: Array) -> Any:
        with torch.inference_mode():
            return keras.tree.map_structure(_array, program(torch.from_numpy(x).to(device)))

    return call


def _array(tensor: Any) -> Any:
    tensor = tensor.cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()  # NumPy has no bfloat16
