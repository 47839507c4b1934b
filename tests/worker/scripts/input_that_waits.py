"""Planted: an input of the user's own that takes 20 ms for a batch, beside a callback that takes 5 ms a step."""

import time

import keras
import numpy as np


class Waits(keras.utils.PyDataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        time.sleep(0.02)
        return np.ones((16, 8), "float32"), np.ones((16, 1), "float32")


class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        time.sleep(0.005)


model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
model.fit(Waits(), epochs=3, callbacks=[Slow()])
