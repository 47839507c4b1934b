"""Do data, model and loss of a workload fit together? Checked before training, and refused in one line.

The frameworks would fail late, each with its own message, or not at all: JAX gives loss 0 for a label out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from bench.contract.parity import LADDER_BATCH
from bench.worker.errors import StartError
from bench.worker.workload.load import Array, check_labels
from bench.worker.workload.model import fixed_batch, keras_loss
from models import Compilation, own
from models.datasets import Dataset, Part, arrays_of, count

OBSERVED = 8  # samples whose outputs are looked at
SUM_ERROR = 1e-3  # of probabilities that add up to 1
ADVICE_FOR_ONE = "binary_crossentropy takes one for yes or no, mean_squared_error one for a number"
ADVICE = "sparse_categorical_crossentropy takes whole numbers, categorical_crossentropy one-hot labels"


def check_samples(name: str, model: keras.Model, batch_size: int, dataset: Dataset) -> None:
    """Refuse samples that the model does not take, or that do not fill a batch."""
    fixed = fixed_batch(model)
    if fixed not in (None, batch_size):
        raise StartError(
            f"{name}: its model takes batches of {fixed} alone, not of {batch_size}; say --batch-size {fixed}"
        )
    samples = count(dataset.x_train)
    if samples < LADDER_BATCH:
        raise StartError(f"{name}: {samples} training samples; at least {LADDER_BATCH} are needed")
    given, wanted = dataset.x_train, _inputs(model)
    if isinstance(wanted, dict) and isinstance(given, dict):
        missing = [one for one in wanted if one not in given]
        if missing:
            raise StartError(
                f"{name}: its model has an input {missing[0]}, and the data set has {', '.join(given)}; name the "
                "arrays as the inputs, x_train/NAME"
            )
    elif len(symbols := arrays_of(wanted)) > 1 and len(symbols) != len(arrays_of(given)):
        raise StartError(
            f"{name}: its model has {len(symbols)} inputs, and the data set {len(arrays_of(given))} for them; an .npz "
            "file has each as an array of its own, x_train/NAME; of a table of numbers a function, FILE.py:NAME, "
            "gives a dictionary of its columns"
        )
    outputs = keras.tree.flatten(getattr(model, "outputs", None))
    if len(outputs) > 1 and not model.compiled:
        raise StartError(
            f"{name}: its model has {len(outputs)} outputs and is not compiled; compile it with a loss for "
            "each of them, None for one that has none"
        )
    for place, symbol, array in _pairs(wanted, given):
        shape = tuple(symbol.shape[1:])
        if not _alike(shape, array.shape[1:]):
            raise StartError(
                f"{name}: its model takes samples of shape {shape}{place}, those of the data set have shape "
                f"{array.shape[1:]}; change keras.Input or reshape the data"
            )


def unused(model: keras.Model, dataset: Dataset) -> list[str]:
    """A note where the data set has inputs that the model does not take."""
    given, wanted = dataset.x_train, _inputs(model)
    if not (isinstance(given, dict) and isinstance(wanted, dict)):
        return []
    idle = [name for name in given if name not in wanted]
    return [f"has no input for {', '.join(idle)} of its data set, which nothing is done with"] if idle else []


def _inputs(model: keras.Model) -> Part:
    """The symbolic inputs of a model: a dictionary by name or a tuple; an empty tuple where nobody knows them."""
    try:
        found = model.inputs if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):  # a subclass
        return ()
    return found if isinstance(found, dict) else tuple(keras.tree.flatten(found))


def _pairs(wanted: Part, given: Part) -> list[tuple[str, Any, Array]]:
    """Each input, with where it is in words, beside the array that it takes."""
    if isinstance(wanted, dict) and isinstance(given, dict):
        return [(f" for {name}", symbol, given[name]) for name, symbol in wanted.items()]
    symbols, arrays = arrays_of(wanted), arrays_of(given)
    if len(symbols) == 1 == len(arrays):
        return [("", symbols[0], arrays[0])]
    names = list(given) if isinstance(given, dict) else range(len(arrays))
    return [(f" for {name}", *pair) for name, *pair in zip(names, symbols, arrays, strict=False)]


def check(
    name: str, given: Compilation, is_compiled: bool, model: keras.Model, outputs: Any, dataset: Dataset
) -> list[str]:
    """Refuse labels that the loss does not take, or outputs that it misreads; gives what is to be said besides.

    `outputs` are the model's for the first training samples. A model with several outputs, or another loss than those
    of `RULES`, is not judged. A loss that misreads the outputs is refused unless the user's own code compiled it.
    """
    notes = [dataset.note] if dataset.note else []
    loss = keras_loss(given.loss)
    rule = RULES.get(type(loss).__name__)
    if loss is None or rule is None or not keras.ops.is_tensor(outputs) or not isinstance(dataset.y_train, np.ndarray):
        return notes
    config = loss.get_config()
    for part, labels in (("training", dataset.y_train), ("test", dataset.y_test)):
        fault = rule(labels, tuple(outputs.shape[1:]))
        if fault:
            raise StartError(f"{name}: {loss.name} does not fit the {part} set: {fault}")
        if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
            judged = labels[labels != config["ignore_class"]]
            check_labels(judged, outputs.shape[-1], f"{name}, {part} set")
    if "from_logits" in config:
        fault = _misread(loss, config["from_logits"], keras.ops.convert_to_numpy(outputs).astype(np.float64))
        if fault and not is_compiled:
            raise StartError(f"{name}: {fault}")
        if fault:  # what a user compiled is what is trained
            notes.append(fault)
        elif not config["from_logits"]:
            notes.append(_saturation(model))
    return notes


def _alike(wanted: tuple[int | None, ...], found: tuple[int, ...]) -> bool:
    """Whether shapes fit, None standing for any length; Keras adds or drops a last axis of length 1."""
    if len(wanted) != len(found):
        longer, shorter = sorted((wanted, found), key=len, reverse=True)
        return len(longer) == len(shorter) + 1 and longer[-1] == 1 and _alike(longer[:-1], shorter)  # type: ignore[arg-type]
    return all(None in pair or pair[0] == pair[1] for pair in zip(wanted, found, strict=True))


def _misread(loss: Any, from_logits: bool, outputs: Array) -> str:
    """What is wrong where probabilities are taken for logits, or the other way round; empty where nothing is."""
    is_binary = isinstance(loss, keras.losses.BinaryCrossentropy)
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    sums_to_one = bool(inside and outputs.shape[-1] > 1 and (abs(outputs.sum(axis=-1) - 1) < SUM_ERROR).all())
    if from_logits and sums_to_one and not is_binary:
        return "its outputs are probabilities, and the loss has from_logits=True; let it end in logits"
    if not from_logits and not (inside if is_binary else sums_to_one):
        return (
            f"its outputs are no probabilities{'' if is_binary else ' that add up to 1'}, and the loss has "
            "from_logits=False; let it end in logits, and the loss have from_logits=True"
        )
    return ""


def _saturation(model: keras.Model) -> str:
    ending = own.ending(model) or "probabilities"
    return (
        f"ends in {ending}: where an output saturates, TensorFlow computes the loss from what comes before it, and JAX "
        "and torch cut probabilities off at 1e-7, so that backends may part; a model that ends in logits avoids it"
    )


def _sparse(labels: Array, outputs: tuple[int, ...]) -> str:
    if not outputs or outputs[-1] == 1:
        return f"the model has 1 output, and it takes one for each class; {ADVICE_FOR_ONE}"
    if labels.shape[1:] == outputs:
        return f"the labels have shape {outputs}, as one-hot ones do; {ADVICE}"
    if labels.shape[1:] not in (outputs[:-1], (*outputs[:-1], 1)):
        return f"labels of shape {labels.shape[1:]}, outputs of shape {outputs}; it takes one label for each output"
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        return "the labels are not whole numbers; mean_squared_error takes such"
    return ""


def _categorical(labels: Array, outputs: tuple[int, ...]) -> str:
    if not outputs or outputs[-1] == 1:
        return _sparse(labels, outputs)
    if labels.shape[1:] != outputs:
        return f"labels of shape {labels.shape[1:]}, outputs of shape {outputs}; {ADVICE}"
    if (labels < 0).any() or (abs(labels.sum(axis=-1) - 1) > SUM_ERROR).any():
        return "the labels of a sample do not add up to 1, as those of one class do; binary_crossentropy takes several"
    return ""


def _binary(labels: Array, outputs: tuple[int, ...]) -> str:
    if not _alike(outputs, labels.shape[1:]):
        return f"labels of shape {labels.shape[1:]}, outputs of shape {outputs}; it takes a label for each; {ADVICE}"
    if labels.min() < 0 or labels.max() > 1:
        return f"labels from {labels.min()} to {labels.max()}, and it takes 0 to 1"
    return ""


def _difference(labels: Array, outputs: tuple[int, ...]) -> str:
    if not _alike(outputs, labels.shape[1:]):
        return f"labels of shape {labels.shape[1:]}, outputs of shape {outputs}; it takes a value for each; {ADVICE}"
    return ""


RULES: Mapping[str, Callable[[Array, tuple[int, ...]], str]] = {  # by the loss's name in keras.losses
    "SparseCategoricalCrossentropy": _sparse,
    "CategoricalCrossentropy": _categorical,
    "BinaryCrossentropy": _binary,
    "MeanSquaredError": _difference,
    "MeanAbsoluteError": _difference,
}
