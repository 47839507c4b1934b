"""The classic first Keras classifier: one hidden layer of 128 units.

Images of shape (28, 28) to 10 logits; 101,770 parameters. The network of TensorFlow's tutorial "Basic classification:
Classify images of clothing", with batches of 128 images instead of 32.
"""

import keras

from models import Target, Workload


def build() -> keras.Model:
    """Flatten, 128 units with relu, 10 logits."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


workload = Workload(
    build=build,
    dataset="fashion_mnist",
    batch_size=128,
    epochs=15,
    optimizer=lambda: keras.optimizers.Adam(3e-4),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target(
        "accuracy",
        0.87,
        source="our measurement; an MLP 256-128-100 in the data set's README reaches 0.883",
        chance=0.1,
        quick=0.7,
    ),
    quick_samples=6_400,
)
