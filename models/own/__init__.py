"""A model of the user's own: what a function in a file returns, or a saved `.keras` file.

The workload files that are written for `--workloads path/to/model.keras` are made of these; see docs/own-models.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

CONFIG = "config.json"  # of a .keras file
LONGEST = 250  # characters of an error of Keras's that are told
PROBABILITIES = ("softmax", "sigmoid")  # activations after which a loss is not to expect logits
FLOATS = ("float16", "bfloat16", "float32", "float64")


class ModelError(Exception):
    """A user's model cannot be used; the message names it and says how to fix it."""


class OwnModel:
    """A user's model as a workload takes it: built anew by each call, with a loss that fits what it ends in."""

    def __init__(self, source: str, make: Callable[[], Any], optimizer: dict[str, Any] | None = None) -> None:
        self._source, self._make, self._optimizer = source, make, optimizer
        self._is_known = False  # before it has been built
        self._gives_probabilities = False
        self._compiled_loss: str | None = None

    def build(self) -> keras.Model:
        """A fresh model; ModelError where the function made something else."""
        model = self._make()
        if not isinstance(model, keras.Model):
            found = type(model).__name__
            hint = "; has it forgotten its `return`?" if model is None else ""
            raise ModelError(f"{self._source}: gives {found}, expected a Keras model{hint}")
        self._is_known = True
        self._gives_probabilities = last_activation(model) in PROBABILITIES
        if model.compiled:
            self._optimizer = keras.optimizers.serialize(model.optimizer)
            self._compiled_loss = _loss_name(model.loss)
        return model

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Fresh: the one that the model was compiled with, else Adam."""
        self._learn()
        config = self._optimizer
        if config is None:
            return keras.optimizers.Adam()
        if config["class_name"] == "LossScaleOptimizer":  # what float16 wraps around it
            config = config["config"]["inner_optimizer"]
        return keras.optimizers.deserialize(config)

    def loss(self, kind: Callable[..., keras.losses.Loss], by_default: bool = False) -> keras.losses.Loss:
        """Fresh, a crossentropy of what the model ends in: probabilities after softmax or sigmoid, else logits.

        ModelError where nobody asked for it (`by_default`) and the model was compiled with another.
        """
        self._learn()
        loss = kind(from_logits=not self._gives_probabilities)
        if by_default and self._compiled_loss not in (None, loss.name):
            raise ModelError(
                f"{self._source}: compiles its model with {self._compiled_loss}, and without --loss {loss.name} is "
                "taken; say which with --loss"
            )
        return loss

    def _learn(self) -> None:
        if not self._is_known:
            self.build()


def built_by(path: str, function: str, sha256: str) -> OwnModel:
    """The model that a function of a Python file returns when it is called without arguments."""
    module = import_file(unchanged(path, sha256))
    source = f"{path}:{function}"
    if not callable(getattr(module, function, None)):
        raise ModelError(f"{source}: there is no such function once the file is imported")
    return OwnModel(source, getattr(module, function))


def load(path: str, unsafe: bool = False) -> Any:
    """The model in a `.keras` file, for a function that does more: its layers compute in the arithmetic in force.

    Those of `keras.saving.load_model` compute in what they were saved with, also where exact mode is to be climbed.
    """
    try:
        with _in_force(path) as file:
            return keras.saving.load_model(file, compile=False, safe_mode=not unsafe)
    except Exception as error:  # of every kind, for a file that Keras cannot load
        raise ModelError(f"{path}: Keras cannot load it: {_root(error)}") from None


def saved(path: str, sha256: str, unsafe: bool = False) -> OwnModel:
    """The model in a `.keras` file, with the weights it was saved with; code in it is run only where `unsafe`."""
    config = _config(unchanged(path, sha256)).get("compile_config") or {}
    return OwnModel(path, lambda: load(path, unsafe), config.get("optimizer"))


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
    name = f"file{re.sub(r'[^0-9a-zA-Z]', '_', path)}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ModelError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.append(folder)
    specification.loader.exec_module(module)
    return module


def last_activation(model: keras.Model) -> str:
    """The name of the activation that a model ends in; empty where it has none, or where its graph is not known."""
    last: Any = model
    while True:
        if isinstance(last, keras.Sequential):
            last = last.layers[-1] if last.layers else None
        elif isinstance(last, keras.Model):
            last = last.operations[-1] if hasattr(last, "operations") else None
        elif isinstance(last, keras.layers.TimeDistributed):
            last = last.layer
        else:
            break
    kind = type(last).__name__.lower()
    name = kind if kind in PROBABILITIES else getattr(getattr(last, "activation", None), "__name__", "")
    return "" if name == "linear" else str(name)


def _root(error: BaseException) -> str:
    """In one line what an error began with: Keras wraps it in others that hold the whole configuration."""
    while error.__context__ is not None:
        error = error.__context__
    text = " ".join(str(error).partition("Full object config")[0].split())
    return f"{type(error).__name__}: {text[:LONGEST]}"


def _loss_name(loss: Any) -> str:
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
