"""The same random draws on every backend, for parity only: threefry2x32 in place of each backend's own generator.

Layers ask `keras.src.backend.random` for their draws; `install` replaces its functions, so no layer and no model has to
know. The generator is counter-based: draw number i of a seed is threefry2x32 with 20 rounds (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011) of the key that Keras draws from the seed and the counter (stream, i),
with stream 0, which is what `jax.random.bits` computes. Slow: about 150 operations a draw.

Bits, uniforms, integers and masks come out byte-identical, normals to the rounding of logarithm and cosine.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from bench.worker import backends
from bench.worker.keras_internals import found, replace

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
TRIES = 10  # of a truncated normal; all outside two deviations: once in 3e13
REFUSED = ("beta", "binomial", "categorical", "gamma")
WORD = 0xFFFFFFFF
HALF_PRECISION = ("float16", "bfloat16")

Tensor = Any  # of the backend in force
Seed = Any  # what Keras takes: an integer, a SeedGenerator, None, or a drawn pair


class RefusedError(Exception):
    """A layer asked for a distribution that is not drawn alike on all backends; the message names it."""


def install() -> None:
    """Replace the backend's draws in this process, those of `keras.random` included."""
    draws: dict[str, Callable[..., Tensor]] = {
        "uniform": uniform,
        "normal": normal,
        "truncated_normal": truncated_normal,
        "randint": randint,
        "dropout": dropout,
        "shuffle": shuffle,
        **{name: _refusal(name) for name in REFUSED},
    }
    module = found("keras.src.backend", "random").__name__
    for name, draw in draws.items():
        replace(module, name, _instead(draw))


def bits(shape: Sequence[int], seed: Seed) -> Tensor:
    """Uniform 32-bit words (an integer tensor of `shape`): what `jax.random.bits` gives for the same key."""
    high, low = _words(shape, seed)
    return keras.ops.bitwise_xor(high, low)


def uniform(
    shape: Sequence[int], minval: Any = 0.0, maxval: Any = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Uniform draws from [minval, maxval): the generator's leading 53 bits in float64, 24 in float32."""
    kind = _kind(dtype)
    drawn = _unit(*_words(shape, seed), _working(kind))
    return keras.ops.cast(_between(drawn, minval, maxval), kind)


def normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Normal draws, by Box and Muller's method from two uniforms of 24 bits, so that float32 rounds the same draws."""
    kind = _kind(dtype)
    return keras.ops.cast(_standard_normal(shape, _key(seed), _working(kind), 0) * stddev + mean, kind)


def truncated_normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Seed = None
) -> Tensor:
    """Normal draws within two deviations of the mean: the first of ten candidates that lies there."""
    kind = _kind(dtype)
    key = _key(seed)
    drawn = keras.ops.zeros(shape, _working(kind))
    for candidate in reversed(range(TRIES)):
        fresh = _standard_normal(shape, key, _working(kind), 2 * candidate)
        drawn = keras.ops.where(keras.ops.abs(fresh) < 2.0, fresh, drawn)
    return keras.ops.cast(drawn * stddev + mean, kind)


def randint(shape: Sequence[int], minval: Any, maxval: Any, dtype: str = "int32", seed: Seed = None) -> Tensor:
    """Whole numbers from [minval, maxval): ⌊word · (maxval − minval) / 2³²⌋ + minval, for ranges below 2³¹."""
    word, _ = _words(shape, seed)
    low = keras.ops.cast(minval, "int32")
    span = keras.ops.cast(keras.ops.cast(maxval, "int32") - low, "uint32")
    # The upper half of a 64-bit product, in pieces of 16 bits: there is no 64-bit integer on every backend.
    (a, b), (c, d) = _halves(word), _halves(span)
    middle = _shifted(b * d, 16) + _halves(a * d)[1] + _halves(b * c)[1]
    picked = a * c + _shifted(a * d, 16) + _shifted(b * c, 16) + _shifted(middle, 16)
    return keras.ops.cast(keras.ops.cast(picked, "int32") + low, dtype)


def dropout(inputs: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None) -> Tensor:
    """Zero the inputs with probability `rate` and scale the others; the mask is the same in every numerics."""
    if rate == 0.0:
        return inputs
    if rate == 1.0:
        return keras.ops.zeros_like(inputs)
    given = keras.ops.shape(inputs)
    shape = given if noise_shape is None else [b if a is None else a for a, b in zip(noise_shape, given, strict=True)]
    high, _ = _words(shape, seed)
    kept = keras.ops.greater_equal(high, _word(min(math.ceil(rate * 2**32), WORD)))
    scaled = inputs / keras.ops.cast(1.0 - rate, inputs.dtype)
    return keras.ops.where(keras.ops.broadcast_to(kept, given), scaled, keras.ops.zeros_like(inputs))


def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """A permutation along one axis: the order in which the axis's draws would be sorted."""
    x = keras.ops.convert_to_tensor(x)
    unit = _unit(*_words([x.shape[axis]], seed), _working(keras.config.floatx()))
    return keras.ops.take(x, keras.ops.argsort(unit), axis=axis)


