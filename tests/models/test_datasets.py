"""The data sets: embedded files and what is made of them."""

import csv
import hashlib
import shutil

import numpy as np
import pytest

from models.datasets import FASHION_MNIST_MD5, FOLDER, DatasetError, fashion_mnist
from models.datasets.fashion import FASHION_MNIST_DEVIATION, FASHION_MNIST_MEAN, fashion_mnist_images
from models.datasets.planted import planted_chain, planted_images, planted_images_small, planted_topics
from models.datasets.tables import PENGUINS_MD5, penguins, planted_rule
from models.datasets.tokens import fashion_mnist_tokens

LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def folder(tmp_path):
    """A copy of a data set's folder."""
    return lambda name: shutil.copytree(FOLDER / name, tmp_path / name)


def test_fashion_mnist_is_complete_normalised_and_labelled():
    data = fashion_mnist()

    assert (data.x_train.shape, data.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int32)
    assert abs(float(data.x_train.mean(dtype=np.float64))) < 1e-5
    assert float(data.x_train.std(dtype=np.float64)) == pytest.approx(1, abs=1e-5)
    assert np.bincount(data.y_train).tolist() == [6_000] * 10
    assert np.bincount(data.y_test).tolist() == [1_000] * 10


def test_images_that_are_their_own_labels_are_in_memory_once():
    data = fashion_mnist_images()

    assert data.y_train is data.x_train
    assert data.y_test is data.x_test
    assert (data.x_train.shape, data.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))


@pytest.mark.parametrize(
    ("read", "place", "md5"),
    [
        (fashion_mnist, f"fashion_mnist/{LABELS}", FASHION_MNIST_MD5[LABELS]),
        (penguins, "penguins/penguins.csv", PENGUINS_MD5),
    ],
)
def test_a_damaged_file_is_refused_with_its_name_and_both_checksums(folder, read, place, md5):
    name, _, file = place.partition("/")
    path = folder(name) / file
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(DatasetError) as caught:
        read(path.parent)

    for word in (file, md5, hashlib.md5(damaged, usedforsecurity=False).hexdigest()):
        assert word in str(caught.value)


def test_a_missing_file_is_refused_with_its_name(folder):
    copy = folder("fashion_mnist")
    (copy / "train-labels-idx1-ubyte.gz").unlink()

    with pytest.raises(DatasetError, match=r"train-labels-idx1-ubyte\.gz: cannot be read"):
        fashion_mnist(copy)


