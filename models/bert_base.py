"""BERT base, classifying texts: twelve encoder blocks with the norm last, trained from drawn weights. For a GPU.

Texts of 512 tokens out of 30,522 to 10 logits; 109,489,930 parameters: the 109,482,240 of BERT base with its pooler
(Devlin et al. 2019; Google's `uncased_L-12_H-768_A-12`), and 7,690 of the classifier. The segments are two halves of
one length, no token is masked, and dropout is off, since its draws differ between backends. Built from keras.layers:
keras-hub would bring TensorFlow into every environment.

The texts are drawn (`planted_topics`): a fifth of the words belong to the topic. Not run at full size; `small`, the
same network in small, is what the tests train and the ladder proves.
"""

import dataclasses

import keras

from models import Target, Workload
from models._transformer import Blocks, Positions, Tokens, small_normal


def build(
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    vocabulary: int = 30_522,
    length: int = 512,
    classes: int = 10,
) -> keras.Model:
    """Tokens with positions and segments, `layers` blocks, the first token through a tanh layer to logits."""
    blocks = Blocks(heads, 4 * width, epsilon=1e-12, initializer=small_normal)
    inputs = keras.Input((length,), dtype="int32")
    x = Positions(2)(Positions()(Tokens(vocabulary, width, small_normal())(inputs)))
    x = blocks.norm(x)
    for _ in range(layers):
        x = blocks.norm_last(x)
    x = keras.layers.Dense(width, activation="tanh", kernel_initializer=small_normal())(x[:, 0])
    return keras.Model(inputs, keras.layers.Dense(classes, kernel_initializer=small_normal())(x))


workload = Workload(
    build=build,
    dataset="planted_topics",
    batch_size=32,
    epochs=6,
    optimizer=lambda: keras.optimizers.Adam(1e-4),
    loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    target=Target("accuracy", 0.9, source="provisional: not run at full size", chance=0.1),
    quick_samples=128,
    cpu_samples=128,
    # XLA plans 34,452 MiB for a step (`memory_analysis`, on a CPU), most of it what attention keeps. Torch, whose
    # attention keeps nothing, has 309 a text, 9,900 in all (counted over one), and 1,671 for weights, gradients and
    # Adam's moments.
    memory_mib=36_000,
)

small = dataclasses.replace(
    workload,
    build=lambda: build(layers=2, width=64, heads=2, vocabulary=1_000, length=64, classes=4),
    dataset="planted_topics_small",
    batch_size=64,
    optimizer=lambda: keras.optimizers.Adam(3e-3),
    memory_mib=0,
)
