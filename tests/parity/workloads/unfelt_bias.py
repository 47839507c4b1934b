"""Agrees: the gradient of a bias before a batch normalisation is rounding alone; this Adam makes whole steps of it."""

import keras
from _base import workload_of

workload = workload_of(
    lambda: keras.layers.Conv2D(4, 3, strides=2),
    lambda: keras.layers.BatchNormalization(),
    lambda: keras.layers.ReLU(),
    optimizer=lambda: keras.optimizers.Adam(0.01, epsilon=1e-14),
)
