"""Planted: after a bias that the loss does not feel, torch's values are larger by a millionth."""

import keras
from _base import BACKEND, workload_of

workload = workload_of(
    lambda: keras.layers.Conv2D(4, 3, strides=2),
    lambda: keras.layers.BatchNormalization(),
    lambda: keras.layers.Rescaling(1 + 1e-6 if BACKEND == "torch" else 1.0),
    lambda: keras.layers.ReLU(),
    optimizer=lambda: keras.optimizers.Adam(0.01, epsilon=1e-14),
)
