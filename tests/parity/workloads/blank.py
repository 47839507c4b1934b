"""Gives nan on every backend."""

import keras
from _base import workload_of

workload = workload_of(lambda: keras.layers.Rescaling(float("nan")))
