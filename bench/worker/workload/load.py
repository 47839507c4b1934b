"""Same start, same data: the workload, its batches and its initial weights, equal on every backend, with digests.

Keras is imported inside the functions: the ceiling's worker, which has none, takes `reason` from here.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from bench.contract.case import FLOAT64, module_of, variant_of
from bench.worker.errors import StartError, reason
from bench.worker.keras_internals import takes_logits
from models import Workload
from models.datasets import DATASETS, Dataset, DatasetError, Part, arrays_of, count, mapped, npz, taken

if TYPE_CHECKING:
    from models.own.script import Script

Array = npt.NDArray[Any]
EVALUATION_BATCH = 1_000


class Batches(NamedTuple):
    """Training data in the order of the batches; the length is a multiple of the batch size."""

    x: Part
    y: Part
    digest: str
    weights: Array | None = None

    @property
    def parts(self) -> tuple[Any, ...]:
        """What a step is given: samples, labels, and weights where there are some."""
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    def widened(self, numerics: str) -> Batches:
        """As they are handed over in these numerics, see `widened`; the digest stays that of the data."""
        x = widened(self.x, numerics)
        y = x if self.y is self.x else widened(self.y, numerics)
        return self._replace(x=x, y=y, weights=None if self.weights is None else widened(self.weights, numerics))


class HeldOut(NamedTuple):
    """Validation data: samples that are not trained on."""

    x: Part
    y: Part


def load_workload(name: str) -> Workload:
    """The workload of that name in `models/`, or of that file."""
    found = load_workload_or_script(name)
    if not isinstance(found, Workload):
        raise StartError(f"{name}: a script, of which nothing but its first fit is known")
    return found


def load_workload_or_script(name: str) -> Workload | Script:
    """The workload of that name in `models/`, or what that file defines."""
    import keras

    from models import own
    from models.metrics import METRICS
    from models.own.script import Script

    keras.utils.set_random_seed(0)  # a layer that a file makes when it is imported draws its seed then

    try:
        is_file = name.endswith(".py")
        module = own.import_file(name) if is_file else importlib.import_module(f"models.{module_of(name)}")
    except own.ModelError as error:
        raise StartError(str(error)) from None
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not import: {reason(error)}") from error
    script = getattr(module, "script", None)
    if isinstance(script, Script):
        return script
    variant = variant_of(name)
    workload = getattr(module, "workloads", {}).get(variant) if variant else getattr(module, "workload", None)
    if not isinstance(workload, Workload):
        wanted = f'workloads["{variant}"]' if variant else "workload"
        raise StartError(f"workload {name} defines no `{wanted} = Workload(…)`")
    if workload.target is not None and workload.target.metric not in METRICS:
        raise StartError(
            f"workload {name}: unknown metric {workload.target.metric!r}, known: {', '.join(METRICS)}; "
            "a new one is one entry in models.metrics.METRICS"
        )
    if workload.dataset.endswith(".npz"):
        workload = replace(workload, dataset=str((Path(name).parent / workload.dataset).absolute()))
    return workload


def metrics(workload: Workload) -> list[Any]:
    """The metrics for `model.compile(metrics=…)` of a workload that declares its loss and target."""
    import keras

    from models.metrics import METRICS

    assert workload.loss
    assert workload.target
    loss = workload.loss()
    if workload.target.metric == "accuracy" and isinstance(loss, keras.losses.BinaryCrossentropy):
        # Keras would count an output above 0.5 as a yes, also where it is a logit, and several as classes.
        return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if takes_logits(loss) else 0.5)]
    return [METRICS[workload.target.metric].make()]


def is_synthetic(dataset: str) -> bool:
    """Whether a data set draws as many training samples as it is asked for."""
    return dataset in DATASETS and "samples" in inspect.signature(DATASETS[dataset]).parameters


def training_samples(name: str, dataset: Dataset) -> int:
    """How many training samples a data set has by itself, whatever number was drawn."""
    if is_synthetic(name):
        return cast(int, inspect.signature(DATASETS[name]).parameters["samples"].default)
    return count(dataset.x_train)


def evaluation_batch(workload: Workload, fixed: int | None = None) -> int:
    """How many samples are evaluated at a time: `fixed`, or a workload's training batch where it is made for a GPU."""
    return fixed or (workload.batch_size if workload.memory_mib else EVALUATION_BATCH)


