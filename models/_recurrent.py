"""What the recurrent workloads share: one recurrent layer over the rows of an image, and how it is trained."""

from collections.abc import Callable

import keras

from models import Target, Workload

UNITS = 64  # modest, since torch runs a loop in Python over the steps of a sequence where there is no GPU


def classifier(layer: keras.layers.RNN) -> keras.Model:
    """28 rows of 28 pixels, one after the other, through a recurrent layer; its last output to 10 logits."""
    return keras.Sequential([keras.Input((28, 28)), layer, keras.layers.Dense(10)])


def trained(build: Callable[[], keras.Model], target: Target) -> Workload:
    """The workload around such a classifier: a learning rate twice Keras's default reaches the target sooner."""
    return Workload(
        build=build,
        dataset="fashion_mnist",
        batch_size=128,
        epochs=8,
        optimizer=lambda: keras.optimizers.Adam(0.002),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        target=target,
        quick_samples=6_400,
        cpu_samples=25_600,
    )
