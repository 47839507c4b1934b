"""Planted: torch pads at the other side."""

import keras
from _base import BACKEND, workload_of

SIDES = ((1, 0), (1, 0)) if BACKEND == "torch" else ((0, 1), (0, 1))

workload = workload_of(
    lambda: keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
    lambda: keras.layers.ZeroPadding2D(SIDES, name="padding"),
    lambda: keras.layers.Conv2D(4, 3, strides=2),
)