def whole_batches(samples: Part, fixed: int | None) -> Part:
    """The samples, less the last partial batch where a model takes `fixed` ones alone."""
    return taken(samples, slice(count(samples) - count(samples) % fixed)) if fixed else samples


def dataset_of(workload: Workload, samples: int | None = None) -> Dataset:
    """The data set of a workload, whose weights of classes are weights of samples; see `load_dataset`."""
    dataset = load_dataset(workload.dataset, samples)
    if workload.class_weight is None:
        return dataset
    labels = dataset.y_train
    if not isinstance(labels, np.ndarray) or labels.size != len(labels):
        raise StartError("class_weight: the data set has no single label for each sample")
    weights = np.ones(len(labels), np.float32)  # of a class without a weight, as Keras has it
    for label, weight in workload.class_weight.items():
        weights[labels.ravel() == label] = weight
    both = weights if dataset.sample_weight is None else weights * dataset.sample_weight
    return dataset._replace(sample_weight=both)


def load_dataset(name: str, samples: int | None = None) -> Dataset:
    """The data set of that name, or in that `.npz` file.

    One that is drawn has `samples` training samples, or its own number of them.
    """
    if name not in DATASETS and not name.endswith(".npz"):
        raise StartError(f"unknown data set {name!r}, known: {', '.join(DATASETS)}; or the path of an .npz file")
    try:
        if name.endswith(".npz"):
            return npz.load(name)
        if samples is not None and is_synthetic(name):
            return cast(Callable[..., Dataset], DATASETS[name])(samples=samples)
        return DATASETS[name]()
    except DatasetError as error:
        raise StartError(str(error)) from None


def hold_out(dataset: Dataset, samples: int, split: float) -> tuple[int, HeldOut | None]:
    """How many of the first `samples` training samples are trained on, and the others: their last `split` (a fraction).

    The same for every seed, as `fit(validation_split=…)` would hold them out; None where nothing is held out.
    """
    held = int(samples * split)
    trained = slice(samples - held, samples)
    if not held:
        return samples, None
    return samples - held, HeldOut(taken(dataset.x_train, trained), taken(dataset.y_train, trained))


def batches(dataset: Dataset, samples: int, batch_size: int, seed: int) -> Batches:
    """The first `samples` training samples, permuted by the seed, less the last partial batch.

    Where the data set has one array for both, so have the batches.
    """
    order = np.random.default_rng(seed).permutation(samples)[: samples - samples % batch_size]
    return _batches(dataset, order)


def unshuffled(dataset: Dataset, samples: int) -> Batches:
    """The first `samples` training samples in the data set's order, for a `fit` that shuffles them itself."""
    return _batches(dataset, slice(samples))


def _batches(dataset: Dataset, chosen: Any) -> Batches:
    """What is chosen of each array of the training set."""
    x = taken(dataset.x_train, chosen)
    y = x if dataset.y_train is dataset.x_train else taken(dataset.y_train, chosen)
    weights = None if dataset.sample_weight is None else dataset.sample_weight[chosen]
    every = [*arrays_of(x), *arrays_of(y), *([] if weights is None else [weights])]
    return Batches(x, y, digest(every), weights)


def widened(part: Part, numerics: str) -> Part:
    """Samples, labels or weights as they are handed over: with float64 its floats are float64, else as they are."""
    if numerics != FLOAT64:
        return part
    return mapped(lambda array: array.astype(FLOAT64) if array.dtype.kind == "f" else array, part)


def check_labels(labels: Array, classes: int, where: str) -> None:
    """Refuse class labels out of range, for which JAX would silently give loss 0."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise StartError(f"{where}: labels from {labels.min()} to {labels.max()}, but the model has {classes} outputs")


def save_weights(path: Path, weights: Iterable[Array]) -> str:
    """Write weights in the order of `get_weights()`; returns their digest."""
    arrays = list(weights)
    np.savez(path, *arrays)
    return weights_digest(arrays)


def load_weights(path: Path) -> list[Array]:
    """The weights of `save_weights`, in their order."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]


def weights_digest(weights: Iterable[Array]) -> str:
    """The digest of weights by their values.

    Of whole numbers, such as a counter's, each backend has another width, and float64 begins from float32's values.
    """
    return digest(map(_of_one_width, weights))


def _of_one_width(array: Array) -> Array:
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def digest(arrays: Iterable[Array]) -> str:
    """SHA-256 over types, shapes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