def threefry(key: tuple[Tensor, Tensor], high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """threefry2x32 with 20 rounds of the counter (high, low): two tensors of 32-bit words, as `_word` makes them."""
    keys = (*key, keras.ops.bitwise_xor(keras.ops.bitwise_xor(key[0], key[1]), _word(PARITY)))
    high, low = _wrapped(high + keys[0]), _wrapped(low + keys[1])
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            high = _wrapped(high + low)
            low = keras.ops.bitwise_xor(_rotated(low, rotation), high)
        high = _wrapped(high + keys[(group + 1) % 3])
        low = _wrapped(low + keys[(group + 2) % 3] + _word(group + 1))
    return high, low


def _words(shape: Sequence[int], seed: Seed) -> tuple[Tensor, Tensor]:
    """Two independent 32-bit words for each place of `shape`."""
    return _stream(shape, _key(seed), 0)


def _stream(shape: Sequence[int], key: tuple[Tensor, Tensor], stream: int) -> tuple[Tensor, Tensor]:
    count = 1
    for length in shape:
        count = count * length  # a tensor where a dimension is not known before the graph runs
    places = keras.ops.cast(keras.ops.arange(count, dtype="int32"), "uint32")
    high, low = _compiled_threefry()(key, keras.ops.zeros_like(places) + _word(stream), places)
    return keras.ops.reshape(high, shape), keras.ops.reshape(low, shape)


@functools.cache
def _compiled_threefry() -> Callable[..., tuple[Tensor, Tensor]]:
    return _exact().compiled(threefry)


def _exact() -> backends.Exact:
    return backends.exact(keras.backend.backend())


def _key(seed: Seed) -> tuple[Tensor, Tensor]:
    """The two words that Keras draws from a seed: (seed, number of the call)."""
    drawn = seed if keras.ops.is_tensor(seed) else found("keras.src.random.seed_generator", "draw_seed")(seed)
    pair = _wrapped(keras.ops.cast(drawn, "uint32"))
    return pair[0], pair[1]


def _unit(high: Tensor, low: Tensor, kind: str) -> Tensor:
    """Words to [0, 1), exactly: their leading 53 bits in float64, 24 in float32."""
    if kind == "float32":
        return keras.ops.cast(_shifted(high, 8), "float32") * 2.0**-24
    leading = keras.ops.cast(high, "float64") * 2.0**21 + keras.ops.cast(_shifted(low, 11), "float64")
    return leading * 2.0**-53


def _between(unit: Tensor, minval: Any, maxval: Any) -> Tensor:
    if isinstance(minval, int | float) and isinstance(maxval, int | float) and (minval, maxval) == (0, 1):
        return unit
    low, high = (keras.ops.cast(value, unit.dtype) for value in (minval, maxval))
    scaled = unit * (high - low)
    # Always true, though no compiler can know it: XLA would else round product and sum once, together.
    certain = keras.ops.less_equal(scaled, keras.ops.max(scaled, initial=0.0))
    return keras.ops.where(certain, scaled, keras.ops.zeros_like(scaled)) + low


def _standard_normal(shape: Sequence[int], key: tuple[Tensor, Tensor], kind: str, stream: int) -> Tensor:
    words = (_stream(shape, key, number) for number in (stream, stream + 1))
    radius, angle = (keras.ops.cast(_unit(*pair, "float32"), kind) for pair in words)
    return keras.ops.sqrt(-2.0 * keras.ops.log(1.0 - radius)) * keras.ops.cos(2.0 * math.pi * angle)


def _instead(draw: Callable[..., Tensor]) -> Callable[[Any], Callable[..., Tensor]]:
    return lambda _original: draw


def _refusal(name: str) -> Callable[..., Tensor]:
    def refuse(*_: Any, **__: Any) -> Tensor:
        raise RefusedError(f"keras.random.{name} is not drawn alike on all backends, so parity cannot judge its layer")

    return refuse


def _kind(dtype: str | None) -> str:
    kind: str = keras.backend.standardize_dtype(dtype or keras.config.floatx())
    return kind


def _working(kind: str) -> str:
    """The type that draws are computed in."""
    return "float32" if kind in HALF_PRECISION else kind


def _word(value: int) -> Tensor:
    # Where a backend computes with wider integers, words are kept below 2^32 by `_wrapped`.
    return keras.ops.convert_to_tensor(_exact().word(value), dtype="uint32")


def _wrapped(words: Tensor) -> Tensor:
    return keras.ops.bitwise_and(words, _word(WORD))


def _shifted(words: Tensor, places: int) -> Tensor:
    return keras.ops.right_shift(words, _word(places))


def _halves(words: Tensor) -> tuple[Tensor, Tensor]:
    return _shifted(words, 16), keras.ops.bitwise_and(words, _word(0xFFFF))


def _rotated(words: Tensor, places: int) -> Tensor:
    left = _wrapped(keras.ops.left_shift(words, _word(places)))
    return keras.ops.bitwise_or(left, _shifted(words, 32 - places))
