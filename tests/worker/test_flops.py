"""One count on every backend: against numbers worked out by hand and, on torch, against FlopCounterMode."""

import importlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from bench.worker.keras_internals import operations
from bench.worker.workload import load
from bench.worker.workload.flops import Count, step_flops
from models import gpt


def small_net():
    """A strided convolution, a residual block that keeps the size, and a depthwise convolution."""
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    y = layers.BatchNormalization()(x)
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same")(y)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalMaxPooling2D()(x)))


class Weightless(keras.Layer):
    """Attention by hand, in a layer without a weight of its own."""

    def __init__(self):
        super().__init__()
        self.query, self.value = layers.Dense(8), layers.Dense(8)

    def call(self, x):
        scores = ops.matmul(self.query(x), ops.transpose(x, (0, 2, 1)))
        return ops.einsum("bij,bjk->bik", ops.softmax(scores), self.value(x))


class Nested(keras.Model):
    """Changes its images before the first layer, and holds a model and a layer of a class of its own."""

    def __init__(self):
        super().__init__()
        self.body = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(8)])
        self.attention = Weightless()
        self.head = layers.Dense(10)
        self(keras.Input((5, 6)))

    def call(self, x):
        x = self.body(ops.maximum(x / 255, 0.1))
        return self.head(ops.mean(self.attention(x) + x, axis=1))


class Own(keras.Layer):
    """A product of its own, by Keras or by the operator of the framework's tensors."""

    def __init__(self, multiply):
        super().__init__()
        self.multiply = multiply

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, x):
        return self.multiply(x, self.kernel)


def crossed_attention():
    """From one sequence to another, of other lengths and sizes; the keys do not depend on a weight before."""
    inputs = keras.Input((12, 6))
    query = layers.Dense(6)(inputs[:, :5])
    x = layers.MultiHeadAttention(2, 3, value_dim=4, dropout=0.1)(query, inputs)
    return keras.Model(inputs, layers.MultiHeadAttention(2, 3, value_dim=3)(x, inputs))


def frozen():
    dense = [layers.Dense(units) for units in (16, 32, 4)]
    dense[0].trainable = dense[2].trainable = False
    return keras.Sequential([keras.Input((8,)), *dense])


def net(shape, *given):
    return keras.Sequential([keras.Input(shape), *given])


def line(*given):
    """After a layer that learns, so that there is a gradient by the input."""
    return net((12, 4), layers.Conv1D(6, 1), *given)


def with_query(layer):
    inputs = keras.Input((6, 4))
    x = layers.Dense(8)(inputs)
    return keras.Model(inputs, layer(x, x) if isinstance(layer, layers.GroupQueryAttention) else layer([x, x]))


def workload(name):
    return load.load_workload(name).build


