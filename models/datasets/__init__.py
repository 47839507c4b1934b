"""The data sets: names to functions that return NumPy arrays. Nothing is downloaded; the files lie beside this one.

A function with a parameter `samples` draws its training set, as many samples as it is asked for; the first of them are
the same whatever their number.
"""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).parent

# The MD5 checksums in the authors' README, https://github.com/zalandoresearch/fashion-mnist#get-the-data
FASHION_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

# Of the 60,000 training images' bytes.
FASHION_MNIST_MEAN = np.float32(72.9404)
FASHION_MNIST_DEVIATION = np.float32(90.0212)


class DatasetError(Exception):
    """A data file is missing or damaged; the message names it."""


class Dataset(NamedTuple):
    """Training and test arrays; the first axis counts samples, `x` and `y` of one part have the same length.

    `note` is what has to be said where the data set is used.
    """

    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
    note: str = ""


def fashion_mnist(folder: Path = FOLDER / "fashion_mnist") -> Dataset:
    """Zalando's clothes in ten classes: 60,000 training and 10,000 test images (Xiao et al., arXiv:1708.07747).

    Returns images as float32 of shape (samples, 28, 28), scaled to mean 0 and standard deviation 1 over the training
    set, and labels 0 to 9 as int32 of shape (samples,).
    Raises DatasetError when a file is missing or its checksum is not the one the authors published.
    """

    def images(name: str) -> npt.NDArray[np.float32]:
        pixels = np.frombuffer(_read(folder / name, FASHION_MNIST_MD5[name]), np.uint8, offset=16)
        scaled = pixels.reshape(-1, 28, 28).astype(np.float32)
        scaled -= FASHION_MNIST_MEAN  # in place: each copy would take 188 MB
        scaled /= FASHION_MNIST_DEVIATION
        return scaled

    def labels(name: str) -> npt.NDArray[np.int32]:
        return np.frombuffer(_read(folder / name, FASHION_MNIST_MD5[name]), np.uint8, offset=8).astype(np.int32)

    return Dataset(
        images("train-images-idx3-ubyte.gz"),
        labels("train-labels-idx1-ubyte.gz"),
        images("t10k-images-idx3-ubyte.gz"),
        labels("t10k-labels-idx1-ubyte.gz"),
    )


def _read(path: Path, md5: str) -> bytes:
    """The decompressed content of a file whose compressed bytes have this checksum."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror}); restore it from version control") from None
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DatasetError(
            f"{path.name}: damaged, its MD5 is {found} and should be {md5}; restore it from version control"
        )
    return gzip.decompress(packed)


DATASETS: dict[str, Callable[[], Dataset]] = {
    "fashion_mnist": fashion_mnist,
}
