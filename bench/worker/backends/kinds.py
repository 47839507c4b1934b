"""The kinds of layer that track `native` reads: of each its settings and its variables, or StartError with its name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from bench.worker.errors import StartError

ACTIVATIONS = ("linear", "relu", "gelu", "silu", "tanh", "sigmoid")
KNOBS_OF = {
    "convolution": ("Conv2D",),
    "layout": ("Conv2D",),
    "attention": ("MultiHeadAttention",),
    "unroll": ("LSTM", "GRU"),
}  # knobs that change nothing without a layer of one of these kinds

Read = tuple[dict[str, Any], dict[str, Any]]  # settings, and variables by role


def idle_knobs(used: Collection[str]) -> set[str]:
    """The knobs that change nothing in a network of these kinds of layer."""
    return {name for name, needed in KNOBS_OF.items() if not set(needed) & set(used)}


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


def _gru(layer: Any, arguments: Any, options: Any) -> Read:
    settings, roles = _recurrent(layer, arguments, options)
    return {**settings, "reset_after": bool(layer.reset_after)}, roles


def _recurrent(layer: Any, arguments: Any, options: Any) -> Read:
    """A layer that Keras unrolls computes the same, and is read."""
    _require(layer, return_state=False, stateful=False, dropout=0.0, recurrent_dropout=0.0)
    _require(layer, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None)
    for role, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        found = getattr(getattr(layer, role), "__name__", "one of its own")
        if found != expected:
            raise StartError(f"native: {type(layer).__name__} ({layer.path}) with {role} {found}; {expected} is read")
    if len(arguments) > 1 or options.get("initial_state") is not None:
        raise StartError(f"native: {type(layer).__name__} ({layer.path}) with an initial state, not read")
    settings = {"sequences": bool(layer.return_sequences), "backwards": bool(layer.go_backwards)}
    cell = layer.cell
    return settings, {"kernel": cell.kernel, "recurrent kernel": cell.recurrent_kernel, "bias": cell.bias}


def _embedding(layer: Any, _arguments: Any, _options: Any) -> Read:
    _require(layer, mask_zero=False, embeddings_constraint=None, lora_enabled=False, quantization_mode=None)
    return {}, {"table": layer.embeddings}


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
    "LSTM": _recurrent,
    "GRU": _gru,
    "Embedding": _embedding,
    "Add": _add,
}
