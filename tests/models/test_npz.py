"""Data of the user's own, and each way in which it can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from models.datasets import DatasetError, npz

X, Y = np.arange(80.0).reshape(40, 2), np.arange(40) % 3
GOOD = {"x_train": X, "y_train": Y, "x_test": X[:8], "y_test": Y[:8]}


@pytest.fixture
def save(tmp_path):
    def to_file(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return str(tmp_path / "data.npz")

    return to_file


def test_the_arrays_come_as_what_every_backend_computes_with(save):
    found = npz.load(save(**GOOD))

    assert np.array_equal(found.x_train, X)
    assert [array.dtype for array in found[:4]] == [np.float32, np.int32, np.float32, np.int32]
    assert found.note == ""


@pytest.mark.parametrize(
    ("kind", "becomes"), [(np.uint8, np.uint8), (np.int8, np.int32), (bool, np.int32), (np.float16, np.float32)]
)
def test_numbers_of_any_size_are_taken(save, kind, becomes):
    assert npz.load(save(**{**GOOD, "x_train": X.astype(kind)})).x_train.dtype == becomes


def test_a_compressed_file_is_read_too(tmp_path):
    np.savez_compressed(tmp_path / "data.npz", **GOOD)

    assert len(npz.load(str(tmp_path / "data.npz")).x_test) == 8


def test_arrays_that_nothing_uses_are_named(save):
    found = npz.load(save(**GOOD, names=Y))

    assert found.note == "data.npz also holds names, which nothing uses"


@pytest.mark.parametrize(
    ("other", "instead"),
    [("x_val", "validation_split of a workload file"), ("sample_weight_train/a", "for all outputs")],
)
def test_of_an_array_that_nothing_uses_what_does_its_work_is_said(save, other, instead):
    assert instead in npz.load(save(**GOOD, **{other: Y})).note


def test_weights_of_samples_are_read_as_one_number_each(save):
    weights = npz.load(save(**GOOD, sample_weight_train=Y[:, None])).sample_weight

    assert (weights.shape, weights.dtype) == ((40,), np.float32)


def test_without_a_test_part_it_is_the_last_tenth_which_is_said(save):
    found = npz.load(save(x_train=X, y_train=Y))

    assert np.array_equal(found.x_train, X[:36])
    assert np.array_equal(found.x_test, X[36:])
    assert np.array_equal(found.y_test, Y[36:])
    assert "its last tenth, 4 samples, is the test set" in found.note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": None}, "lacks x_train (it has y_train, x_test, y_test)"),
        ({"y_test": None}, "lacks y_test"),
        ({"y_train": None, "y_test": None}, "of an autoencoder, y_train is x_train once more"),
        ({"x_train": None, "X_train": X}, "it has y_train, x_test, y_test, X_train"),
        ({"y_train": Y[:-1]}, "x_train has 40 samples and y_train 39"),
        ({"y_test": Y}, "x_test has 8 samples and y_test 40"),
        ({"x_test": X[:8, :1]}, "a sample of x_train has shape (2,), one of x_test (1,)"),
        ({"y_test": np.eye(8)}, "a sample of y_train has shape (), one of y_test (8,)"),
        ({"x_train": np.where(X == 3, np.nan, X)}, "1 of 80 values of x_train are NaN or infinite"),
        ({"x_train": X * 1e300}, "79 of 80 values of x_train are NaN or infinite in float32"),
        ({"y_train": Y.astype(str)}, "y_train holds <U"),
        ({"x_train": X * 1j}, "x_train holds complex128"),
        ({"y_train": Y + 2**40}, "beyond int32"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "x_train is empty (shape (0, 2))"),
        ({"x_test": np.float32(3)}, "x_test is empty (shape ())"),
        ({"x_train": np.array([{"a": 1}, None])}, "Python objects, which are not loaded since unpickling runs code"),
    ],
)
def test_each_way_to_be_wrong_is_refused_in_one_line_that_names_the_file(save, changes, words):
    arrays = {name: array for name, array in {**GOOD, **changes}.items() if array is not None}

    with pytest.raises(DatasetError) as caught:
        npz.load(save(**arrays))
    assert words in str(caught.value)
    assert str(caught.value).startswith("data.npz: ")
    assert "\n" not in str(caught.value)


def test_a_single_sample_has_no_last_tenth(save):
    with pytest.raises(DatasetError, match="a single sample"):
        npz.load(save(x_train=X[:1], y_train=Y[:1]))


@pytest.mark.parametrize("content", [b"", b"not a zip archive", b"PK\3\4 and no more"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)

    with pytest.raises(DatasetError, match=r"not an \.npz archive, or damaged"):
        npz.load(str(tmp_path / "data.npz"))


def test_an_archive_with_damage_inside_is_refused(save):
    path = save(**GOOD)
    with Path(path).open("r+b") as file:
        file.seek(400)
        file.write(b"damage")

    with pytest.raises(DatasetError, match="cannot be read: "):
        npz.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="there is no such file"):
        npz.load(str(tmp_path / "data.npz"))


def test_code_in_a_pickle_is_not_run(save, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (tmp_path / "run").touch, ()

    with pytest.raises(DatasetError):
        npz.load(save(**{**GOOD, "y_train": np.array([Hostile()] * 40)}))
    assert not (tmp_path / "run").exists()
    np.load(tmp_path / "data.npz", allow_pickle=True)["y_train"]
    assert (tmp_path / "run").exists()  # so that the test would notice
