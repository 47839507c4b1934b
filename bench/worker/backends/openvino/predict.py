"""Task predict on OpenVINO: the model that Keras compiled, without `predict` around it, and an exported one."""

from pathlib import Path
from typing import Any

import keras
import openvino

from bench.worker.backends import Array, Call
from bench.worker.backends.openvino import DEVICE


def loop(model: Any, example: Array, folder: Path) -> Call:  # noqa: ARG001
    """See `backends.caller`."""
    return lambda x: model.predict_step((x,))


def native(model: Any, example: Array, folder: Path) -> Call:
    """See `backends.caller`. OpenVINO compiles a model when it loads it."""
    path = str(folder / "model.xml")
    signature = [keras.InputSpec(shape=example.shape, dtype=example.dtype.name)]  # else the file takes batches of one
    model.export(path, format="openvino", input_signature=signature, verbose=False)
    compiled = openvino.compile_model(path, DEVICE)
    return lambda x: list(compiled([x]).values())
