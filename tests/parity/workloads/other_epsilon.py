"""Planted: torch's Adam has another epsilon."""

import keras
from _base import BACKEND, workload_of

workload = workload_of(optimizer=lambda: keras.optimizers.Adam(epsilon=2e-7 if BACKEND == "torch" else 1e-7))
