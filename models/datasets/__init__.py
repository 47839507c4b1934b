"""The data sets: names to functions that return NumPy arrays. Nothing is downloaded; the files lie beside this one.

A function with a parameter `samples` draws its training set, as many samples as it is asked for; the first of them are
the same whatever their number.
"""

from collections.abc import Callable

from models.datasets._base import FOLDER, Dataset, DatasetError
from models.datasets.fashion import FASHION_MNIST_MD5, fashion_mnist, fashion_mnist_images
from models.datasets.tables import penguins, planted_rule

__all__ = ["DATASETS", "FASHION_MNIST_MD5", "FOLDER", "Dataset", "DatasetError", "fashion_mnist"]

DATASETS: dict[str, Callable[[], Dataset]] = {
    "fashion_mnist": fashion_mnist,
    "fashion_mnist_images": fashion_mnist_images,
    "penguins": penguins,
    "planted_rule": planted_rule,
}
