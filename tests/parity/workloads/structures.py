"""Agrees: a functional model with a nested one, a shared layer, a subclassed layer and one with two outputs."""

import keras
from _base import of_build


class Halves(keras.layers.Layer):
    """Two outputs, one of them through a layer of its own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(8, activation="gelu")

    def build(self, shape):
        self.dense.build((*shape[:-1], shape[-1] // 2))

    def call(self, inputs):
        left, right = keras.ops.split(inputs, 2, axis=-1)
        return self.dense(left), right


class Whole(keras.Model):
    """A subclassed model around a functional one."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.norm = keras.layers.LayerNormalization()
        self.last = keras.layers.Dense(10)

    def call(self, inputs):
        return self.last(self.norm(self.inner(inputs)))


def build():
    inputs = keras.Input((28, 28))
    shared = keras.layers.Dense(16, activation="tanh")
    nested = keras.Sequential([keras.Input((28, 16)), keras.layers.LSTM(8), keras.layers.Dense(16)])
    twice = shared(keras.layers.Dense(28)(shared(inputs)))
    left, right = Halves()(nested(twice))
    model = Whole(keras.Model(inputs, keras.layers.Concatenate()([left, right])))
    model(keras.Input((28, 28)))
    return model


workload = of_build(build)
