"""Track `native` on JAX: pure functions and optax, as one writes JAX without Keras; see backends/network.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.worker.backends import Knobs, Pass, network, placed
from bench.worker.backends.jax import recurrent
from bench.worker.backends.network import Network, Node

# `patches` writes a convolution as a matrix product: XLA's own convolution is slow on a CPU, slowest inside a scan.
# `unroll` is how many steps of a sequence stand in the body of a recurrent layer's loop.
KNOBS: Mapping[str, Sequence[Any]] = {
    "steps": ("scan", "call"),
    "convolution": ("xla", "patches"),
    "unroll": (1, 4),
}

Array = Any  # jax.Array, which is not there when the types are checked
Weights = dict[str, Array]


def make(model: Any, metric: str, knobs: Knobs) -> "Native":  # noqa: ARG001 - `read` refuses all but accuracy
    """See `Trainer`."""
    return Native(model, network.read(model), knobs)


class Native:
    """See `Trainer`."""

    def __init__(self, model: Any, read: Network, knobs: Knobs) -> None:
        self._model, self._network, self._knobs = model, read, knobs
        self._whole = knobs["steps"] == "scan"
        self._optimizer = _optimizer(read)
        weights = {path: jnp.array(value) for path, value in read.weights.items()}
        trainable = {path: weights[path] for path in read.trainable}
        others = {path: value for path, value in weights.items() if path not in trainable}
        self._state = (trainable, others, self._optimizer.init(trainable), jax.random.key(0))
        self._compiled = jax.jit(self._scan if self._whole else self._step, donate_argnums=0)

    def place(self, *parts: Any) -> Any:
        return placed(parts, self._whole, jnp.asarray)

    def train(self, batches: Any) -> Pass:
        if self._whole:
            self._state, found = self._compiled(self._state, batches)
            losses, correct = jax.device_get(found)
        else:
            shown = []
            for batch in batches:
                self._state, found = self._compiled(self._state, batch)
                shown.append(found)
            losses, correct = zip(*jax.device_get(shown), strict=True)
        return Pass(losses, float(np.mean(correct)))

    def store(self) -> None:
        trainable, others, *_ = self._state
        self._network.store(self._model, jax.device_get({**trainable, **others}))

    def copies(self) -> Sequence[Any]:
        return list(jax.tree.leaves(self._state[:3]))

    def _scan(self, state: Any, batches: Any) -> Any:
        return jax.lax.scan(self._step, state, batches)

    def _step(self, state: Any, batch: Any) -> Any:
        trainable, others, memory, key = state
        x, y = batch
        key, drawn = jax.random.split(key)

        def loss(trainable: Weights) -> Any:
            logits, updated = forward(self._network, {**trainable, **others}, x, drawn, self._knobs)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), (updated, (logits.argmax(-1) == y).mean())

        (value, (updated, correct)), gradients = jax.value_and_grad(loss, has_aux=True)(trainable)
        changes, memory = self._optimizer.update(gradients, memory, trainable)
        return (optax.apply_updates(trainable, changes), {**others, **updated}, memory, key), (value, correct)


def _optimizer(read: Network) -> optax.GradientTransformation:
    given = read.constants

    def falling(step: Array) -> Array:
        rate = jnp.asarray(given["learning_rate"])
        for last, following in read.rates:
            rate = jnp.where(step > last, following, rate)
        return rate

    rate = falling if read.rates else given["learning_rate"]
    if read.optimizer == "SGD":
        return optax.sgd(rate, given["momentum"] or None, nesterov=bool(given["nesterov"]))
    return optax.adam(rate, given["beta_1"], given["beta_2"], given["epsilon"])


def forward(read: Network, weights: Weights, x: Array, key: Array, knobs: Knobs) -> tuple[Array, Weights]:
    """The logits of a batch, training, and the weights that are no parameters as they are afterwards."""
    values, updated = [x.astype(network.input_type(read))], Weights()
    for number, node in enumerate(read.nodes):
        call = Call(node, {role: weights[path] for role, path in node.weights.items()}, knobs, updated)
        call.key = jax.random.fold_in(key, number) if node.kind == "Dropout" else key
        values.append(KINDS[node.kind](call, *(values[index] for index in node.inputs)))
    return values[-1], updated


class Call:
    """One node being computed: its settings and weights, and where the weights go that it changes."""

    def __init__(self, node: Node, weights: Weights, knobs: Knobs, updated: Weights) -> None:
        self.settings, self.weights, self.knobs = node.settings, weights, knobs
        self._node, self._updated = node, updated
        self.key: Array

    def update(self, role: str, value: Array) -> None:
        self._updated[self._node.weights[role]] = value

    def activate(self, x: Array) -> Array:
        return ACTIVATIONS[self.settings["activation"]](x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}


def _product(x: Array, kernel: Array) -> Array:
    """Over the last axis, as a product of two matrices: XLA takes longer for one of more dimensions on a CPU."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[-1])


def _dense(call: Call, x: Array) -> Array:
    product = _product(x, call.weights["kernel"])
    return call.activate(product + call.weights["bias"] if "bias" in call.weights else product)