def complete_penguins():
    with (FOLDER / "penguins" / "penguins.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if "NA" not in row.values()]


def unscaled(column, known):
    """A column that was shifted and scaled, with the smallest and the largest of its known values."""
    return (column - column.min()) / np.ptp(column) * np.ptp(known) + known.min()


def test_penguins_are_divided_into_training_and_test_rows_with_one_mass_each():
    data = penguins()

    assert (data.x_train.shape, data.y_train.shape) == ((266, 12), (266, 1))
    assert (data.x_test.shape, data.y_test.shape) == ((67, 12), (67, 1))
    assert {array.dtype for array in data[:4]} == {np.dtype("float32")}


def test_what_was_measured_of_penguins_is_normalised_by_the_training_rows():
    data = penguins()

    for column in (*data.x_train.T[:4], data.y_train[:, 0]):
        assert float(column.mean(dtype=np.float64)) == pytest.approx(0, abs=1e-6)
        assert float(column.std(dtype=np.float64)) == pytest.approx(1, abs=1e-6)
    assert abs(float(data.y_test.mean())) > 0.01


def test_each_penguin_is_of_one_species_from_one_island_and_of_one_sex():
    x = np.concatenate([penguins().x_train, penguins().x_test])

    assert x[:, 4:].sum(axis=0).tolist() == [146, 68, 119, 163, 123, 47, 165, 168]
    for category in (x[:, 4:7], x[:, 7:10], x[:, 10:]):
        assert (np.sort(category, axis=1)[:, -2:] == [0, 1]).all()


def test_every_complete_penguin_is_there_once_and_keeps_its_mass():
    rows, data = complete_penguins(), penguins()
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    known = [np.array([float(row[name]) for row in rows]) for name in ("flipper_length_mm", "body_mass_g")]
    found = [unscaled(*pair).round().tolist() for pair in zip((x[:, 2], y[:, 0]), known, strict=True)]

    assert sorted(zip(*found, strict=True)) == sorted(zip(*known, strict=True))


def test_the_first_samples_of_a_planted_rule_are_the_same_whatever_their_number():
    few, many = planted_rule(100), planted_rule(1_000)

    assert np.array_equal(few.x_train, many.x_train[:100])
    assert np.array_equal(few.y_train, many.y_train[:100])
    assert np.array_equal(few.x_test, many.x_test)
    assert np.array_equal(few.y_test, many.y_test)


def test_a_planted_rule_is_the_same_everywhere():
    data = planted_rule(10)

    assert (data.x_train[0, :4] * 64).tolist() == [-60, -80, -111, -4]
    assert data.y_train.argmax(axis=1).tolist() == [9, 1, 5, 2, 3, 5, 2, 1, 6, 1]


def test_a_planted_rule_has_100_features_and_ten_classes():
    data = planted_rule(50)

    assert [array.shape for array in data[:4]] == [(50, 100), (50, 10), (10_000, 100), (10_000, 10)]
    assert {array.dtype for array in data[:4]} == {np.dtype("float32")}
    assert (data.x_test.min(), data.x_test.max()) == (-2, 2 - 1 / 64)
    assert (np.sort(data.y_test, axis=1)[:, -2:] == [0, 1]).all()
    assert np.bincount(data.y_test.argmax(axis=1)).max() < 1_400


@pytest.mark.parametrize("draw", [planted_images_small, planted_topics, planted_chain])
def test_the_first_samples_of_what_is_planted_are_the_same_whatever_their_number(draw):
    few, many = draw(10), draw(30)

    assert [len(few.x_train), len(few.y_train), len(many.x_train)] == [10, 10, 30]
    assert all(np.array_equal(a, b[:10]) for a, b in zip(few[:2], many[:2], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(few[2:4], many[2:4], strict=True))
    assert not np.array_equal(many.x_train[:10], many.x_test[:10])


def test_an_image_with_a_planted_pattern_is_nearest_to_the_mean_of_its_class():
    data = planted_images_small()
    means = np.stack([data.x_train[data.y_train == label].mean(axis=0) for label in range(10)])
    distances = ((data.x_test[:, None].astype(np.float32) - means) ** 2).sum(axis=(2, 3, 4))

    assert (data.x_test.dtype, data.x_test.shape) == (np.uint8, (128, 32, 32, 3))
    assert np.array_equal(distances.argmin(axis=1), data.y_test)


def test_images_of_full_size_have_a_hundred_classes():
    data = planted_images(2)

    assert (data.x_train.shape, data.x_train.dtype) == ((2, 224, 224, 3), np.uint8)
    assert (data.y_test.min(), data.y_test.max()) == (0, 99)


def test_a_fifth_of_the_words_of_a_planted_topic_are_its_own():
    data = planted_topics(400)
    words = np.delete(data.x_train, [0, 255, 511], axis=1)
    own = (words - 2) // 20 == data.y_train[:, None]

    assert data.x_train[:, [0, 255, 511]].tolist() == [[0, 1, 1]] * 400
    assert (words.min(), words.max()) == (2, 30_521)
    assert own.mean() == pytest.approx(0.2, abs=0.01)
    assert set(data.y_test) == set(range(10))


def test_a_planted_chain_needs_175_hundredths_of_a_bit():
    data = planted_chain()
    pairs, counts = np.unique(
        np.stack([data.x_train, data.y_train], axis=-1).reshape(-1, 2), axis=0, return_counts=True
    )
    chances = np.sort(counts.reshape(1_000, 4) / counts.reshape(1_000, 4).sum(axis=1, keepdims=True), axis=1)
    bits = -(chances * np.log2(chances)).sum(axis=1).mean()

    assert data.x_train.shape == (1_600, 1_024)
    assert np.array_equal(data.x_train[:, 1:], data.y_train[:, :-1])
    assert (pairs.max() < 50_257, len(np.unique(pairs))) == (True, 1_000)
    assert chances.mean(axis=0).tolist() == pytest.approx([0.125, 0.125, 0.25, 0.5], abs=0.01)
    assert bits == pytest.approx(1.75, abs=0.005)


def test_tokens_are_the_images_in_fewer_pixels_and_levels():
    data, images = fashion_mnist_tokens(), fashion_mnist()
    pixels = np.rint(images.x_test[7] * FASHION_MNIST_DEVIATION + FASHION_MNIST_MEAN).reshape(14, 2, 14, 2)

    assert [array.shape for array in data[:4]] == [(6_400, 196), (6_400, 196), (500, 196), (500, 196)]
    assert np.array_equal(data.y_test[7], pixels.mean(axis=(1, 3)).ravel() // 16)
    assert (data.y_train.min(), data.y_train.max()) == (0, 15)
    assert (data.x_train[:, 0] == 16).all()
    assert np.array_equal(data.x_train[:, 1:], data.y_train[:, :-1])


def test_no_training_sample_of_a_planted_rule_is_a_test_sample():
    data = planted_rule()

    assert not {row.tobytes() for row in data.x_train} & {row.tobytes() for row in data.x_test}


def test_a_linear_rule_finds_half_of_a_planted_ones_classes():
    data = planted_rule()
    x, x_test = (np.hstack([part, np.ones((len(part), 1), np.float32)]) for part in (data.x_train, data.x_test))
    weights = np.linalg.lstsq(x, data.y_train, rcond=None)[0]
    right = (x_test @ weights).argmax(axis=1) == data.y_test.argmax(axis=1)

    assert 0.5 < right.mean() < 0.6
