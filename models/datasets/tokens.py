"""Fashion-MNIST as sequences: each image a row of tokens, its pixels in few levels."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.datasets._base import Dataset
from models.datasets.fashion import DATA, unpacked

Array = npt.NDArray[Any]

LEVELS = 16
TRAINED, TESTED = 6_400, 500  # images: 1.3 million and 98,000 pixels, since each costs a small net's whole pass


def fashion_mnist_tokens(folder: Path = DATA) -> Dataset:
    """Fashion-MNIST in 14 × 14 pixels of 16 levels, each predicted from those before it, row by row.

    Four pixels become one by their mean, of which the leading four bits are kept. Returns int32 of shape (samples,
    196): `y` are the levels 0 to 15, `x` the same one place later, after a 16 that begins; the first 6,400 images to
    train and the first 500 to test. Raises DatasetError as `fashion_mnist` does.
    """
    y_train = _levels(unpacked(folder, "train-images-idx3-ubyte.gz", 16)[: TRAINED * 28 * 28])
    y_test = _levels(unpacked(folder, "t10k-images-idx3-ubyte.gz", 16)[: TESTED * 28 * 28])
    return Dataset(_shifted(y_train), y_train, _shifted(y_test), y_test)


def _levels(pixels: Array) -> Array:
    squares = pixels.reshape(-1, 14, 2, 14, 2)
    levels: Array = squares.sum(axis=(2, 4), dtype=np.uint16) // (4 * 256 // LEVELS)
    return levels.reshape(-1, 14 * 14).astype(np.int32)


def _shifted(levels: Array) -> Array:
    return np.concatenate([np.full_like(levels[:, :1], LEVELS), levels[:, :-1]], axis=1)
