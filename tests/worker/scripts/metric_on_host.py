"""Planted: a metric of the user's own that goes through NumPy for 20 ms a step, as each backend lets it."""

import time

import keras
import numpy as np

ON_JAX = keras.backend.backend() == "jax"  # which calls the host from a compiled step; others run the step eagerly


def on_host(predicted):
    time.sleep(0.02)
    return np.asarray(np.mean(np.asarray(predicted)), "float32")


class OnHost(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="on_host")
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, *given, sample_weight=None):  # noqa: ARG002
        if ON_JAX:
            import jax

            found = jax.pure_callback(on_host, jax.ShapeDtypeStruct((), "float32"), given[1])
        else:
            found = on_host(keras.ops.convert_to_numpy(given[1]))
        self.total.assign(self.total + found)

    def result(self):
        return keras.ops.convert_to_tensor(self.total)


model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(optimizer="adam", loss="mse", metrics=[OnHost()], run_eagerly=not ON_JAX)
model.fit(np.ones((320, 8), "float32"), np.ones((320, 1), "float32"), batch_size=16, epochs=3, verbose=0)
