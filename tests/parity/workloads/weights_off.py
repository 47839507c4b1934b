"""Planted: TensorFlow's weights are off by 1e-6."""

import keras
from _base import BACKEND, of_build


class Careless(keras.Sequential):
    def set_weights(self, weights):
        off = 1e-6 if BACKEND == "tensorflow" else 0.0
        super().set_weights([weight + off for weight in weights])


workload = of_build(lambda: Careless([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]))
