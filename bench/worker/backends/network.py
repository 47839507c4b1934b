"""A compiled Keras model read into plain data, for the track `native`: each backend trains the same network from it.

What is not among `KINDS`, or is set in a way that is not told apart there, is refused by its name: a network that only
looks like the model would make every figure of the track wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from bench.worker.backends.kinds import KINDS
from bench.worker.errors import StartError
from bench.worker.keras_internals import takes_logits
from models import own

Array = npt.NDArray[Any]

METRIC = "accuracy"


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    `kind` is Keras's name of the layer, `location` its path, `inputs` are the numbers of earlier nodes, of which 0 is
    the network's input, `settings` are what the kind needs, and `weights` name its variables: role to path.
    """

    kind: str
    location: str
    inputs: tuple[int, ...]
    settings: Mapping[str, Any]
    weights: Mapping[str, str]


@dataclass(frozen=True)
class Network:
    """A network with one input and one output, its weights, and how it is trained.

    The loss is the mean sparse categorical cross-entropy of logits, the metric accuracy: others are refused. `nodes`
    begin with number 1 and are in the order in which they can be computed; the last gives the logits. `weights` are by
    path, of which `trainable` learn. `optimizer` is `SGD` or `Adam`, with its constants in `constants`; where the rate
    of learning changes, `rates` says after which step, counted from 0, and to what.
    """

    nodes: tuple[Node, ...]
    weights: Mapping[str, Array]
    trainable: tuple[str, ...]
    optimizer: str
    constants: Mapping[str, float]
    rates: tuple[tuple[int, float], ...]

    def store(self, model: keras.Model, weights: Mapping[str, Array]) -> None:
        """Put trained weights, by path, into the Keras model they were read from."""
        for variable in model.weights:
            variable.assign(weights[variable.path])


def read(model: keras.Model) -> Network:
    """The network of a compiled model; StartError names what cannot be taken over."""
    nodes = _nodes(model)
    optimizer, constants, rates = _optimizer(model.optimizer)
    _check_loss(model)
    weights = {variable.path: keras.ops.convert_to_numpy(variable.value) for variable in model.weights}
    if len(weights) < len(model.weights):
        raise StartError("native: two weights share one path; give the layers names of their own")
    trainable = tuple(variable.path for variable in model.trainable_weights)
    return Network(nodes, weights, trainable, optimizer, constants, rates)


def refused_by_loop(model: keras.Model) -> str:
    """Why a compiled model cannot be trained in a loop of our own; empty where it can."""
    return f"loop: {type(model).__name__} is trained by a train_step of its own" if own.has_own_step(model) else ""


def refusals(model: keras.Model) -> tuple[str, str]:
    """Why a compiled model cannot be trained without Keras, and why not so on parity's ladder; empty where it can."""
    try:
        return "", refused_on_ladder(read(model))
    except StartError as error:
        return str(error), str(error)


def refused_on_ladder(network: Network) -> str:
    """Why a network cannot climb parity's ladder without Keras; empty where it can."""
    drawn = [node.location for node in network.nodes if node.kind == "Dropout" and node.settings["rate"]]
    return f"native: each backend draws the mask of {drawn[0]} in its own way" if drawn else ""


