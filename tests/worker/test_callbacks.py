"""Callbacks of a workload or a script: called as `fit` does, and what they cost is told apart."""

import itertools

import keras
import numpy as np
import pytest

from bench.worker.timing.callback_time import CallbackTime
from bench.worker.timing.clock import EpochClock
from bench.worker.workload import load


class Counting(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = self.epochs = 0

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        self.epochs += 1


@pytest.fixture
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_only_what_callbacks_take_within_an_epoch_is_counted(model):
    counting, ticks = Counting(), itertools.count()
    cost = CallbackTime([counting], now=lambda: float(next(ticks)))
    clock = EpochClock("loss", lambda: None, callback_seconds=cost.read)
    x = np.zeros((40, 2), "float32")
    model.fit(x, x[:, :1], batch_size=10, epochs=2, verbose=0, callbacks=[clock, counting])

    assert (counting.batches, counting.epochs) == (8, 2)
    assert [epoch.callback_seconds for epoch in clock.epochs] == [4.0, 4.0]  # a tick a batch


def test_without_callbacks_nothing_is_recorded(model):
    clock = EpochClock("loss", lambda: None, callback_seconds=CallbackTime([]).read)
    x = np.zeros((40, 2), "float32")
    model.fit(x, x[:, :1], epochs=1, verbose=0, callbacks=[clock])

    assert clock.epochs[0].callback_seconds is None


WORKLOAD = """
import keras
from models import Target, Workload

workload = Workload(
    build=lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
    dataset="data.npz", batch_size=10, epochs=2, quick_samples=40,
    callbacks=lambda: [keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e9)],
    optimizer=lambda: keras.optimizers.SGD(1.0), loss=lambda: keras.losses.MeanSquaredError(),
    target=Target("mean_squared_error", margin=None),
)
"""


def test_a_workloads_callbacks_are_called_in_its_launches(launch, tmp_path):
    x = np.ones((40, 2), "float32")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=x[:, :1], x_test=x, y_test=x[:, :1])
    (tmp_path / "called.py").write_text(WORKLOAD)
    path = str(tmp_path / "called.py")
    given = {"workload": path, "dataset": load.load_workload(path).dataset, "samples": 40, "batch_size": 10}
    done, content = launch(**given)

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(epoch["callback_seconds"] >= 0 for epoch in content["launch"]["epochs"])
