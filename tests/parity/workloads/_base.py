"""What the workloads of this folder share: each is climbed by tests/parity/test_ladders.py on all three backends."""

import keras

from models import Target, Workload

BACKEND = keras.config.backend()


def workload_of(*layers, **changes):
    """A workload whose model has these layers on images of shape (28, 28, 1), then ten logits."""

    def build():
        images = [keras.Input((28, 28)), keras.layers.Reshape((28, 28, 1))]
        return keras.Sequential([*images, *(make() for make in layers), keras.layers.Flatten(), keras.layers.Dense(10)])

    return of_build(build, **changes)


def of_build(build, **changes):
    """A workload with this `build`."""
    given = {
        "build": build,
        "dataset": "fashion_mnist",
        "batch_size": 32,
        "epochs": 2,
        "optimizer": lambda: keras.optimizers.Adam(),
        "loss": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "target": Target("accuracy", 0.5, source="a test"),
        "quick_samples": 320,
    }
    return Workload(**{**given, **changes})