def _nodes(model: keras.Model) -> tuple[Node, ...]:
    """The calls of the model's layers, recorded while a copy of its graph is built on the same layers."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    if not type(model).__name__ == "Functional":
        raise StartError(f"native: the model is a subclass ({type(model).__name__}), whose graph Keras does not know")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise StartError(f"native: {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each is read")
    numbers: dict[int, int] = {}
    kept: list[Any] = []  # so that no id is given twice
    nodes: list[Node] = []

    def record(operation: Any, *arguments: Any, **options: Any) -> Any:
        outputs = operation(*arguments, **options)
        kind = type(operation).__name__
        if kind != "InputLayer":
            tensors = [
                value for value in keras.tree.flatten((arguments, options)) if isinstance(value, keras.KerasTensor)
            ]
            found = _node(kind, operation, arguments, options, [numbers.get(id(tensor), 0) for tensor in tensors])
            nodes.append(found)
            numbers[id(outputs)] = len(nodes)
            kept.extend([outputs, *tensors])
        return outputs

    copy = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=record)
    last = numbers.get(id(copy.outputs[0]), 0)
    if last != len(nodes):
        raise StartError("native: its output is not what the last layer gives")
    return tuple(nodes)


def _node(kind: str, layer: Any, arguments: Any, options: Any, inputs: list[int]) -> Node:
    location = getattr(layer, "path", None) or layer.name
    if kind not in KINDS:
        raise StartError(f"native: {kind} ({location}) is not among what it reads: {', '.join(KINDS)}")
    if getattr(layer, "losses", None):
        raise StartError(f"native: {kind} ({location}) adds a loss of its own")
    if getattr(layer, "supports_masking", False) and any(value is not None for value in [options.get("mask")]):
        raise StartError(f"native: {kind} ({location}) is called with a mask")
    settings, roles = KINDS[kind](layer, arguments, options)
    policy = getattr(getattr(layer, "dtype_policy", None), "name", keras.config.floatx())
    if policy != keras.config.floatx():
        raise StartError(f"native: {kind} ({location}) computes in {policy}; {keras.config.floatx()} is read")
    weights = {role: variable.path for role, variable in roles.items() if variable is not None}
    known = set(weights.values())
    missed = [variable.path for variable in getattr(layer, "weights", []) if variable.path not in known]
    if missed:
        raise StartError(f"native: {kind} ({location}) has a weight that is not read: {missed[0]}")
    return Node(kind, location, tuple(inputs), settings, weights)


def _optimizer(optimizer: Any) -> tuple[str, dict[str, float], tuple[tuple[int, float], ...]]:
    kind, config = type(optimizer).__name__, optimizer.get_config()
    constants = {
        "SGD": ("learning_rate", "momentum", "nesterov"),
        "Adam": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    }.get(kind)
    if constants is None:
        raise StartError(f"native: optimizer {kind} is not among what it reads: SGD, Adam")
    first, rates = _rates(kind, config["learning_rate"])
    for name in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "amsgrad", "loss_scale_factor"):
        if config.get(name):
            raise StartError(f"native: {kind} with {name}={config[name]!r} is not read")
    if config.get("gradient_accumulation_steps"):
        raise StartError(f"native: {kind} with gradient_accumulation_steps is not read")
    return kind, {**{name: float(config[name]) for name in constants[1:]}, "learning_rate": first}, rates


def _rates(kind: str, given: Any) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The first rate of learning, and those that follow it."""
    if isinstance(given, float | int):
        return float(given), ()
    if given.get("class_name") != "PiecewiseConstantDecay":
        raise StartError(f"native: {kind} with {given.get('class_name')} is not read, only PiecewiseConstantDecay")
    first, *others = map(float, given["config"]["values"])
    return first, tuple(zip(map(int, given["config"]["boundaries"]), others, strict=True))


def _check_loss(model: keras.Model) -> None:
    loss = model.loss
    if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy) or not takes_logits(loss):
        name = getattr(loss, "name", loss)
        raise StartError(f"native: loss {name} is not read, only SparseCategoricalCrossentropy(from_logits=True)")
    config = loss.get_config()
    if loss.reduction != "sum_over_batch_size" or config.get("ignore_class") is not None:
        raise StartError("native: the loss has a reduction or an ignored class of its own, which is not read")
    if config.get("label_smoothing"):  # from Keras 3.16 on
        raise StartError("native: a loss that smooths labels is not read")
    metrics = model.get_compile_config()["metrics"]
    if metrics != [METRIC]:
        raise StartError(f"native: metrics {metrics} are not read, only {METRIC}")


def float_type(network: Network) -> np.dtype[Any]:
    """The type of the network's weights."""
    return next(iter(network.weights.values())).dtype


def input_type(network: Network) -> np.dtype[Any]:
    """The type that samples are handed over in: whole numbers where embeddings alone read them, else the weights'."""
    readers = {node.kind for node in network.nodes if 0 in node.inputs}
    return np.dtype(np.int32) if readers == {"Embedding"} else float_type(network)
