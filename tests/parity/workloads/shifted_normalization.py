"""Inaccurate on torch in Keras 3.15.1: the variance of a batch far from 0 is the difference of two large numbers."""

import keras
from _base import workload_of

workload = workload_of(
    lambda: keras.layers.Rescaling(1.0, offset=1000.0),
    lambda: keras.layers.BatchNormalization(),
)
