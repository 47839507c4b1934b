"""Agrees, since the draws are the same: every kind of random layer, seeded or not, and a user's own."""

import keras
from _base import workload_of


class Jitter(keras.layers.Layer):
    """A user's own random layer."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(11)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        scale = keras.random.uniform((keras.ops.shape(inputs)[0], 1, 1, 1), 0.9, 1.1, seed=self.seeds)
        shift = keras.random.truncated_normal((28,), 0.0, 0.1, seed=self.seeds)
        picked = keras.random.randint((28,), 0, 28, seed=self.seeds)
        return inputs * scale + keras.ops.take(shift, picked)[:, None]


workload = workload_of(
    Jitter,
    lambda: keras.layers.RandomFlip("horizontal"),
    lambda: keras.layers.GaussianNoise(0.1),
    lambda: keras.layers.Conv2D(4, 3, activation="relu"),
    lambda: keras.layers.SpatialDropout2D(0.25),
    lambda: keras.layers.GaussianDropout(0.1),
    lambda: keras.layers.AlphaDropout(0.1),
    lambda: keras.layers.Dropout(0.3, seed=5),
    lambda: keras.layers.Dropout(0.3),
)
