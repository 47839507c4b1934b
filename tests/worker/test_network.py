"""A Keras model read into plain data, for the track without Keras: whole, or refused by name."""

import keras
import numpy as np
import pytest

from bench.worker.backends import network
from bench.worker.errors import StartError

layers = keras.layers


def compiled(model, optimizer=None, loss=None, metrics=("accuracy",)):
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(), loss=loss, metrics=list(metrics))
    return model


def dense(*before, **options):
    return compiled(keras.Sequential([keras.Input((4,)), *before, layers.Dense(3, **options)]))


def image(*inner):
    return compiled(keras.Sequential([keras.Input((8, 8, 2)), *inner, layers.Flatten(), layers.Dense(3)]))


def test_every_call_of_a_layer_is_a_node_that_names_its_inputs():
    inputs = keras.Input((6, 4))
    x = layers.Dense(4, activation="gelu")(inputs)
    shared = layers.Dense(4)
    y = layers.Add()([shared(x), shared(inputs)]) + x
    z = layers.MultiHeadAttention(2, 3)(y, x)
    read = network.read(compiled(keras.Model(inputs, layers.Dense(5)(layers.Flatten()(z)))))

    assert [node.kind for node in read.nodes] == [
        *("Dense", "Dense", "Dense", "Add", "Add", "MultiHeadAttention", "Flatten", "Dense")
    ]
    by_kind = {node.kind: node for node in read.nodes}
    assert by_kind["MultiHeadAttention"].settings == {"heads": 2, "size": 3}
    assert len(by_kind["MultiHeadAttention"].inputs) == 2
    assert {tuple(node.weights.values()) for node in read.nodes[1:3]} == {tuple(read.nodes[1].weights.values())}


def test_the_weights_come_along_and_go_back():
    model = compiled(keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(3)]))
    read = network.read(model)
    moved = {path: value + 1 for path, value in read.weights.items()}
    before = model.get_weights()
    read.store(model, moved)

    assert len(read.weights) == 6
    assert len(read.trainable) == 4  # not the moving mean and variance
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.allclose(old + 1, new)


def test_the_optimizers_constants_are_read():
    read = network.read(compiled(dense(), keras.optimizers.SGD(0.25, momentum=0.5, nesterov=True)))

    assert (read.optimizer, read.constants) == ("SGD", {"learning_rate": 0.25, "momentum": 0.5, "nesterov": 1.0})


class Own(layers.Layer):
    def call(self, inputs):
        return inputs


class Whole(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(3)
        self.out.build((None, 4))

    def call(self, inputs):
        return self.out(inputs)


def mean_squared_error():
    return compiled(dense(), loss=keras.losses.MeanSquaredError())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: dense(Own()), ") is not among what it reads: Dense, Conv2D"),
        (lambda: compiled(Whole()), "the model is a subclass (Whole)"),
        (lambda: dense(kernel_regularizer="l2"), "adds a loss of its own"),
        (lambda: dense(activation="softmax"), "activation softmax"),
        (lambda: dense(kernel_constraint="non_neg"), "with kernel_constraint="),
        (lambda: dense(dtype="mixed_bfloat16"), "computes in mixed_bfloat16"),
        (lambda: image(layers.Conv2D(2, 3, dilation_rate=2)), "with dilation_rate=(2, 2); (1, 1) is read"),
        (lambda: image(layers.Conv2D(2, 3, groups=2)), "with groups=2"),
        (lambda: image(layers.AveragePooling2D(2, padding="same")), "with padding='same'; 'valid' is read"),
        (lambda: image(layers.BatchNormalization(axis=1)), "over axis 1; the last is read"),
        (lambda: compiled(dense(), keras.optimizers.RMSprop()), "optimizer RMSprop"),
        (lambda: compiled(dense(), keras.optimizers.Adam(clipnorm=1.0)), "clipnorm=1.0"),
        (lambda: compiled(dense(), keras.optimizers.Adam(weight_decay=0.1)), "weight_decay=0.1"),
        (
            lambda: compiled(dense(), keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))),
            "CosineDecay is not read, only PiecewiseConstantDecay",
        ),
        (mean_squared_error, "only SparseCategoricalCrossentropy(from_logits=True)"),
        (lambda: compiled(dense(), metrics=["accuracy", "mse"]), "only accuracy"),
    ],
)
def test_what_it_does_not_read_is_refused_by_name(make, reason):
    with pytest.raises(StartError) as refused:
        network.read(make())

    assert str(refused.value).startswith("native: ")
    assert reason in str(refused.value)


def attention(**call):
    inputs = keras.Input((6, 4))
    options = {name: call.pop(name) for name in ("dropout", "use_bias", "value_dim") if name in call}
    attended = layers.MultiHeadAttention(2, 3, **options)(inputs, inputs, **call)
    return compiled(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attended))))


@pytest.mark.parametrize("option", [{"dropout": 0.1}, {"use_bias": False}, {"value_dim": 5}, {"use_causal_mask": True}])
def test_an_attention_of_another_kind_is_refused(option):
    with pytest.raises(StartError, match="native: MultiHeadAttention"):
        network.read(attention(**option))


def test_a_network_that_draws_does_not_climb_the_ladder():
    assert network.refused_on_ladder(network.read(dense(layers.Dropout(0.5)))).startswith("native: each backend draws")
    assert network.refused_on_ladder(network.read(dense(layers.Dropout(0.0)))) == ""
