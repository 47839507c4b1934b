"""Parity's random draws once more, in NumPy: what every backend has to give, byte for byte."""

import math

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key, high, low):
    """threefry2x32 with 20 rounds of a key of two words and counters of two words each."""
    key = [np.uint32(word) for word in key]
    keys = [*key, key[0] ^ key[1] ^ np.uint32(0x1BD11BDA)]
    with np.errstate(over="ignore"):
        x, y = high + keys[0], low + keys[1]
        for group in range(5):
            for rotation in ROTATIONS[group % 2]:
                x = x + y
                y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
            x = x + keys[(group + 1) % 3]
            y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def words(shape, seed, stream=0):
    """Two words for each place, of an integer seed: the key is (seed, 0), as Keras draws it."""
    count = math.prod(shape)
    places = np.arange(count, dtype=np.uint32)
    high, low = threefry((seed, 0), np.full(count, stream, np.uint32), places)
    return high.reshape(shape), low.reshape(shape)


def unit(high, low, dtype):
    """Words to [0, 1)."""
    if dtype == "float32":
        return (high >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    leading = (high.astype(np.uint64) << np.uint64(32) | low) >> np.uint64(11)
    return leading.astype(np.float64) * 2.0**-53


def uniform(shape, minval, maxval, dtype, seed):
    kind = np.dtype(dtype).type
    drawn = unit(*words(shape, seed), dtype)
    if (minval, maxval) == (0.0, 1.0):
        return drawn
    return drawn * (kind(maxval) - kind(minval)) + kind(minval)


def normal(shape, seed):
    radius, angle = (unit(*words(shape, seed, stream), "float32").astype(np.float64) for stream in (0, 1))
    return np.sqrt(-2.0 * np.log(1.0 - radius)) * np.cos(2.0 * np.pi * angle)


def randint(shape, minval, maxval, seed):
    high, _ = words(shape, seed)
    return (((high.astype(np.uint64) * np.uint64(maxval - minval)) >> np.uint64(32)).astype(np.int64) + minval).astype(
        np.int32
    )


def mask(shape, rate, seed):
    """Where dropout keeps the input."""
    high, _ = words(shape, seed)
    return high >= np.uint32(min(math.ceil(rate * 2**32), 2**32 - 1))


def shuffled(values, seed):
    return values[np.argsort(unit(*words(values.shape[:1], seed), "float64"), kind="stable")]