# Forward, times one more for each gradient, of a step on one sample.
KNOWN = {
    "perceptron": (workload("perceptron"), 2 * 784 * 10 * 2),
    "mlp": (workload("mlp"), 2 * 784 * 128 * 2 + 2 * 128 * 10 * 3),
    "cnn": (
        workload("cnn"),
        2 * 26**2 * 32 * 3**2 * 2 + (2 * 11**2 * 64 * 3**2 * 32 + 2 * 1_600 * 128 + 2 * 128 * 10) * 3,
    ),
    "transformer": (
        workload("transformer"),
        2 * 28 * 28 * 64 * 2
        + 2 * (4 * 2 * 28 * 64 * 64 + 2 * 2 * 28 * 28 * 64 + 2 * 2 * 28 * 64 * 128) * 3
        + 2 * 28 * 64 * 10 * 3,
    ),
    "strides, padding, residual, depthwise": (
        small_net,
        2 * 5**2 * 8 * 3**2 * 3 * 2 + (2 * 5**2 * 8 * 3**2 * 8 + 2 * 3**2 * 16 * 3**2 + 2 * 16 * 10) * 3,
    ),
    "nested and by hand": (
        Nested,
        2 * 5 * 6 * 16 * 2 + (2 * 5 * 16 * 8 + 2 * 2 * 5 * 8 * 8 + 2 * 2 * 5 * 5 * 8 + 2 * 8 * 10) * 3,
    ),
    "a layer's own product": (lambda: net((4,), layers.Dense(5), Own(ops.matmul)), 2 * 4 * 5 * 2 + 2 * 5 * 3 * 3),
    "frozen layers": (frozen, 2 * 8 * 16 + 2 * 16 * 32 * 2 + 2 * 32 * 4 * 2),
    "a layer called twice": (lambda: net((6,), *[layers.Dense(6)] * 2), 2 * 6 * 6 * (2 + 3)),
    "pooling before weights": (
        lambda: net((8, 8, 2), layers.MaxPooling2D(), layers.Conv2D(4, 2)),
        2 * 3**2 * 4 * 2**2 * 2 * 2,
    ),
    "pooling after weights": (
        lambda: net((8, 8, 2), layers.Conv2D(4, 1), layers.MaxPooling2D(), layers.Conv2D(4, 2)),
        2 * 8**2 * 4 * 2 * 2 + 2 * 3**2 * 4 * 2**2 * 4 * 3,
    ),
    "dilation": (lambda: line(layers.Conv1D(6, 3, dilation_rate=2, padding="same")), 1_152 + 2 * 12 * 6 * 3 * 6 * 3),
    "causal padding": (lambda: line(layers.Conv1D(6, 3, padding="causal")), 1_152 + 2 * 12 * 6 * 3 * 6 * 3),
    "transposed": (
        lambda: line(layers.Conv1DTranspose(5, 3, strides=2, padding="same"), layers.Dense(2)),
        1_152 + 2 * 12 * 6 * 3 * 5 * 3 + 2 * 24 * 5 * 2 * 3,
    ),
    "transposed in a plane": (
        lambda: net((4, 4, 2), layers.Conv2DTranspose(3, 2), layers.Dense(2)),
        2 * 4**2 * 2 * 2**2 * 3 * 2 + 2 * 5**2 * 3 * 2 * 3,
    ),
    "volumes": (
        lambda: net((5, 6, 7, 2), layers.Conv3D(4, 2), layers.Conv3D(3, 2), layers.Conv3DTranspose(2, 2)),
        2 * 4 * 5 * 6 * 4 * 2**3 * 2 * 2 + 2 * 3 * 4 * 5 * 3 * 2**3 * 4 * 3 + 2 * 3 * 4 * 5 * 3 * 2**3 * 2 * 3,
    ),
    "einsum": (
        lambda: line(layers.EinsumDense("abc,cde->abde", (None, 3, 5)), layers.EinsumDense("...de,def->...f", 7)),
        1_152 + 2 * 12 * 6 * 3 * 5 * 3 + 2 * 12 * 3 * 5 * 7 * 3,
    ),
    "tokens": (
        lambda: net((7,), layers.Embedding(11, 6, mask_zero=True), layers.Dense(5), layers.Flatten()),
        2 * 7 * 6 * 5 * 3,
    ),
    "at each time": (lambda: line(layers.TimeDistributed(layers.Dense(3))), 1_152 + 2 * 12 * 6 * 3 * 3),
    "attention without weights": (lambda: with_query(layers.Attention()), 2 * 6 * 4 * 8 * 2 + 2 * 2 * 6 * 6 * 8 * 3),
    "grouped attention": (
        lambda: with_query(layers.GroupQueryAttention(5, 4, 2)),
        2 * 6 * 4 * 8 * 2 + (2 * 6 * 8 * 20 * 2 + 2 * 6 * 8 * 10 * 2 + 2 * 2 * 6 * 6 * 20) * 3,
    ),
    # Of the keys and values there is a gradient by the weights only.
    "crossed attention": (
        crossed_attention,
        2 * 5 * 6 * 6 * 2
        + (2 * 5 * 6 * 6 + 2 * 5 * 12 * 6 + 2 * 5 * 12 * 8 + 2 * 5 * 8 * 6) * 3
        + (2 * 12 * 6 * 6 + 2 * 12 * 6 * 8) * 2
        + (2 * 5 * 6 * 6 + 2 * 2 * 5 * 12 * 6 + 2 * 5 * 6 * 6) * 3
        + 2 * 2 * 12 * 6 * 6 * 2,
    ),
}


