"""Planted: a metric of the user's own that goes through NumPy for 20 ms a step, which it needs `run_eagerly` for."""

import time

import keras
import numpy as np


class OnHost(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="on_host")
        self.seen = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        time.sleep(0.02)
        self.seen.append(float(np.mean(keras.ops.convert_to_numpy(y_pred))))

    def result(self):
        return keras.ops.convert_to_tensor(np.mean(self.seen or [0.0]), "float32")

    def reset_state(self):
        self.seen = []


model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(optimizer="adam", loss="mse", metrics=[OnHost()], run_eagerly=True)
model.fit(np.ones((320, 8), "float32"), np.ones((320, 1), "float32"), batch_size=16, epochs=3, verbose=0)