def _convolution(call: Call, x: Array) -> Array:
    kernel, strides, padding = call.weights["kernel"], call.settings["strides"], call.settings["padding"].upper()
    if call.knobs["convolution"] == "patches":
        rows, columns, channels, features = kernel.shape
        patches = jnp.concatenate(_windows(x, (rows, columns), strides, padding, 0.0), axis=-1)
        product = _product(patches, kernel.reshape(rows * columns * channels, features))
    else:
        product = jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return call.activate(product + call.weights["bias"] if "bias" in call.weights else product)


def _maximum(call: Call, x: Array) -> Array:
    """The first of equal elements takes the gradient, as in a window's maximum.

    Written as comparisons, because the gradient of XLA's `reduce_window` takes up to 30 times as long on a CPU.
    """
    padding = call.settings["padding"].upper()
    first, *others = _windows(x, call.settings["size"], call.settings["strides"], padding, -jnp.inf)
    for other in others:
        first = jnp.where(first >= other, first, other)
    return first


def _windows(x: Array, size: Any, strides: Any, padding: str, fill: float) -> list[Array]:
    """For each place in a window, row by row, what stands there in all windows: (batch, rows, columns, channels)."""
    if padding == "SAME":
        pads = jax.lax.padtype_to_pads(x.shape[1:3], size, strides, padding)
        x = jnp.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    rows, columns = (
        (length - one) // stride + 1 for length, one, stride in zip(x.shape[1:3], size, strides, strict=True)
    )
    down, right = strides
    return [
        x[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]
        for i in range(size[0])
        for j in range(size[1])
    ]


def _average(call: Call, x: Array) -> Array:
    found = _windows(x, call.settings["size"], call.settings["strides"], "VALID", 0.0)
    return sum(found[1:], start=found[0]) / len(found)


def _over_all(_call: Call, x: Array) -> Array:
    return x.mean(axis=tuple(range(1, x.ndim - 1)))


def _flatten(_call: Call, x: Array) -> Array:
    return x.reshape(len(x), -1)


def _reshape(call: Call, x: Array) -> Array:
    return x.reshape(len(x), *call.settings["shape"])


def _activation(call: Call, x: Array) -> Array:
    return call.activate(x)


def _dropout(call: Call, x: Array) -> Array:
    kept = 1.0 - call.settings["rate"]
    return jnp.where(jax.random.bernoulli(call.key, kept, x.shape), x / kept, 0.0)


def _batch_normalization(call: Call, x: Array) -> Array:
    axes, momentum = tuple(range(x.ndim - 1)), call.settings["momentum"]
    mean, variance = x.mean(axes), x.var(axes)
    for role, now in (("mean", mean), ("variance", variance)):
        call.update(role, call.weights[role] * momentum + jax.lax.stop_gradient(now) * (1 - momentum))
    return _scaled(call, (x - mean) * jax.lax.rsqrt(variance + call.settings["epsilon"]))


def _layer_normalization(call: Call, x: Array) -> Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return _scaled(call, (x - mean) * jax.lax.rsqrt(variance + call.settings["epsilon"]))


def _scaled(call: Call, x: Array) -> Array:
    x = x * call.weights["gamma"] if "gamma" in call.weights else x
    return x + call.weights["beta"] if "beta" in call.weights else x


def _attention(call: Call, query: Array, value: Array, key: Array | None = None) -> Array:
    """Written out: with `jax.nn.dot_product_attention` a step of `transformer` takes a twelfth longer on a CPU."""
    given, heads, size = call.weights, call.settings["heads"], call.settings["size"]
    sources = {"query": query, "key": value if key is None else key, "value": value}

    def projected(name: str, x: Array) -> Array:
        product = _product(x, given[f"{name} kernel"].reshape(x.shape[-1], -1)) + given[f"{name} bias"].reshape(-1)
        return product.reshape(*x.shape[:-1], heads, size).swapaxes(1, 2)

    q, k, v = (projected(name, x) for name, x in sources.items())
    mixed = (jax.nn.softmax(q * size**-0.5 @ k.mT) @ v).swapaxes(1, 2)
    output = given["output kernel"]
    product = _product(mixed.reshape(*query.shape[:2], -1), output.reshape(-1, output.shape[-1]))
    return product + given["output bias"]


def _lstm(call: Call, x: Array) -> Array:
    return recurrent.lstm(call, _product(recurrent.in_steps(call, x), call.weights["kernel"]))


def _gru(call: Call, x: Array) -> Array:
    return recurrent.gru(call, _product(recurrent.in_steps(call, x), call.weights["kernel"]))


def _embedding(call: Call, x: Array) -> Array:
    return jnp.take(call.weights["table"], x.astype(jnp.int32), axis=0)


def _add(_call: Call, *terms: Array) -> Array:
    return sum(terms[1:], start=terms[0])


KINDS: dict[str, Callable[..., Array]] = {
    "Dense": _dense,
    "Conv2D": _convolution,
    "MaxPooling2D": _maximum,
    "AveragePooling2D": _average,
    "GlobalAveragePooling1D": _over_all,
    "GlobalAveragePooling2D": _over_all,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Activation": _activation,
    "ReLU": _activation,
    "Dropout": _dropout,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "MultiHeadAttention": _attention,
    "LSTM": _lstm,
    "GRU": _gru,
    "Embedding": _embedding,
    "Add": _add,
}
