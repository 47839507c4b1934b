"""Data drawn for workloads made for a GPU: of the shape of real data, with something planted in it that can be learned.

Everything is drawn from fixed seeds, each array from a stream of its own, so that the first samples are the same
however many are drawn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.datasets._base import Dataset

Array = npt.NDArray[Any]

BRIGHTNESS = 128  # of a pattern, and of the noise over it: together a byte
CELLS = 4  # of a pattern, in each direction

BEGIN, SEPARATOR, FIRST_WORD = 0, 1, 2  # tokens
WORDS_OF_A_TOPIC, SHARE_OF_TOPIC = 20, 0.2

SUCCESSORS = np.array([0, 0, 0, 0, 1, 1, 2, 3])  # of a state, with 1/2, 1/4, 1/8 and 1/8: 1.75 bits


def planted_images(samples: int = 12_800) -> Dataset:
    """Drawn images of 224 × 224 pixels in a hundred classes: a pattern of 4 × 4 colours each, under as much noise.

    Returns bytes of shape (samples, 224, 224, 3), as photographs have them, and labels 0 to 99 as int32; 512 images to
    test.
    """
    return _images(samples, 512, size=224, classes=100)


def planted_images_small(samples: int = 1_280) -> Dataset:
    """The same as `planted_images` in 32 × 32 pixels and ten classes."""
    return _images(samples, 128, size=32, classes=10)


def planted_topics(samples: int = 3_200) -> Dataset:
    """Drawn texts of 512 tokens out of BERT's 30,522, on one of ten topics: a fifth of the words are its own.

    Two sentences of one length: a token 0 that begins, words, a 1 that separates, words, a 1. Returns tokens as int32
    of shape (samples, 512) and topics 0 to 9 as int32; 512 texts to test.
    """
    return _texts(samples, 512, length=512, vocabulary=30_522, topics=10)


def planted_topics_small(samples: int = 1_280) -> Dataset:
    """The same as `planted_topics` with 64 tokens out of 1,000 and four topics."""
    return _texts(samples, 128, length=64, vocabulary=1_000, topics=4)


def planted_chain(samples: int = 1_600) -> Dataset:
    """A drawn Markov chain of 1,000 of GPT-2's 50,257 tokens, 1,024 at a time: 1.75 bits per token and no fewer.

    Each state has four successors, with probabilities 1/2, 1/4, 1/8 and 1/8, and all states are as frequent. Returns
    tokens and the ones that follow them, as int32 of shape (samples, 1,024); 64 sequences to test.
    """
    return _chain(samples, 64, length=1_024, vocabulary=50_257, states=1_000)


def planted_chain_small(samples: int = 640) -> Dataset:
    """The same as `planted_chain` with 32 of 100 tokens, 64 at a time."""
    return _chain(samples, 64, length=64, vocabulary=100, states=32)


def _stream(*number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def _images(samples: int, test_samples: int, size: int, classes: int) -> Dataset:
    colours = _stream(0).integers(0, BRIGHTNESS, (classes, CELLS, CELLS, 3), np.uint8)
    patterns = colours.repeat(size // CELLS, axis=1).repeat(size // CELLS, axis=2)

    def part(number: int, count: int) -> tuple[Array, Array]:
        labels = _stream(number, 0).integers(0, classes, count, np.int32)
        images = _stream(number, 1).integers(0, BRIGHTNESS, (count, size, size, 3), np.uint8)
        for image, label in zip(images, labels, strict=True):  # at once it would take the memory twice
            image += patterns[label]
        return images, labels

    return Dataset(*part(1, samples), *part(2, test_samples))


def _texts(samples: int, test_samples: int, length: int, vocabulary: int, topics: int) -> Dataset:
    def part(number: int, count: int) -> tuple[Array, Array]:
        labels = _stream(number, 0).integers(0, topics, count, np.int32)
        texts = _stream(number, 1).integers(FIRST_WORD, vocabulary, (count, length), np.int32)
        own = _stream(number, 2).integers(0, WORDS_OF_A_TOPIC, (count, length), np.int32)
        own += FIRST_WORD + WORDS_OF_A_TOPIC * labels[:, None]
        texts = np.where(_stream(number, 3).random((count, length)) < SHARE_OF_TOPIC, own, texts)
        texts[:, 0] = BEGIN
        texts[:, [length // 2 - 1, -1]] = SEPARATOR
        return texts, labels

    return Dataset(*part(1, samples), *part(2, test_samples))


def _chain(samples: int, test_samples: int, length: int, vocabulary: int, states: int) -> Dataset:
    tokens = _stream(0).choice(vocabulary, states, replace=False).astype(np.int32)
    # Each of the four is a permutation, and no two agree anywhere: so every state has four successors and as many
    # predecessors, and all are as frequent.
    order = _stream(1).permutation(states)
    successors = np.stack([np.roll(order, shift) for shift in range(4)], axis=1)

    def part(number: int, count: int) -> tuple[Array, Array]:
        path = np.empty((count, length + 1), np.int32)
        path[:, 0] = _stream(number, 0).integers(0, states, count)
        chosen = SUCCESSORS[_stream(number, 1).integers(0, len(SUCCESSORS), (count, length))]
        for place in range(length):
            path[:, place + 1] = successors[path[:, place], chosen[:, place]]
        return tokens[path[:, :-1]], tokens[path[:, 1:]]

    return Dataset(*part(2, samples), *part(3, test_samples))
