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
from models import Workload, own
from models.datasets import Dataset

OBSERVED = 8  # samples whose outputs are looked at
SUM_ERROR = 1e-3  # of probabilities that add up to 1
ADVICE_FOR_ONE = "binary_crossentropy takes one for yes or no, mean_squared_error one for a number"
ADVICE = "sparse_categorical_crossentropy takes whole numbers, categorical_crossentropy one-hot labels"


def check_samples(name: str, model: keras.Model, dataset: Dataset) -> None:
    """Refuse samples that the model does not take, or that do not fill a batch."""
    if len(dataset.x_train) < LADDER_BATCH:
        raise StartError(f"{name}: {len(dataset.x_train)} training samples; at least {LADDER_BATCH} are needed")
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        raise StartError(f"{name}: its model has {len(inputs)} inputs, and a data set has one array of samples")
    for symbol in inputs:
        wanted, found = tuple(symbol.shape[1:]), dataset.x_train.shape[1:]
        if not _alike(wanted, found):
            raise StartError(
                f"{name}: its model takes samples of shape {wanted}, those of the data set have shape {found}; change "
                "keras.Input or reshape the data"
            )


def check(name: str, workload: Workload, model: keras.Model, outputs: Any, dataset: Dataset) -> list[str]:
    """Refuse labels that the loss does not take, or outputs that it misreads; gives what is to be said besides.

    `outputs` are the model's for the first training samples. A model with several outputs, or another loss than those
    of `RULES`, is not judged.
    """
    notes = [dataset.note] if dataset.note else []
    loss = workload.loss()
    kind = type(loss).__name__
    rule = RULES.get(kind) if type(loss) is getattr(keras.losses, kind, None) else None
    if rule is None or not keras.ops.is_tensor(outputs):
        return notes
    for part, labels in (("training", dataset.y_train), ("test", dataset.y_test)):
        fault = rule(labels, tuple(outputs.shape[1:]))
        if fault:
            raise StartError(f"{name}: {loss.name} does not fit the {part} set: {fault}")
        if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
            check_labels(labels, outputs.shape[-1], f"{name}, {workload.dataset}, {part} set")
    if hasattr(loss, "from_logits"):
        _check_outputs(name, loss, keras.ops.convert_to_numpy(outputs).astype(np.float64))
        if not loss.from_logits:
            notes.append(_saturation(model))
    return notes


def _alike(wanted: tuple[int | None, ...], found: tuple[int, ...]) -> bool:
    """Whether shapes fit, None standing for any length; Keras adds or drops a last axis of length 1."""
    if len(wanted) != len(found):
        longer, shorter = sorted((wanted, found), key=len, reverse=True)
        return len(longer) == len(shorter) + 1 and longer[-1] == 1 and _alike(longer[:-1], shorter)  # type: ignore[arg-type]
    return all(None in pair or pair[0] == pair[1] for pair in zip(wanted, found, strict=True))


def _check_outputs(name: str, loss: Any, outputs: Array) -> None:
    """Refuse probabilities that are taken for logits, and the other way round."""
    is_binary = isinstance(loss, keras.losses.BinaryCrossentropy)
    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    sums_to_one = bool(inside and outputs.shape[-1] > 1 and (abs(outputs.sum(axis=-1) - 1) < SUM_ERROR).all())
    if loss.from_logits and sums_to_one and not is_binary:
        raise StartError(
            f"{name}: its outputs are probabilities, and the loss has from_logits=True; let it end in logits"
        )
    if not loss.from_logits and not (inside if is_binary else sums_to_one):
        raise StartError(
            f"{name}: its outputs are no probabilities{'' if is_binary else ' that add up to 1'}, and the loss has "
            "from_logits=False; let it end in logits, and the loss have from_logits=True"
        )


def _saturation(model: keras.Model) -> str:
    ending = own.last_activation(model) or "probabilities"
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
