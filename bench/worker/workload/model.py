"""A workload's model: built for its data, and compiled as it is trained."""

from __future__ import annotations

from typing import Any

import keras

from bench.worker.errors import StartError
from bench.worker.workload import load
from models import Compilation, Workload, own
from models.datasets import Part, mapped


def fresh(workload: Workload, samples: Part) -> keras.Model:
    """A fresh model whose weights exist; `samples`, of shape (samples, …), give its inputs' shapes where it says none.

    Raises whatever the workload's own code raises.
    """
    model = workload.build()
    if not model.built:
        model(mapped(symbol, samples))
    return model


def symbol(samples: Any) -> Any:
    """The symbolic input that takes arrays like this one, of shape (samples, …), whichever library's it is."""
    dtype = keras.backend.standardize_dtype(samples.dtype)
    return keras.Input(samples.shape[1:], dtype=None if "float" in dtype else dtype)


def fixed_batch(model: keras.Model) -> int | None:
    """How many samples a model takes at a time, as a stateful one does; None where any number will do."""
    try:
        (first, *_) = keras.tree.flatten(model.inputs)
    except (AttributeError, ValueError):  # a subclass, whose inputs nobody knows
        return None
    size: int | None = first.shape[0]
    return size


def compilation(workload: Workload, model: keras.Model, labels: Part) -> Compilation:
    """What a model of `fresh` is compiled with: as the workload declares, or as its own code compiled it.

    The objects of a model that was compiled already are its own, with the state that they have. Raises ModelError where
    it cannot be told, and whatever the workload's code raises.
    """
    if workload.compilation is not None:
        return workload.compilation(model, labels)
    assert workload.optimizer  # as Workload sees to
    assert workload.loss
    return Compilation(workload.optimizer(), workload.loss(), {"metrics": load.metrics(workload)})


def compile_model(model: keras.Model, given: Compilation, **how: Any) -> None:
    """Compile a model; `how` are arguments of `model.compile` that replace those given.

    A model whose class has a `compile` of its own stays as its own code compiled it; StartError where `how` asks more.
    """
    if type(model).compile is not keras.Model.compile and model.compiled:
        if how:
            raise StartError(f"{type(model).__name__} has a compile() of its own, which does not take {', '.join(how)}")
        return
    model.compile(**{"optimizer": given.optimizer, "loss": given.loss, **given.settings, **how})


def hand_as_fit(model: keras.Model) -> None:
    """Let `train_on_batch` hand a model's own `train_step` what `fit` does: without weights, no place for them."""
    if not own.has_own_step(model):
        return
    step = model.train_step

    def taken(*arguments: Any) -> Any:
        *state, parts = arguments  # on JAX the state comes first
        return step(*state, parts[:2] if len(parts) > 2 and parts[2] is None else parts)

    model.train_step = taken


def tensors(part: Part) -> Part:
    """Arrays as `fit` hands them to a loss or a metric: on torch `train_on_batch` would leave them NumPy's."""
    return mapped(keras.ops.convert_to_tensor, part)


def keras_loss(loss: Any) -> keras.losses.Loss | None:
    """A loss given as `model.compile` takes it, as an object of Keras's own class; None where it is another's."""
    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    name = getattr(found, "__name__", "")
    kind = getattr(keras.losses, "".join(word.title() for word in name.split("_")), None)
    if isinstance(kind, type) and found is getattr(keras.losses, name, None):
        return kind()
    return found if type(found) is getattr(keras.losses, type(found).__name__, None) else None
