"""Agrees, on track `loop` too: layers that draw whether the model is trained or not, as cells with dropout do."""

import keras
from _base import of_build


class Sampling(keras.layers.Layer):
    """Noise at every call, as in a variational autoencoder."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs):
        return inputs + 0.1 * keras.random.normal(keras.ops.shape(inputs), seed=self.seeds)


def build():
    """Both kinds of dropout in both kinds of cells."""
    rows = keras.Input((28, 28))
    cells = keras.layers.GRU(8, dropout=0.2, recurrent_dropout=0.1, return_sequences=True)(
        keras.layers.AveragePooling1D(4)(rows)
    )
    last = keras.layers.LSTM(8, dropout=0.2)(Sampling()(cells))
    return keras.Model(rows, keras.layers.Dense(10)(last))


workload = of_build(build)
