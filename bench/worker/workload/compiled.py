"""What a model is compiled with: which metric is reported and compared, and all of it in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from bench.worker.logs import LOSS
from models import Compilation, Target, Workload, own

MARGIN_OF_UNTRAINED = 0.005  # half a percent of what the model gives before it is trained
LONGEST = 40  # characters of a setting that are told
COUNTS = (
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)
# In the name of a metric that does not say whether less is better: parts of words, and whole words.
LESS_IS_BETTER = re.compile(
    r"error|loss|entropy|distance|divergence|deviation|perplexity|hinge|huber|log_?cosh|poisson|residual|pinball|quantile"
    r"|(^|_)(n?r?mse|rmsse|mae|[mw]ase|s?mape|w?m?ape|r?msle|kld?|nll|wer|cer|eer|brier|crps|ece|ppl|bpc|bpd|fid)(_|$)"
)


def metric_name(workload: Workload, given: Compilation, model: keras.Model) -> str:
    """The entry of Keras's logs that the workload's target is about: the first metric, without one the loss."""
    if workload.target is not None:
        return workload.target.metric
    for metrics in (given.settings.get("metrics"), given.settings.get("weighted_metrics")):
        of_outputs = [(name, one) for name, found in _by_output(model, metrics) for one in keras.tree.flatten(found)]
        named = {"_".join(filter(None, (name, _name(one)))): one for name, one in of_outputs if one is not None}
        if named:
            return _first(named)
    return LOSS


def _by_output(model: keras.Model, metrics: Any) -> list[tuple[str, Any]]:
    """Metrics by the output that they are of, whose name Keras's logs put before theirs where there are several.

    Those of a dictionary come in its own order, as the user wrote them. As CompileMetrics of Keras 3.15.1 has it, keys
    are the model's own names. A subclass's outputs are not known: a dictionary of metrics then names them.
    """
    names = _output_names(model) or (sorted(metrics) if isinstance(metrics, dict) else [])
    if len(names) < 2:
        return [("", metrics)]
    if isinstance(metrics, dict):
        return [(name, found) for name, found in metrics.items() if name in names]
    return list(zip(names, metrics or (), strict=False))


def _output_names(model: keras.Model) -> list[str]:
    try:
        outputs, names = model.output, list(model.output_names)
    except (AttributeError, ValueError):  # a subclass
        return []
    return sorted(outputs) if isinstance(outputs, dict) and set(outputs) != set(names) else names


def first_metric(given: Compilation) -> str:
    """The name of the first metric of a compilation in Keras's logs; the loss's without one."""
    named = {_name(metric): metric for metric in _metrics(given)}
    return _first(named) if named else LOSS


def _first(named: Mapping[str, Any]) -> str:
    """The first metric by name, those that count samples last: nobody can say how near two counts have to be."""
    return next((name for name, metric in named.items() if not isinstance(metric, COUNTS)), next(iter(named)))


def is_number(entry: Any) -> bool:
    """Whether an entry of Keras's logs is one number, which Keras makes of all that it can."""
    return isinstance(entry, float | int)


def in_words(given: Compilation, weighted: Iterable[str], model: keras.Model) -> str:
    """What a model is trained with, for people: optimizer, loss, metrics, and all that is not Keras's default.

    `weighted` are kinds of weights by which samples count, such as class weights. Of a built model's layers losses of
    their own count too: regularizers, and what `add_loss` was given when it was last called.
    """
    loss = "a loss of its own" if given.loss is None else own.loss_name(given.loss)
    metrics = ", ".join(_name(metric) for metric in _metrics(given)) or "no metric"
    usual = {"run_eagerly": False, "steps_per_execution": 1}
    more = [
        f"{name}={value}"
        for name, value in given.settings.items()
        if name not in ("metrics", "weighted_metrics", "jit_compile") and value != usual.get(name)
    ]
    named = (type(given.optimizer).__name__, given.optimizer), (loss, given.loss)
    told = [f"{name} ({', '.join(found)})" if (found := _unusual(one)) else name for name, one in named]
    of_layers = ["losses of its layers"] if model.built and model.losses else []
    return ", ".join([*told, metrics, *of_layers, *more, *weighted])


def _unusual(one: Any) -> list[str]:
    """The settings of an optimizer or a loss that are not its class's defaults."""
    try:
        given, usual = one.get_config(), type(one)().get_config()
    except Exception:  # one that is not made without arguments: nobody knows its defaults
        return []
    return [f"{name}={_value(value)}" for name, value in given.items() if name != "name" and value != usual.get(name)]


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value["class_name"] if isinstance(value, dict) and "class_name" in value else value)[:LONGEST]


def margin_of(untrained: float, lower_is_better: bool) -> float | None:
    """By how much two backends may differ in a metric of the user's own, which is `untrained` before training."""
    return MARGIN_OF_UNTRAINED * abs(untrained) if lower_is_better else Target.margin


def is_lower_better(given: Compilation, metric: str) -> bool:
    """Whether less is better of the first metric of a compilation, which is called so in Keras's logs."""
    if metric == LOSS:
        return True
    direction = _direction(given, metric)
    return direction == "down" if direction else bool(LESS_IS_BETTER.search(_snake(metric)))


def says_direction(given: Compilation, metric: str) -> bool:
    """Whether that metric says itself what is better, so that nothing has to be read from its name."""
    return metric == LOSS or _direction(given, metric) is not None


def metric_names(given: Compilation) -> list[str]:
    """The metrics of a compilation, by their names."""
    return [_name(metric) for metric in _metrics(given)]


def _direction(given: Compilation, metric: str) -> str | None:
    """Keras's `up` or `down`, which most of its metrics have and none of a user's own."""
    compiled = next((one for one in _metrics(given) if metric.endswith(_name(one))), None)
    if compiled is None:
        return None
    direction: str | None = getattr(
        keras.metrics.get(compiled) if isinstance(compiled, str) else compiled, "_direction", None
    )
    return direction


def _snake(name: str) -> str:
    """A name such as MeanDistance as Keras's logs have it, mean_distance; `to_snake_case` of Keras 3.15.1."""
    parted = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", parted).lower()


def _metrics(given: Compilation) -> list[Any]:
    """Metrics of a compilation, those that weights of samples count for last."""
    both = (given.settings.get(name) for name in ("metrics", "weighted_metrics"))
    return [metric for metrics in both for metric in keras.tree.flatten(metrics) if metric is not None]


def _name(metric: Any) -> str:
    """A metric's name in Keras's logs: as it was written, or its object's, or its function's in their way."""
    if isinstance(metric, str):
        return metric
    found = getattr(metric, "name", None)
    return str(found or _snake(getattr(metric, "__name__", None) or type(metric).__name__))
