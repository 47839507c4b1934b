"""The embedded data."""

import hashlib
import shutil

import numpy as np
import pytest

from models.datasets import FASHION_MNIST_MD5, FOLDER, DatasetError, fashion_mnist


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER / "fashion_mnist", tmp_path / "fashion_mnist")


def test_fashion_mnist_is_complete_normalised_and_labelled():
    data = fashion_mnist()

    assert (data.x_train.shape, data.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int32)
    assert abs(float(data.x_train.mean(dtype=np.float64))) < 1e-5
    assert float(data.x_train.std(dtype=np.float64)) == pytest.approx(1, abs=1e-5)
    assert np.bincount(data.y_train).tolist() == [6_000] * 10
    assert np.bincount(data.y_test).tolist() == [1_000] * 10


def test_a_damaged_file_is_refused_with_its_name_and_both_checksums(folder):
    name = "t10k-labels-idx1-ubyte.gz"
    damaged = bytearray((folder / name).read_bytes())
    damaged[-1] ^= 1
    (folder / name).write_bytes(damaged)

    with pytest.raises(DatasetError) as caught:
        fashion_mnist(folder)

    for word in (name, FASHION_MNIST_MD5[name], hashlib.md5(damaged, usedforsecurity=False).hexdigest()):
        assert word in str(caught.value)


def test_a_missing_file_is_refused_with_its_name(folder):
    (folder / "train-labels-idx1-ubyte.gz").unlink()

    with pytest.raises(DatasetError, match=r"train-labels-idx1-ubyte\.gz: cannot be read"):
        fashion_mnist(folder)
