"""A model of the user's own: what a function in a file returns, or a saved `.keras` file.

The workload files that are written for `--workloads path/to/model.keras` are made of these; see docs/own-models.md.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import keras

from models import Compilation
from models.own import imports

CONFIG = "config.json"  # of a .keras file
LONGEST = 250  # characters of an error of Keras's that are told
PROBABILITIES = ("softmax", "sigmoid")  # activations after which a loss is not to expect logits
LOGITS = "logits"
# Kinds of layers and operations that pass values on as they are.
MOVES_VALUES = ("Flatten", "GetItem", "Identity", "Permute", "Reshape", "Squeeze", "ExpandDims", "Transpose")
DEFAULT_LOSS = "sparse_categorical_crossentropy"
CROSSENTROPIES = {
    DEFAULT_LOSS: keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
}
DIFFERENCES = {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
}
FLOATS = ("float16", "bfloat16", "float32", "float64")


class ModelError(Exception):
    """A user's model cannot be used; the message names it and says how to fix it."""


class OwnModel:
    """A user's model as a workload takes it: built anew by each call, and trained with what it was compiled with.

    `loss` is the name of the loss that was asked for, None where nobody asked.
    """

    def __init__(self, source: str, make: Callable[[], Any], loss: str | None = None) -> None:
        self._source, self._make, self._asked = source, make, loss
        self._compiled: WeakKeyDictionary[keras.Model, Mapping[str, Any]] = WeakKeyDictionary()

    def build(self) -> keras.Model:
        """A fresh model; ModelError where the function made something else."""
        model = self._make()
        if not isinstance(model, keras.Model):
            found = type(model).__name__
            hint = "; has it forgotten its `return`?" if model is None else ""
            raise ModelError(f"{self._source}: gives {found}, expected a Keras model{hint}")
        if model.compiled:
            self._compiled[model] = compiled_with(model)
        return model

    def compilation(self, model: keras.Model, labels: Any) -> Compilation:
        """What a model that `build` made is trained with: the very objects it was compiled with, as far as there are.

        Without an optimizer it is Adam. Without a loss it is the one asked for, else DEFAULT_LOSS, with the metric that
        fits it and the `labels`, an array of shape (samples, …). ModelError where another loss was asked for than it
        was compiled with, or where nothing shows whether a crossentropy is given logits or probabilities.
        """
        settings = dict(self._compiled.get(model, {}))
        optimizer, loss = settings.pop("optimizer", None), settings.pop("loss", None)
        if loss is not None and self._asked not in (None, loss_name(loss)):
            raise ModelError(
                f"{self._source}: is compiled with {loss_name(loss)}, and --loss asks for {self._asked}; leave --loss "
                "out, or compile it with that"
            )
        if optimizer is None:
            optimizer = keras.optimizers.Adam()
        if loss is None and (self._asked or not (model in self._compiled and brings_its_loss(model))):
            loss, metrics = self._fitting(model, labels)
            settings = {**settings, "metrics": settings.get("metrics") or metrics}
        return Compilation(optimizer, loss, settings)

    def _fitting(self, model: keras.Model, labels: Any) -> tuple[keras.losses.Loss, list[Any]]:
        """The loss for a model that has none, and the metric beside it."""
        name = self._asked or DEFAULT_LOSS
        if name in DIFFERENCES:
            return DIFFERENCES[name](), [keras.metrics.MeanSquaredError()]
        ends_in = ending(model)
        if not ends_in:
            raise ModelError(
                f"{self._source}: nothing shows whether its outputs are logits or probabilities, which {name} has to "
                f"know; compile the model where it is made, with loss=keras.losses.{CROSSENTROPIES[name].__name__}("
                "from_logits=…)"
            )
        loss = CROSSENTROPIES[name](from_logits=ends_in == LOGITS)
        if name != "binary_crossentropy":
            return loss, ["accuracy"]
        if not ((labels == 0) | (labels == 1)).all():
            return loss, []  # labels between yes and no, such as pixels: what would an accuracy count?
        # Keras would count an output above 0.5 as a yes, also where it is a logit, and several as classes.
        return loss, [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if ends_in == LOGITS else 0.5)]


def built_by(path: str, function: str, sha256: str, loss: str | None = None) -> OwnModel:
    """The model that a function of a Python file returns when it is called without arguments."""
    module = import_file(unchanged(path, sha256))
    source = f"{path}:{function}"
    if not callable(getattr(module, function, None)):
        raise ModelError(f"{source}: there is no such function once the file is imported")
    return OwnModel(source, getattr(module, function), loss)


def load(path: str, unsafe: bool = False) -> Any:
    """The model in a `.keras` file, for a function that does more: its layers compute in the arithmetic in force.

    Those of `keras.saving.load_model` compute in what they were saved with, also where exact mode is to be climbed.
    """
    try:
        with _in_force(path) as file:
            return keras.saving.load_model(file, compile=False, safe_mode=not unsafe)
    except Exception as error:  # of every kind, for a file that Keras cannot load
        raise ModelError(f"{path}: Keras cannot load it: {_root(error)}") from None


