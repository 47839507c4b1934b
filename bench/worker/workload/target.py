"""By which metric a workload's backends are compared, and how near they have to be."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bench.worker.errors import StartError, reason
from bench.worker.logs import LOSS, loss_name
from bench.worker.workload.compiled import is_lower_better, is_number, margin_of, metric_name
from bench.worker.workload.load import whole_batches
from bench.worker.workload.model import fixed_batch
from models import Compilation, Target, Workload
from models.datasets import Dataset, arrays_of, count, taken
from models.metrics import METRICS

MARGIN_OF_VARIANCE = 0.005  # half a percent of what always predicting the mean gives
EVALUATED = 2048  # test samples, about, that tell what a metric is before training


def declared(target: Target, dataset: Dataset, lower_is_better: bool | None = None) -> dict[str, Any]:
    """What a target becomes in the description; its margin is in the metric's unit."""
    margin = target.margin
    if margin is None:
        (labels,) = arrays_of(dataset.y_test)
        margin = MARGIN_OF_VARIANCE * float(labels.astype("float64").var(axis=0).mean())
    lower = METRICS[target.metric].lower_is_better if lower_is_better is None else lower_is_better
    return {**vars(target), "margin": float(margin), "lower_is_better": lower}


def found(name: str, workload: Workload, given: Compilation, model: keras.Model, dataset: Dataset) -> dict[str, Any]:
    """The target of a model that brings its metrics itself, which is compiled; StartError where it has none to compare.

    Its margin comes from what the metric is before training, on test samples from all over the set.
    """
    metric = metric_name(workload, given, model)
    evenly = slice(None, None, max(count(dataset.x_test) // EVALUATED, 1))
    x, y = (whole_batches(taken(part, evenly), fixed_batch(model)) for part in (dataset.x_test, dataset.y_test))
    try:
        untrained = model.evaluate(x, y, batch_size=workload.batch_size, verbose=0, return_dict=True)
    except Exception as error:  # whatever a user's model raises
        raise StartError(f"workload {name} cannot be evaluated: {reason(error)}") from error
    if metric == LOSS and untrained:
        metric = loss_name(untrained)
    if metric not in untrained:
        raise StartError(
            f"workload {name}: its logs have {', '.join(untrained)}, and no {metric}, which is what backends are "
            "compared by; let its train_step and test_step give one of that name"
        )
    if not is_number(untrained[metric]):
        raise StartError(
            f"workload {name}: {metric}, the first metric that it was compiled with, gives several numbers, which "
            "cannot be compared; let it give one (average='macro'), or put another first"
        )
    lower = is_lower_better(given, metric)
    has_one_output = isinstance(dataset.y_test, np.ndarray)
    if metric == "mean_squared_error" and has_one_output:
        return declared(Target(metric, margin=None), dataset, lower)
    return declared(Target(metric, margin=margin_of(float(untrained[metric]), lower)), dataset, lower)
