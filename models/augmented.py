"""The network of `cnn` behind random shifts and reflections, drawn anew for every image of every batch.

Images of shape (28, 28) to 10 logits; 225,034 parameters. The layer that moves images is written with keras.ops, since
Keras's own RandomTranslation computes its transformation in float32 on TensorFlow, so that exact mode parts there by
up to 2e-6 (docs/findings.md), and takes XLA from the whole model (`supports_jit=False`). This one moves by whole
pixels, as one gather.
"""

import keras

from models import Target, Workload, cnn

SHIFT = 2  # pixels, at most, in each direction


class RandomShiftAndFlip(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """In training each image is moved by a few whole pixels, and every second one mirrored, at random.

    Shape (batch, height, width). What a shift uncovers repeats the row or column at the edge.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator()

    def call(self, images: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """One gather for all images: a moved and mirrored image only takes its pixels from other places."""
        if not training:
            return images
        count, height, width = keras.ops.shape(images)
        shifts = keras.random.randint((2, count, 1), -SHIFT, SHIFT + 1, seed=self.seeds)
        mirrored = keras.random.randint((count, 1), 0, 2, seed=self.seeds)
        first, rows, columns = (keras.ops.arange(size, dtype="int32") for size in (count, height, width))
        columns = keras.ops.where(mirrored == 1, width - 1 - columns, columns)
        rows = keras.ops.clip(rows + shifts[0], 0, height - 1)
        columns = keras.ops.clip(columns + shifts[1], 0, width - 1)
        places = (first[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
        return keras.ops.take(images, places)


def build() -> keras.Model:
    """The layers of `cnn` behind the one that moves and mirrors."""
    return keras.Sequential([keras.Input((28, 28)), RandomShiftAndFlip(), *cnn.build().layers])


workload = Workload(
    build=build,
    dataset="fashion_mnist",
    batch_size=128,
    epochs=10,
    optimizer=lambda: keras.optimizers.Adam(),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target(
        "accuracy", 0.885, source="our measurement: 0.894 with one seed on TensorFlow", chance=0.1, quick=0.5
    ),
    quick_samples=1_280,
    cpu_samples=12_800,
)