def saved(path: str, sha256: str, loss: str | None = None, unsafe: bool = False, compiled: bool = True) -> OwnModel:
    """The model in a `.keras` file, with the weights it was saved with; code in it is run only where `unsafe`.

    It is compiled as it was when it was saved, unless what it was compiled with is not to be loaded (`compiled`).
    """
    config = _config(unchanged(path, sha256)).get("compile_config") if compiled else None

    def make() -> Any:
        model = load(path, unsafe)
        if config:
            model.compile_from_config(config)
        return model

    return OwnModel(path, make, loss)


def unchanged(path: str, sha256: str) -> str:
    """The path, if the file is what it was when the workload was written; ModelError where it is not."""
    try:
        with Path(path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read any more ({error.strerror}); put it back, or start anew") from None
    if found != sha256:
        raise ModelError(f"{path}: has changed since the run began; put it back, or start anew")
    return path


def import_file(path: str) -> ModuleType:
    """Import a Python file, which may import its neighbours; raises whatever it raises."""
    module = imports.import_file(path)
    if module is None:
        raise ModelError(f"{path}: not a Python file")
    return module


def ending(model: keras.Model) -> str:
    """What a model's output is: the name of an activation of PROBABILITIES, LOGITS, or empty where it does not show.

    It shows in the graph of a built Sequential or functional model, where it ends in a layer of Keras's own.
    """
    try:
        outputs = keras.tree.flatten(model.outputs)
    except (AttributeError, ValueError):  # a subclass, whose graph nobody knows
        return ""
    found = {_ending(output) for output in outputs}
    return found.pop() if len(found) == 1 else ""


def _ending(output: Any) -> str:
    """Of one symbolic output."""
    operation, node, _ = output._keras_history
    inner = operation.layer if isinstance(operation, keras.layers.TimeDistributed) else operation
    kind = type(inner).__name__
    if isinstance(inner, keras.Model):
        return ending(inner)
    if kind.lower() in PROBABILITIES:
        return kind.lower()
    activation = getattr(getattr(inner, "activation", None), "__name__", "linear")
    if activation in PROBABILITIES:
        return str(activation)
    if not type(inner).__module__.startswith("keras."):
        return ""
    if kind in MOVES_VALUES or (kind == "Activation" and activation == "linear"):
        (given,) = operation._inbound_nodes[node].input_tensors
        return _ending(given)
    return LOGITS if getattr(inner, "kernel", None) is not None else ""


def brings_its_loss(model: keras.Model) -> bool:
    """Whether a model trains without a compiled loss, as a variational autoencoder does.

    By a `train_step` or a `compute_loss` of its own, or by `add_loss` in a layer's `call`, whose code names it: what a
    layer adds is there only once it was called on data.
    """
    own_loss = type(model).compute_loss is not keras.Model.compute_loss
    return has_own_step(model) or own_loss or any(map(_adds_loss, model._flatten_layers()))


def _adds_loss(layer: keras.Layer) -> bool:
    code = getattr(type(layer).call, "__code__", None)
    return code is not None and "add_loss" in code.co_names


def has_own_step(model: keras.Model) -> bool:
    """Whether a model is trained by a `train_step` of its own."""
    return getattr(type(model), "train_step", None) is not getattr(keras.Model, "train_step", None)


def compiled_with(model: keras.Model) -> dict[str, Any]:
    """The arguments of `model.compile`, as they were given, but for what is None; the objects themselves."""
    config = model._compile_config.config
    return {name: value for name, value in config.items() if value is not None}


def _root(error: BaseException) -> str:
    """In one line what an error began with: Keras wraps it in others that hold the whole configuration."""
    while error.__context__ is not None:
        error = error.__context__
    text = " ".join(str(error).partition("Full object config")[0].split())
    return f"{type(error).__name__}: {text[:LONGEST]}"


def loss_name(loss: Any) -> str:
    """A compiled loss by the name that `--loss` has it by, or in words."""
    if isinstance(loss, list | tuple | dict):
        return "a loss for each of its outputs"
    found = keras.losses.get(loss)
    return str(getattr(found, "name", None) or getattr(found, "__name__", "a loss of its own"))


def _config(path: str) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        config: dict[str, Any] = json.loads(archive.read(CONFIG))
    return config


@contextmanager
def _in_force(path: str) -> Iterator[str]:
    """The saved model, or a copy of it whose layers compute in the arithmetic in force.

    Each layer was saved with the arithmetic it was made in, which exact mode has to replace.
    """
    config = _config(path)
    retyped = _retyped(config)
    if retyped == config:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.keras")
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as changed:
            for name in archive.namelist():
                with archive.open(name) as old, changed.open(name, "w", force_zip64=True) as new:
                    if name == CONFIG:
                        new.write(json.dumps(retyped).encode())
                    else:
                        shutil.copyfileobj(old, new)
        yield str(copy)


def _retyped(value: Any) -> Any:
    """A model's configuration with every floating-point type and policy of types replaced by those in force."""
    if isinstance(value, list):
        return [_retyped(one) for one in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return {**value, "config": {**value["config"], "name": keras.config.dtype_policy().name}}
    found = {name: _retyped(one) for name, one in value.items()}
    if found.get("dtype") in FLOATS:  # of a layer, in older files, it is the name of a policy
        found["dtype"] = keras.config.dtype_policy().name if "trainable" in found else keras.config.floatx()
    return found
