"""The metrics that a workload's target can be of: a name, as it stands in Keras's logs, to how it is made."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras


class Metric(NamedTuple):
    """`make` returns what `model.compile(metrics=[…])` takes; its name has to be the key it stands under in METRICS."""

    make: Callable[[], Any]
    lower_is_better: bool = False


METRICS: dict[str, Metric] = {
    "accuracy": Metric(lambda: "accuracy"),
    "mean_squared_error": Metric(lambda: keras.metrics.MeanSquaredError(), lower_is_better=True),
    "r2_score": Metric(lambda: keras.metrics.R2Score()),
}
