"""What the transformers share: their blocks, learned positions, and an embedding whose gradient is dense."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

Tensor = Any  # of the backend, or one of Keras's symbols


@dataclass(frozen=True)
class Blocks:
    """What the blocks of one transformer have in common.

    `hidden` are the units between the two dense layers. `initializer` makes one for each layer: an object used twice
    would give equal values. With `causal` a position sees itself and those before it.
    """

    heads: int
    hidden: int
    epsilon: float = 1e-3  # Keras's own
    activation: str | Callable[[Tensor], Tensor] = "gelu"
    initializer: Callable[[], keras.Initializer] = lambda: keras.initializers.GlorotUniform()
    causal: bool = False

    def norm(self, x: Tensor) -> Tensor:
        """Scaled to mean 0 and deviation 1 at each position, then by learned factors."""
        return keras.layers.LayerNormalization(epsilon=self.epsilon)(x)

    def attend(self, x: Tensor) -> Tensor:
        """Attention of the positions of (batch, length, width) to each other."""
        attention = keras.layers.MultiHeadAttention(
            self.heads, x.shape[-1] // self.heads, kernel_initializer=self.initializer()
        )
        return attention(x, x, use_causal_mask=self.causal)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Two dense layers, alike at every position."""
        y = keras.layers.Dense(self.hidden, self.activation, kernel_initializer=self.initializer())(x)
        return keras.layers.Dense(x.shape[-1], kernel_initializer=self.initializer())(y)

    def norm_first(self, x: Tensor) -> Tensor:
        """A block with the normalisation before each part (Xiong et al. 2020)."""
        x = keras.layers.Add()([x, self.attend(self.norm(x))])
        return keras.layers.Add()([x, self.feed_forward(self.norm(x))])

    def norm_last(self, x: Tensor) -> Tensor:
        """A block with the normalisation after each part (Vaswani et al. 2017)."""
        x = self.norm(keras.layers.Add()([x, self.attend(x)]))
        return self.norm(keras.layers.Add()([x, self.feed_forward(x)]))


def small_normal() -> keras.Initializer:
    """The initial weights of BERT, GPT-2 and their descendants: normal with deviation 0.02."""
    return keras.initializers.RandomNormal(stddev=0.02)


class Positions(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a learned vector to each position of (batch, length, width), or to each of `parts` equal stretches."""

    def __init__(self, parts: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.parts = parts

    def build(self, shape: tuple[int, ...]) -> None:
        """One vector for each part."""
        _, length, width = shape
        parts = self.parts or length
        self._repeats = length // parts
        self.vectors = self.add_weight(name="vectors", shape=(parts, width), initializer=small_normal())

    def call(self, x: Tensor) -> Tensor:
        """`x` with the vectors added."""
        return x + keras.ops.repeat(self.vectors, self._repeats, axis=0)


class Tokens(keras.layers.Embedding):  # type: ignore[misc]  # Keras has no types
    """A learned vector for each token: Keras's Embedding, with a dense gradient.

    The gradient of Keras's own is sparse on TensorFlow, whose Adam then squares it token by token and not summed, so
    that a token which comes twice in a batch is learned unlike on the other backends (docs/findings.md).
    """

    def call(self, tokens: Tensor) -> Tensor:
        """(batch, length) of whole numbers to (batch, length, width)."""
        return keras.ops.take(self.embeddings * 1.0, tokens, axis=0)  # the product makes TensorFlow sum
