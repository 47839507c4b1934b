"""A workload's model: built for its data, and compiled as it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bench.worker.errors import StartError
from bench.worker.workload import load
from models import Compilation, Target, Workload, own
from models.datasets import Part, mapped

MARGIN_OF_UNTRAINED = 0.005  # half a percent of what the model gives before it is trained
LOSS = "loss"  # under which Keras's logs have it
COUNTS = (
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)


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
        return step(*state, parts[:2] if parts[2] is None else parts)

    model.train_step = taken


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

    As CompileMetrics of Keras 3.15.1 has it: keys of a dictionary come in the order of the model's own names if they
    are those, else sorted. A subclass's outputs are not known: a dictionary of metrics then names them.
    """
    names = _output_names(model) or (sorted(metrics) if isinstance(metrics, dict) else [])
    if len(names) < 2:
        return [("", metrics)]
    if isinstance(metrics, dict):
        return [(name, metrics[name]) for name in names if name in metrics]
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


def in_words(given: Compilation) -> str:
    """What a model is trained with, for people: optimizer, loss, metrics, and what else is not Keras's default."""
    loss = "a loss of its own" if given.loss is None else own.loss_name(given.loss)
    metrics = ", ".join(_name(metric) for metric in _metrics(given)) or "no metric"
    usual = {"run_eagerly": False, "steps_per_execution": 1}
    more = [
        f"{name}={value}"
        for name, value in given.settings.items()
        if name not in ("metrics", "weighted_metrics", "jit_compile") and value != usual.get(name)
    ]
    return ", ".join([type(given.optimizer).__name__, loss, metrics, *more])


def margin_of(untrained: float, lower_is_better: bool) -> float | None:
    """By how much two backends may differ in a metric of the user's own, which is `untrained` before training."""
    return MARGIN_OF_UNTRAINED * abs(untrained) if lower_is_better else Target.margin


def is_lower_better(given: Compilation, metric: str) -> bool:
    """Whether less is better of the first metric of a compilation, which is called so in Keras's logs."""
    if metric == LOSS:
        return True
    found = next(one for one in _metrics(given) if metric.endswith(_name(one)))
    found = keras.metrics.get(found) if isinstance(found, str) else found
    direction = getattr(found, "_direction", None)  # which most metrics of Keras have
    return direction == "down" if direction else any(word in _name(found) for word in ("error", "loss"))


def keras_loss(loss: Any) -> keras.losses.Loss | None:
    """A loss given as `model.compile` takes it, as an object of Keras's own class; None where it is another's."""
    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    name = getattr(found, "__name__", "")
    kind = getattr(keras.losses, "".join(word.title() for word in name.split("_")), None)
    if isinstance(kind, type) and found is getattr(keras.losses, name, None):
        return kind()
    return found if type(found) is getattr(keras.losses, type(found).__name__, None) else None


def _metrics(given: Compilation) -> list[Any]:
    """Metrics of a compilation, those that weights of samples count for last."""
    both = (given.settings.get(name) for name in ("metrics", "weighted_metrics"))
    return [metric for metrics in both for metric in keras.tree.flatten(metrics) if metric is not None]


def _name(metric: Any) -> str:
    """A metric's name in Keras's logs."""
    if isinstance(metric, str):
        return metric
    found = getattr(metric, "name", None) or getattr(metric, "__name__", None) or type(metric).__name__
    return str(found)