BUILDS = [pytest.param(build, id=name) for name, (build, _) in KNOWN.items()]
COUNTS = [pytest.param(build, flops, id=name) for name, (build, flops) in KNOWN.items()]


def samples(model, number):
    shape = (5, 6) if isinstance(model, Nested) else model.input_shape[1:]
    return np.ones((number, *shape), "float32")


@pytest.mark.parametrize(("build", "flops"), COUNTS)
def test_a_step_is_counted_alike_on_every_backend(build, flops):
    model = build()

    assert step_flops(model, samples(model, 1), 128) == Count(128 * flops, ())


def test_the_layers_of_our_own_transformers_are_known_to_multiply_nothing():
    tokens, width, blocks, levels = 196, 64, 3, 16
    dense = blocks * (4 * width * width + 2 * width * 2 * width) + width * levels
    attention = blocks * 2 * tokens * width

    assert step_flops(gpt.build(), np.zeros((1, tokens), np.int32), 2) == Count(
        2 * tokens * 2 * (dense + attention) * 3, ()
    )


@pytest.mark.parametrize("build", BUILDS)
def test_on_torch_it_is_what_torchs_counter_sees(backend_name, build):
    if backend_name != "torch":
        pytest.skip("the counter is a part of torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = build()
    model.compile(optimizer="sgd", loss="mse")
    x = samples(model, 2)
    y = np.zeros(model(x).shape)
    model.train_on_batch(x, y)  # the first also traces the model once
    # Attention as single products: of the fused kernels torch knows the CPU's not at all, and counts the recomputing
    # of the others.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.train_on_batch(x, y)
    found = counter.get_total_flops()
    if build is small_net:  # of a convolution in groups, torch multiplies the gradient by the weights by their number
        found -= 2 * 2 * 3**2 * 16 * 3**2 * (8 - 1)

    assert step_flops(model, x, 2).flops == found


def test_the_count_does_not_depend_on_the_samples_it_is_scaled_from():
    model = small_net()

    assert step_flops(model, samples(model, 1), 96) == step_flops(model, samples(model, 3), 96)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (lambda: layers.LSTM(3, name="mine"), "mine"),
        (lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.GRUCell(2)]), name="mine"), "mine"),
        (lambda: Own(lambda x, kernel: x @ kernel.value), "own"),
        (lambda: Own(lambda x, kernel: ops.vectorized_map(lambda row: ops.matmul(row, kernel), x)), "own"),
    ],
)
def test_what_cannot_be_counted_is_named(layer, named):
    count = step_flops(line(layer()), np.ones((1, 12, 4)), 32)

    assert count.flops is None
    assert len(count.uncounted) == 1
    assert named in count.uncounted[0]


def test_a_model_that_does_not_bear_nan_is_named(monkeypatch):
    def refuse(*_arguments, **_options):
        raise ValueError("NaN")

    model = net((4,), layers.Dense(5))
    monkeypatch.setattr(keras.Sequential, "call", refuse)

    assert step_flops(model, np.ones((1, 4)), 32) == Count(None, (model.name,))


def test_counting_leaves_the_model_and_keras_as_they_were():
    model = net((4,), layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.5))
    before = [ops.convert_to_numpy(variable.value) for variable in model.variables]
    arrays, networks = (importlib.import_module(operations(part)) for part in ("numpy", "nn"))
    functions = keras.Layer.__call__, arrays.matmul, networks.conv
    step_flops(model, np.ones((2, 4)), 32)

    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable.value), value)
    assert functions == (keras.Layer.__call__, arrays.matmul, networks.conv)
