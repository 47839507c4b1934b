"""The metrics that a workload's target can be of: a name, as it stands in Keras's logs, to how it is made."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras


class Metric(NamedTuple):
    """`make` returns what `model.compile(metrics=[…])` takes; its name has to be the key it stands under in METRICS."""

    make: Callable[[], Any]
    lower_is_better: bool = False


def bits(labels: Any, logits: Any) -> Any:
    """The cross-entropy of labels of shape (batch, …) and logits of (batch, …, classes), in bits."""
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True) / math.log(2)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(lambda: "accuracy"),
    "mean_squared_error": Metric(lambda: keras.metrics.MeanSquaredError(), lower_is_better=True),
    "r2_score": Metric(lambda: keras.metrics.R2Score()),
    "bits_per_dimension": Metric(
        lambda: keras.metrics.MeanMetricWrapper(bits, "bits_per_dimension"), lower_is_better=True
    ),
    "bits_per_token": Metric(lambda: keras.metrics.MeanMetricWrapper(bits, "bits_per_token"), lower_is_better=True),
}
