"""Text, or what else is made of tokens, by a decoder that keeps the keys and values of its attention."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from models._transformer import Positions, Tensor

Ids = npt.NDArray[np.integer[Any]]


def generate_with(model: keras.Model) -> Callable[[Ids, int], Ids]:
    """The method `generate` of a functional decoder made of `Tokens`, `Positions`, causal `Blocks.norm_first`, `Dense`.

    It takes prompts, whole numbers of shape (batch, prompt), and how many tokens there are to be in the end, prompt
    included, at most the decoder's length; it gives these as int32 of shape (batch, max_length), each generated one the
    class with the largest logit. A class has the number of its token. ValueError where no token is to be generated, or
    more than the decoder has places for.
    """
    cached = Cached(model)  # not the model's attribute: its layers would be the model's twice

    def generate(prompts: Ids, max_length: int) -> Ids:
        if not 0 < prompts.shape[1] < max_length <= cached.length:
            raise ValueError(f"prompts of {prompts.shape[1]} tokens cannot become {max_length} of {cached.length}")
        given = np.asarray(prompts, np.int32), np.array([[max_length]], np.int32)
        found: Ids = cached.predict_on_batch(given)[:, :max_length]
        return found

    return generate


class Cached(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Greedy generation as one call, compiled where the backend compiles: a pass over the prompts, then one a token.

    It has the very layers of the decoder it is made of, and no weights of its own.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.length = model.inputs[0].shape[1]
        (self.tokens,), (self.positions,) = _layers(model, keras.layers.Embedding), _layers(model, Positions)
        self.attentions = _layers(model, keras.layers.MultiHeadAttention)
        self.norms = _layers(model, keras.layers.LayerNormalization)
        self.dense = _layers(model, keras.layers.Dense)
        self.built = True

    def call(self, given: tuple[Tensor, Tensor]) -> Tensor:
        """Prompts of shape (batch, prompt), and of shape (1, 1) where to stop, to (batch, the decoder's length)."""
        prompts, stop = given[0], given[1][0, 0]
        number = prompts.shape[1]
        features, caches = self.advance(prompts, 0, [self.empty(prompts) for _ in range(2 * len(self.attentions))])
        ids = ops.pad(prompts, [[0, 0], [0, self.length - number]])

        def step(place: Tensor, ids: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
            token = ops.take(ids, ops.reshape(place - 1, (1,)), axis=1)
            features, written = self.advance(token, place - 1, caches)
            return (place + 1, self.put(features, place, ids), *written)

        begun = (ops.convert_to_tensor(number + 1, "int32"), self.put(features, number, ids), *caches)
        return ops.while_loop(lambda place, *_: place < stop, step, begun)[1]

    def empty(self, prompts: Tensor) -> Tensor:
        """Room for the keys, or the values, of one layer: (batch, length, heads, width of a head)."""
        heads, width = self.attentions[0].num_heads, self.attentions[0].key_dim
        return ops.zeros((ops.shape(prompts)[0], self.length, heads, width), self.compute_dtype)

    def advance(self, tokens: Tensor, first: Tensor, caches: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Some tokens, (batch, some), that stand from `first` on: the features of the last, and the caches after."""
        places = first + ops.arange(tokens.shape[1])
        x = self.tokens(tokens) + ops.take(self.positions.vectors, places, axis=0)
        written: list[Tensor] = []
        for number, attention in enumerate(self.attentions):
            before, after = self.norms[2 * number : 2 * number + 2]
            wide, narrow = self.dense[2 * number : 2 * number + 2]
            attended, *kept = attend(attention, before(x), places, caches[2 * number : 2 * number + 2])
            x = x + attended
            x = x + narrow(wide(after(x)))
            written += kept
        return self.norms[-1](x[:, -1]), written

    def put(self, features: Tensor, place: Tensor, ids: Tensor) -> Tensor:
        """The ids with the likeliest class at one place."""
        found = ops.cast(ops.argmax(self.dense[-1](features), axis=-1), "int32")
        return ops.where(ops.arange(self.length) == place, found[:, None], ids)


def attend(
    attention: keras.Layer, x: Tensor, places: Tensor, caches: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """What `attention` gives at some consecutive places, from keys and values kept and new, and both of these after.

    `x` is (batch, some, width), `places` are (some,); each sees itself and those before it.
    """
    start = (0, places[0], 0, 0)
    query = attention.query_dense(x) * attention.key_dim**-0.5
    keys = ops.slice_update(caches[0], start, attention.key_dense(x))
    values = ops.slice_update(caches[1], start, attention.value_dense(x))
    scores = ops.einsum("bqhd,bkhd->bhqk", query, keys)
    seen = ops.arange(keys.shape[1])[None] <= places[:, None]
    weights = ops.softmax(ops.where(seen, scores, ops.cast(-np.inf, scores.dtype)))
    return attention.output_dense(ops.einsum("bhqk,bkhd->bqhd", weights, values)), keys, values


def _layers(model: keras.Model, kind: type) -> list[keras.Layer]:
    """Those of a kind, in the order in which they are called."""
    return [layer for layer in model.layers if isinstance(layer, kind)]
