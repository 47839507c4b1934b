"""Fashion-MNIST: with its labels, and as images of themselves."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.datasets._base import FOLDER, Dataset, read

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

DATA = FOLDER / "fashion_mnist"


def fashion_mnist(folder: Path = DATA) -> Dataset:
    """Zalando's clothes in ten classes: 60,000 training and 10,000 test images (Xiao et al., arXiv:1708.07747).

    Returns images as float32 of shape (samples, 28, 28), scaled to mean 0 and standard deviation 1 over the training
    set, and labels 0 to 9 as int32 of shape (samples,).
    Raises DatasetError when a file is missing or its checksum is not the one the authors published.
    """
    x_train, x_test = (_images(folder, f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
    y_train, y_test = (_labels(folder, f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
    return Dataset(x_train, y_train, x_test, y_test)


def fashion_mnist_images(folder: Path = DATA) -> Dataset:
    """The images of `fashion_mnist`, each its own label: `y` is the same array as `x`, not a copy."""
    data = fashion_mnist(folder)
    return Dataset(data.x_train, data.x_train, data.x_test, data.x_test)


def _images(folder: Path, name: str) -> npt.NDArray[np.float32]:
    scaled = unpacked(folder, name, 16).reshape(-1, 28, 28).astype(np.float32)
    scaled -= FASHION_MNIST_MEAN  # in place: each copy would take 188 MB
    scaled /= FASHION_MNIST_DEVIATION
    return scaled


def _labels(folder: Path, name: str) -> npt.NDArray[np.int32]:
    return unpacked(folder, name, 8).astype(np.int32)


def unpacked(folder: Path, name: str, header: int) -> npt.NDArray[Any]:
    """The bytes of a packed file after its header."""
    return np.frombuffer(gzip.decompress(read(folder / name, FASHION_MNIST_MD5[name])), np.uint8, offset=header)
