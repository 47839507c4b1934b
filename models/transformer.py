"""A small transformer: two encoder blocks over the rows of an image, the blocks of Vaswani et al. with norm first.

Images of shape (28, 28), read as 28 tokens of 28 pixels, to 10 logits; 86,858 parameters. "Attention Is All You Need"
(2017), the normalisation before each part as in Xiong et al. (2020). There is no position encoding: the last layer sees
which row is which.
"""

import keras

from models import Target, Workload
from models._transformer import Blocks

WIDTH, HEADS, BLOCKS = 64, 4, 2


def build() -> keras.Model:
    """Rows of 28 pixels to 64 features, two blocks of attention and a gelu layer, all rows together to 10 logits."""
    inputs = keras.Input((28, 28))
    x = keras.layers.Dense(WIDTH)(inputs)
    blocks = Blocks(HEADS, 2 * WIDTH)
    for _ in range(BLOCKS):
        x = blocks.norm_first(x)
    x = keras.layers.Flatten()(keras.layers.LayerNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


workload = Workload(
    build=build,
    dataset="fashion_mnist",
    batch_size=128,
    epochs=6,
    optimizer=lambda: keras.optimizers.Adam(),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target("accuracy", 0.87, source="our measurement, 0.875", chance=0.1, quick=0.3),
    quick_samples=1_280,
    cpu_samples=12_800,
)
