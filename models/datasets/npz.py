"""A data set of the user's own: an `.npz` file with x_train, y_train, x_test and y_test."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.datasets import Dataset, DatasetError

Array = npt.NDArray[Any]

TRAIN, TEST = ["x_train", "y_train"], ["x_test", "y_test"]
HELD_OUT = 10  # without a test part the last of so many parts is it: Keras's validation_split takes the last too
KINDS = "biuf"  # of dtypes that are numbers: booleans, integers, floating-point numbers


def load(path: str) -> Dataset:
    """The arrays of the file, floating-point numbers as float32 and whole ones as int32.

    Without x_test and y_test the last tenth of the samples is the test set, which the data set's note says.
    Nothing is unpickled. Raises DatasetError where the file cannot be read or the arrays do not fit together.
    """
    name = Path(path).name
    if not Path(path).is_file():
        raise DatasetError(f"{path}: there is no such file")
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{name}: not an .npz archive, or damaged; write it with numpy.savez({name!r}, x_train=…, …)"
        )
    arrays, others = _arrays(path, name)
    note = (
        f"{name} also holds {', '.join(others)}, which nothing uses: no sample counts more than another"
        if others
        else ""
    )
    x, y, held = arrays["x_train"], arrays["y_train"], len(arrays["x_train"]) // HELD_OUT or 1
    _check_pair(name, "train", x, y)
    if "x_test" not in arrays:
        if len(x) == held:
            raise DatasetError(f"{name}: a single sample, and no x_test and y_test")
        split = f"{name} has no x_test and y_test: its last tenth, {held:,} samples, is the test set and not trained on"
        return Dataset(x[:-held], y[:-held], x[-held:], y[-held:], "; ".join(filter(None, (split, note))))
    _check_pair(name, "test", arrays["x_test"], arrays["y_test"])
    for part, train, test in (("x", x, arrays["x_test"]), ("y", y, arrays["y_test"])):
        if train.shape[1:] != test.shape[1:]:
            shapes = f"a sample of {part}_train has shape {train.shape[1:]}, one of {part}_test {test.shape[1:]}"
            raise DatasetError(f"{name}: {shapes}; they have to be alike")
    return Dataset(x, y, arrays["x_test"], arrays["y_test"], note)


def _arrays(path: str, name: str) -> tuple[dict[str, Array], list[str]]:
    """The arrays that a data set is made of, each checked by itself, and the names of what else the file holds."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [part for part in (*TRAIN, *TEST) if part not in archive.files]
            if missing and missing != TEST:
                there = ", ".join(archive.files) or "nothing"
                raise DatasetError(
                    f"{name}: lacks {', '.join(missing)} (it has {there}); x_train and y_train are needed, x_test and "
                    "y_test both or neither"
                )
            parts = [part for part in (*TRAIN, *TEST) if part not in missing]
            others = [part for part in archive.files if part not in parts]
            return {part: _checked(name, part, archive[part]) for part in parts}, others
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in text:
            text = "an array holds Python objects, which are not loaded since unpickling runs code; save numbers"
        raise DatasetError(f"{name}: cannot be read: {text}") from None
    except MemoryError:
        raise DatasetError(f"{name}: its arrays do not fit into memory") from None


def _checked(name: str, part: str, array: Array) -> Array:
    """An array of finite numbers, one or more samples of them, in the type that is computed with."""
    if array.dtype.kind not in KINDS:
        raise DatasetError(f"{name}: {part} holds {array.dtype}, expected numbers (integers, floats or booleans)")
    if not array.ndim or not array.size:
        raise DatasetError(f"{name}: {part} is empty (shape {array.shape}); its first axis counts samples")
    if array.dtype.kind != "f":
        low, high = int(array.min()), int(array.max())
        if low < np.iinfo(np.int32).min or high > np.iinfo(np.int32).max:
            raise DatasetError(f"{name}: {part} goes from {low} to {high}, beyond int32, the integers of every backend")
        return array.astype(np.int32, copy=False)
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32, copy=False)
    unusable = converted.size - int(np.isfinite(converted).sum())
    if unusable:
        raise DatasetError(
            f"{name}: {unusable:,} of {converted.size:,} values of {part} are NaN or infinite in float32; remove them"
        )
    return converted


def _check_pair(name: str, part: str, x: Array, y: Array) -> None:
    if len(x) != len(y):
        raise DatasetError(f"{name}: x_{part} has {len(x):,} samples and y_{part} {len(y):,}; each needs a label")
