"""Agrees: the last layer asks for float32, as it should with mixed precision; in exact mode it is float64 too."""

import keras
from _base import workload_of

workload = workload_of(
    lambda: keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
    lambda: keras.layers.Activation("linear", dtype="float32"),
)
