"""A decoder-only transformer that draws images pixel by pixel: each of 196 pixels predicted from those before it.

Fashion-MNIST in 14 × 14 pixels of 16 levels, as 196 tokens (and one that begins), to 16 logits for each pixel;
115,216 parameters. "Image Transformer" (Parmar et al. 2018) began with it; the network is in small that of "Generative
Pretraining from Pixels" (Chen et al. 2020, iGPT), GPT-2's blocks with learned positions and an output layer of its own.
Bits per dimension are the mean cross-entropy of a pixel in bits; who knows nothing needs 4.
"""

import keras

from models import Target, Workload
from models._generate import generate_with
from models._transformer import Blocks, Positions, Tokens, small_normal

PIXELS, LEVELS = 196, 16
WIDTH, HEADS, BLOCKS = 64, 4, 3


def build() -> keras.Model:
    """Tokens to 64 features with their positions, three causal blocks, 16 logits at each position.

    Its `generate` is an attribute: a subclass may do more than its graph shows, so `native` takes none over.
    """
    blocks = Blocks(HEADS, 2 * WIDTH, epsilon=1e-5, initializer=small_normal, causal=True)
    inputs = keras.Input((PIXELS,), dtype="int32")
    x = Positions()(Tokens(LEVELS + 1, WIDTH, small_normal())(inputs))
    for _ in range(BLOCKS):
        x = blocks.norm_first(x)
    model = keras.Model(inputs, keras.layers.Dense(LEVELS)(blocks.norm(x)))
    model.generate = generate_with(model)
    return model


workload = Workload(
    build=build,
    dataset="fashion_mnist_tokens",
    batch_size=32,
    epochs=4,
    optimizer=lambda: keras.optimizers.Adam(),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target("bits_per_dimension", 1.4, source="our measurement, 1.355", margin=0.02, chance=4.0, quick=2.9),
    quick_samples=128,
    cpu_samples=960,
)
