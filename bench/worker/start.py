"""Same start, same data: the workload, its batches and its initial weights, equal on every backend, with digests."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from bench.record import module_of, variant_of
from models import Workload
from models.datasets import DATASETS, Dataset, DatasetError
from models.metrics import METRICS

Array = npt.NDArray[Any]
LONGEST = 300  # characters of a user's error that are told


class StartError(Exception):
    """The workload, its data or its weights cannot be used; the message names what and says how to mend it."""


class Batches(NamedTuple):
    """Training data in the order of the batches; the length is a multiple of the batch size."""

    x: Array
    y: Array
    digest: str


class HeldOut(NamedTuple):
    """Validation data: samples that are not trained on."""

    x: Array
    y: Array


def reason(error: Exception) -> str:
    """What went wrong, in one line: the error's kind and text, without Keras's colours and list of arguments."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received by")[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:LONGEST]}".rstrip(": ")


def load_workload(name: str) -> Workload:
    """The workload of that name in `models/`, or of that file."""
    try:
        if name.endswith(".py"):
            specification = importlib.util.spec_from_file_location(f"workload_{Path(name).stem}", name)
            if specification is None or specification.loader is None:
                raise StartError(f"{name}: not a Python file")
            module = importlib.util.module_from_spec(specification)
            sys.modules[specification.name] = module  # dataclasses look their module up
            sys.path.append(str(Path(name).parent))  # the file may import its neighbours
            specification.loader.exec_module(module)
        else:
            module = importlib.import_module(f"models.{module_of(name)}")
    except StartError:
        raise
    except Exception as error:  # whatever a user's file raises
        raise StartError(f"workload {name} does not import: {reason(error)}") from error
    variant = variant_of(name)
    workload = getattr(module, "workloads", {}).get(variant) if variant else getattr(module, "workload", None)
    if not isinstance(workload, Workload):
        wanted = f'workloads["{variant}"]' if variant else "workload"
        raise StartError(f"workload {name} defines no `{wanted} = Workload(…)`")
    if workload.target.metric not in METRICS:
        raise StartError(
            f"workload {name}: unknown metric {workload.target.metric!r}, known: {', '.join(METRICS)}; "
            "a new one is one entry in models.metrics.METRICS"
        )
    return workload


def metrics(workload: Workload) -> list[Any]:
    """What `model.compile(metrics=…)` takes."""
    return [METRICS[workload.target.metric].make()]


def is_drawn(dataset: str) -> bool:
    """Whether a data set has as many training samples as one asks for."""
    return dataset in DATASETS and "samples" in inspect.signature(DATASETS[dataset]).parameters


def load_dataset(name: str, samples: int | None = None) -> Dataset:
    """The data set of that name; one that is drawn has `samples` training samples, or its own number of them."""
    if name not in DATASETS:
        raise StartError(f"unknown data set {name!r}, known: {', '.join(DATASETS)}")
    try:
        if samples is not None and is_drawn(name):
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
    return samples - held, HeldOut(dataset.x_train[trained], dataset.y_train[trained]) if held else None


def batches(dataset: Dataset, samples: int, batch_size: int, seed: int) -> Batches:
    """The first `samples` training samples, permuted by the seed, less the last partial batch.

    Where the data set has one array for both, so have the batches.
    """
    order = np.random.default_rng(seed).permutation(samples)[: samples - samples % batch_size]
    x = dataset.x_train[order]
    y = x if dataset.y_train is dataset.x_train else dataset.y_train[order]
    return Batches(x, y, digest([x, y]))


def as_they_come(dataset: Dataset, samples: int) -> Batches:
    """The first `samples` training samples in the data set's order, for a `fit` that shuffles them itself."""
    x, y = dataset.x_train[:samples], dataset.y_train[:samples]
    return Batches(x, y, digest([x, y]))


def check_labels(labels: Array, classes: int, where: str) -> None:
    """Refuse class labels out of range, for which JAX would give loss 0 without a word."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise StartError(f"{where}: labels from {labels.min()} to {labels.max()}, but the model has {classes} outputs")


def save_weights(path: Path, weights: Iterable[Array]) -> str:
    """Write weights in the order of `get_weights()`; returns their digest."""
    arrays = list(weights)
    np.savez(path, *arrays)
    return digest(arrays)


def load_weights(path: Path) -> list[Array]:
    """The weights of `save_weights`, in their order."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]


def digest(arrays: Iterable[Array]) -> str:
    """SHA-256 over types, shapes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
