"""Track `native` on TensorFlow: variables, `tf.nn` and fused optimizers, without Keras; see backends/network.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bench.worker.backends import Knobs, Pass, network, placed
from bench.worker.backends.network import Network, Node
from bench.worker.backends.tensorflow import recurrent
from bench.worker.backends.tensorflow.optimizers import SGD, Adam

# On a CPU XLA is the faster where operations are small, and the slower by far where there are convolutions.
# `unroll` writes a recurrent layer out, step by step, instead of in a loop.
KNOBS: Mapping[str, Sequence[Any]] = {"steps": ("scan", "call"), "xla": (False, True), "unroll": (False, True)}

Tensor = Any  # tf.Tensor, which is not there when the types are checked
Variables = dict[str, Any]


def make(model: Any, metric: str, knobs: Knobs) -> "Native":  # noqa: ARG001 - `read` refuses all but accuracy
    """See `Trainer`."""
    return Native(model, network.read(model), knobs)


class Native:
    """See `Trainer`."""

    def __init__(self, model: Any, read: Network, knobs: Knobs) -> None:
        self._model, self._network, self._knobs = model, read, knobs
        self._whole = knobs["steps"] == "scan"
        self._variables = {path: tf.Variable(value) for path, value in read.weights.items()}
        self._trainable = [self._variables[path] for path in read.trainable]
        self._optimizer = (SGD if read.optimizer == "SGD" else Adam)(self._trainable, read)
        pass_ = self._scan if self._whole else self._step
        self._compiled = tf.function(pass_, autograph=False, jit_compile=knobs["xla"])

    def place(self, *parts: Any) -> Any:
        return placed(parts, self._whole, tf.constant)

    def train(self, batches: Any) -> Pass:
        # Arguments, since a function would take what it closes over for constants, and XLA compile them in.
        if self._whole:
            losses, correct = self._compiled(*batches)
        else:
            losses, correct = map(tf.stack, zip(*[self._compiled(*batch) for batch in batches], strict=True))
        return Pass(losses.numpy(), float(np.mean(correct.numpy())))

    def store(self) -> None:
        self._network.store(self._model, {path: variable.numpy() for path, variable in self._variables.items()})

    def copies(self) -> Sequence[Any]:
        return [*self._variables.values(), *self._optimizer.memory]

    def _scan(self, x: Tensor, y: Tensor) -> Any:
        kind = network.float_type(self._network)
        return tf.map_fn(
            lambda step: self._step(x[step], y[step]), tf.range(x.shape[0]), fn_output_signature=(kind, kind)
        )

    def _step(self, x: Tensor, y: Tensor) -> Any:
        labels = tf.cast(y, tf.int64)
        with tf.GradientTape() as tape:
            logits = forward(self._network, self._variables, x, self._knobs)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, self._trainable)
        self._optimizer.apply([tf.convert_to_tensor(one) for one in gradients])  # an embedding's is sparse
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, axis=-1) == labels, loss.dtype))


def forward(read: Network, variables: Variables, x: Tensor, knobs: Knobs) -> Tensor:
    """The logits of a batch, training; the variables that are no parameters are updated."""
    values = [tf.cast(x, network.input_type(read))]
    for node in read.nodes:
        call = Call(node, {role: variables[path] for role, path in node.weights.items()}, knobs)
        values.append(KINDS[node.kind](call, *(values[index] for index in node.inputs)))
    return values[-1]


class Call:
    """One node being computed: its settings and weights."""

    def __init__(self, node: Node, weights: Variables, knobs: Knobs) -> None:
        self.settings, self.weights, self.knobs = node.settings, weights, knobs

    def activate(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.settings["activation"]](x)

    def biased(self, x: Tensor, role: str = "bias") -> Tensor:
        """Not by `tf.nn.bias_add`, whose gradient makes a step of `cnn` 4 % longer."""
        return x + self.weights[role] if role in self.weights else x


def _gelu(x: Tensor) -> Tensor:
    """As tf.nn.gelu, which passes the square root through float32."""
    return 0.5 * x * (1.0 + tf.math.erf(x * tf.constant(2**-0.5, x.dtype)))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": tf.nn.relu,
    "gelu": _gelu,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
}


def _dense(call: Call, x: Tensor) -> Tensor:
    return _shaped(call.activate(call.biased(_rows(x) @ call.weights["kernel"])), x.shape[:-1])


def _rows(x: Tensor) -> Tensor:
    """As a matrix: a product of more dimensions takes its gradient by the kernel one by one, and sums them."""
    return x if x.shape.rank == 2 else tf.reshape(x, (-1, x.shape[-1]))


def _shaped(x: Tensor, before: Any) -> Tensor:
    return x if len(before) == 1 else tf.reshape(x, (*before, x.shape[-1]))


def _convolution(call: Call, x: Tensor) -> Tensor:
    kernel, strides, padding = call.weights["kernel"], call.settings["strides"], call.settings["padding"].upper()
    return call.activate(call.biased(tf.nn.conv2d(x, kernel, strides, padding)))


def _maximum(call: Call, x: Tensor) -> Tensor:
    return tf.nn.max_pool2d(x, call.settings["size"], call.settings["strides"], call.settings["padding"].upper())


def _average(call: Call, x: Tensor) -> Tensor:
    return tf.nn.avg_pool2d(x, call.settings["size"], call.settings["strides"], "VALID")


def _over_all(_call: Call, x: Tensor) -> Tensor:
    return tf.reduce_mean(x, axis=tuple(range(1, x.shape.rank - 1)))


def _flatten(_call: Call, x: Tensor) -> Tensor:
    return tf.reshape(x, (x.shape[0], -1))


def _reshape(call: Call, x: Tensor) -> Tensor:
    return tf.reshape(x, (x.shape[0], *call.settings["shape"]))


def _activation(call: Call, x: Tensor) -> Tensor:
    return call.activate(x)


def _dropout(call: Call, x: Tensor) -> Tensor:
    return tf.nn.dropout(x, call.settings["rate"])


def _batch_normalization(call: Call, x: Tensor) -> Tensor:
    """With the fused kernel a step of a small net takes 0.6 of the time that its parts take; it has no float64."""
    given, epsilon, axes = call.weights, call.settings["epsilon"], list(range(x.shape.rank - 1))
    if x.dtype == tf.float64:
        mean, variance = tf.nn.moments(x, axes)
        result = tf.nn.batch_normalization(x, mean, variance, given.get("beta"), given.get("gamma"), epsilon)
    else:
        gamma, beta = given.get("gamma", tf.ones(x.shape[-1])), given.get("beta", tf.zeros(x.shape[-1]))
        images = x if x.shape.rank == 4 else tf.reshape(x, (-1, 1, 1, x.shape[-1]))
        fused = tf.raw_ops.FusedBatchNormV3(x=images, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon)
        result, mean, count = tf.reshape(fused.y, x.shape), fused.batch_mean, np.prod(x.shape[:-1])
        variance = fused.batch_variance * float((count - 1) / count)  # it gives the unbiased estimate
    momentum = tf.constant(call.settings["momentum"], x.dtype)
    for role, now in (("mean", mean), ("variance", variance)):
        given[role].assign(given[role] * momentum + now * (1 - momentum))
    return result


def _layer_normalization(call: Call, x: Tensor) -> Tensor:
    """With its own gradient, which saves a tenth of the step of `transformer` over that of each operation."""

    def normal(x: Tensor) -> Any:
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
        inverse = tf.math.rsqrt(variance + tf.constant(call.settings["epsilon"], x.dtype))
        result = centred * inverse

        def gradient(by: Tensor) -> Tensor:
            along = tf.reduce_mean(by * result, -1, keepdims=True)
            return inverse * (by - tf.reduce_mean(by, -1, keepdims=True) - result * along)

        return result, gradient

    result = tf.custom_gradient(normal)(x)
    result = result * call.weights["gamma"] if "gamma" in call.weights else result
    return call.biased(result, "beta")


def _attention(call: Call, query: Tensor, value: Tensor, key: Tensor | None = None) -> Tensor:
    """Written out, since `tf.einsum` and a bias of two dimensions take a tenth of the step of `transformer` more."""
    given, heads, size = call.weights, call.settings["heads"], call.settings["size"]
    sources = {"query": query, "key": value if key is None else key, "value": value}

    def projected(name: str, x: Tensor) -> Tensor:
        kernel, bias = given[f"{name} kernel"], given[f"{name} bias"]
        product = _rows(x) @ tf.reshape(kernel, (x.shape[-1], -1)) + tf.reshape(bias, (-1,))
        return tf.transpose(tf.reshape(product, (*x.shape[:2], heads, size)), (0, 2, 1, 3))

    q, k, v = (projected(name, x) for name, x in sources.items())
    shares = tf.nn.softmax(tf.matmul(q * size**-0.5, k, transpose_b=True))
    mixed = tf.reshape(tf.transpose(shares @ v, (0, 2, 1, 3)), (-1, heads * size))
    product = mixed @ tf.reshape(given["output kernel"], (heads * size, -1))
    return _shaped(call.biased(product, "output bias"), query.shape[:-1])


def _embedding(call: Call, x: Tensor) -> Tensor:
    return tf.gather(call.weights["table"], tf.cast(x, tf.int32))


def _add(_call: Call, *terms: Tensor) -> Tensor:
    return tf.add_n(terms)


KINDS: dict[str, Callable[..., Tensor]] = {
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
    "LSTM": recurrent.lstm,
    "GRU": recurrent.gru,
    "Embedding": _embedding,
    "Add": _add,
}
