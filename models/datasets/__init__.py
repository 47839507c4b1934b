"""The data sets: names to functions that return NumPy arrays. Nothing is downloaded; the files lie beside this one.

A function with a parameter `samples` draws its training set, as many samples as it is asked for; the first of them are
the same whatever their number.
"""

from collections.abc import Callable

from models.datasets._base import FOLDER, Dataset, DatasetError, Part, arrays_of, count, mapped, taken
from models.datasets.fashion import FASHION_MNIST_MD5, fashion_mnist, fashion_mnist_images
from models.datasets.planted import (
    planted_chain,
    planted_chain_small,
    planted_images,
    planted_images_small,
    planted_topics,
    planted_topics_small,
)
from models.datasets.tables import penguins, planted_rule
from models.datasets.tokens import fashion_mnist_tokens

__all__ = [
    "DATASETS",
    "FASHION_MNIST_MD5",
    "FOLDER",
    "Dataset",
    "DatasetError",
    "Part",
    "arrays_of",
    "count",
    "fashion_mnist",
    "mapped",
    "taken",
]

DATASETS: dict[str, Callable[[], Dataset]] = {
    "fashion_mnist": fashion_mnist,
    "fashion_mnist_images": fashion_mnist_images,
    "fashion_mnist_tokens": fashion_mnist_tokens,
    "penguins": penguins,
    "planted_chain": planted_chain,
    "planted_chain_small": planted_chain_small,
    "planted_images": planted_images,
    "planted_images_small": planted_images_small,
    "planted_rule": planted_rule,
    "planted_topics": planted_topics,
    "planted_topics_small": planted_topics_small,
}
