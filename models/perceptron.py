"""A single dense layer: the smallest classifier, nearly all of whose epoch is overhead.

Images of shape (28, 28) to 10 logits; 7,850 parameters.
"""

import keras

from models import Target, Workload


def build() -> keras.Model:
    """Flatten, then one dense layer of 10 logits."""
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])


workload = Workload(
    build=build,
    dataset="fashion_mnist",
    batch_size=128,
    epochs=5,
    optimizer=lambda: keras.optimizers.Adam(),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target("accuracy", 0.83, source="our measurement", chance=0.1, quick=0.6),
    quick_samples=6_400,
)
