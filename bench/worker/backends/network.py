"""A compiled Keras model read into plain data, for the track `native`: each backend trains the same network from it.

What is not among `KINDS`, or is set in a way that is not told apart here, is refused by its name: a network that only
looks like the model would make every figure of the track wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from bench.worker.errors import StartError
from models import own

Array = npt.NDArray[Any]

ACTIVATIONS = ("linear", "relu", "gelu", "silu", "tanh", "sigmoid")
METRIC = "accuracy"
KNOBS_OF = {
    "convolution": "Conv2D",
    "layout": "Conv2D",
    "attention": "MultiHeadAttention",
}  # knobs that change nothing without layers of that kind


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


Read = tuple[dict[str, Any], dict[str, Any]]  # settings, and variables by role


def _require(layer: Any, **expected: Any) -> None:
    """Refuse a layer whose attributes are not these."""
    for name, value in expected.items():
        found = getattr(layer, name, value)
        if found != value:
            raise StartError(f"native: {type(layer).__name__} ({layer.path}) with {name}={found!r}; {value!r} is read")


def _activation(layer: Any) -> str:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name not in ACTIVATIONS:
        raise StartError(f"native: activation {name} ({layer.path}) is not among {', '.join(ACTIVATIONS)}")
    return str(name)


def _dense(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, kernel_constraint=None, bias_constraint=None, lora_enabled=False, quantization_mode=None)
    return {"activation": _activation(layer)}, {"kernel": layer.kernel, "bias": layer.bias}


def _convolution(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, groups=1, dilation_rate=(1, 1), data_format="channels_last", lora_enabled=False)
    _require(layer, kernel_constraint=None, bias_constraint=None)
    settings = {"strides": tuple(layer.strides), "padding": layer.padding, "activation": _activation(layer)}
    return settings, {"kernel": layer.kernel, "bias": layer.bias}


def _maximum(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, data_format="channels_last")
    return {"size": tuple(layer.pool_size), "strides": tuple(layer.strides), "padding": layer.padding}, {}


def _average(layer: Any, arguments: Any, options: Any) -> Read:
    _require(layer, padding="valid")  # padding counts differently on each backend
    return _maximum(layer, arguments, options)


def _over_all(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, data_format="channels_last", keepdims=False)
    return {}, {}


def _flatten(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, data_format="channels_last")
    return {}, {}


def _reshape(layer: Any, _arguments: Any, _options: Any) -> Read:
    return {"shape": tuple(layer.target_shape)}, {}


def _activated(layer: Any, _arguments: Any, _options: Any) -> Read:
    return {"activation": _activation(layer)}, {}


def _relu(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, max_value=None, negative_slope=0.0, threshold=0.0)
    return {"activation": "relu"}, {}


def _dropout(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, noise_shape=None)
    return {"rate": float(layer.rate)}, {}


def _batch_normalization(layer: Any, arguments: Any, _options: Any) -> Read:
    _require(layer, synchronized=False, renorm=False)
    _last_axis(layer, layer.axis, len(arguments[0].shape))
    settings = {"momentum": float(layer.momentum), "epsilon": float(layer.epsilon)}
    roles = {"gamma": layer.gamma, "beta": layer.beta, "mean": layer.moving_mean, "variance": layer.moving_variance}
    return settings, roles


def _layer_normalization(layer: Any, arguments: Any, _options: Any) -> Read:
    _require(layer, rms_scaling=False)
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0] if len(layer.axis) == 1 else None
    _last_axis(layer, axis, len(arguments[0].shape))
    return {"epsilon": float(layer.epsilon)}, {"gamma": layer.gamma, "beta": layer.beta}


def _last_axis(layer: Any, axis: int | None, dimensions: int) -> None:
    if axis not in (-1, dimensions - 1):
        raise StartError(f"native: {type(layer).__name__} ({layer.path}) over axis {axis}; the last is read")


def _attention(layer: Any, arguments: Any, options: Any) -> Read:
    config = layer.get_config()
    plain = {"dropout": 0.0, "output_shape": None, "attention_axes": (1,), "use_gate": False}
    odd = [name for name, value in plain.items() if config.get(name) not in (value, None)]
    odd += ["value_dim"] if config["value_dim"] != config["key_dim"] else []
    asked = {name for name, value in options.items() if value is not None and value is not False}
    odd += sorted(asked - {"query", "value", "key"})
    if odd or len(arguments) > 3:
        raise StartError(f"native: MultiHeadAttention ({layer.path}) with {', '.join(odd) or 'a mask'}, not read")
    if not config["use_bias"] or len(layer.weights) != 8:
        raise StartError(f"native: MultiHeadAttention ({layer.path}) without biases is not read")
    names = [f"{part} {role}" for part in ("query", "key", "value", "output") for role in ("kernel", "bias")]
    found = dict.fromkeys(variable.path.split("/")[-2] for variable in layer.weights)
    if list(found) != ["query", "key", "value", "attention_output"]:
        raise StartError(f"native: MultiHeadAttention ({layer.path}) has other parts than Keras 3.15.1 gives it")
    return {"heads": config["num_heads"], "size": config["key_dim"]}, dict(zip(names, layer.weights, strict=True))


def _add(_layer: Any, _arguments: Any, _options: Any) -> Read:
    return {}, {}


KINDS: dict[str, Callable[[Any, Any, Any], Read]] = {
    "Dense": _dense,
    "Conv2D": _convolution,
    "MaxPooling2D": _maximum,
    "AveragePooling2D": _average,
    "GlobalAveragePooling1D": _over_all,
    "GlobalAveragePooling2D": _over_all,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Activation": _activated,
    "ReLU": _relu,
    "Dropout": _dropout,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "MultiHeadAttention": _attention,
    "Add": _add,
}


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
    if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy) or not loss.from_logits:
        name = getattr(loss, "name", loss)
        raise StartError(f"native: loss {name} is not read, only SparseCategoricalCrossentropy(from_logits=True)")
    if loss.reduction != "sum_over_batch_size" or getattr(loss, "ignore_class", None) is not None:
        raise StartError("native: the loss has a reduction or an ignored class of its own, which is not read")
    metrics = model.get_compile_config()["metrics"]
    if metrics != [METRIC]:
        raise StartError(f"native: metrics {metrics} are not read, only {METRIC}")


def float_type(network: Network) -> np.dtype[Any]:
    """The type of the network's weights."""
    return next(iter(network.weights.values())).dtype
