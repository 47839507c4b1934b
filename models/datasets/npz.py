"""A data set of the user's own: an `.npz` file with x_train, y_train, x_test and y_test.

Where a model has several inputs or outputs, each is an array of its own: `x_train/user` and `x_train/film`, or
`x_train/0` and `x_train/1` where they have no names. `sample_weight_train` says how much each training sample counts.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.datasets import Dataset, DatasetError, Part, arrays_of, count, taken

Array = npt.NDArray[Any]

TRAIN, TEST = ["x_train", "y_train"], ["x_test", "y_test"]
PARTS = (*TRAIN, *TEST)
WEIGHT, NOTE = "sample_weight_train", "note"
HELD_OUT = 10  # without a test part the last of so many parts is it: Keras's validation_split takes the last too
KINDS = "biuf"  # of dtypes that are numbers: booleans, integers, floating-point numbers


def named(parts: Mapping[str, Part]) -> dict[str, Array]:
    """The arrays of parts, such as x_train, under the names that a file has them by; `load` reads them back."""
    found: dict[str, Array] = {}
    for part, given in parts.items():
        if isinstance(given, dict):
            found |= {f"{part}/{name}": np.asarray(array) for name, array in given.items()}
        elif isinstance(given, tuple):
            found |= {f"{part}/{index}": np.asarray(array) for index, array in enumerate(given)}
        else:
            found[part] = np.asarray(given)
    return found


def save(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def load(path: str) -> Dataset:
    """The arrays of the file: floating-point numbers as float32, whole ones as int32, samples of uint8 as they are.

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
    parts, weight, others, note = _parts(path, name)
    notes = [note] if note else []
    notes += [f"{name} also holds {', '.join(others)}, which nothing uses{_instead(others)}"] if others else []
    x, y = parts["x_train"], parts["y_train"]
    _check_pair(name, "train", x, y)
    if weight is not None and weight.shape not in ((count(x),), (count(x), 1)):
        raise DatasetError(
            f"{name}: {WEIGHT} has shape {weight.shape}; it takes a number for each of {count(x):,} samples"
        )
    weight = None if weight is None else weight.reshape(-1).astype(np.float32)
    if "x_test" not in parts:
        held = count(x) // HELD_OUT or 1
        if count(x) == held:
            raise DatasetError(f"{name}: a single sample, and no x_test and y_test")
        split = f"{name} has no x_test and y_test: its last tenth, {held:,} samples, is the test set and not trained on"
        (x, x_test), (y, y_test) = ((taken(one, slice(-held)), taken(one, slice(-held, None))) for one in (x, y))
        return Dataset(x, y, x_test, y_test, "; ".join([split, *notes]), None if weight is None else weight[:-held])
    _check_pair(name, "test", parts["x_test"], parts["y_test"])
    for part, train, test in (("x", x, parts["x_test"]), ("y", y, parts["y_test"])):
        _check_alike(name, part, train, test)
    return Dataset(x, y, parts["x_test"], parts["y_test"], "; ".join(notes), weight)


def _instead(others: Sequence[str]) -> str:
    """What does the work of arrays that are not used, where something does."""
    if any("val" in one for one in others):
        return "; validation_split of a workload file (python -m bench new) holds out training samples"
    if any(one.startswith("sample_weight") for one in others):
        return f"; {WEIGHT} is one number for each sample, for all outputs together"
    return ""


def _parts(path: str, name: str) -> tuple[dict[str, Part], Array | None, list[str], str]:
    """The parts of a data set, each array checked by itself, the weights, what else the file holds, and its note."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = {part: _names(part, archive.files) for part in PARTS}
            missing = [part for part in names if not names[part]]
            if missing and missing != TEST:
                there = ", ".join(archive.files) or "nothing"
                itself = "; of an autoencoder, y_train is x_train once more" if "y_train" in missing else ""
                raise DatasetError(
                    f"{name}: lacks {', '.join(missing)} (it has {there}); x_train and y_train are needed, x_test and "
                    f"y_test both or neither{itself}"
                )
            arrays = {one: _checked(name, one, archive[one]) for found in names.values() for one in found}
            weight = _checked(name, WEIGHT, archive[WEIGHT]) if WEIGHT in archive.files else None
            others = [one for one in archive.files if one not in arrays and one not in (WEIGHT, NOTE)]
            found = {part: _structure({one: arrays[one] for one in names[part]}) for part in names if names[part]}
            return found, weight, others, str(archive[NOTE]) if NOTE in archive.files else ""
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
    if array.dtype == np.uint8 and part.startswith("x"):
        return array  # images, which would take four times the memory
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


def _names(part: str, there: Sequence[str]) -> list[str]:
    """The arrays of a part, such as x_train: itself, or what its name and a slash begin."""
    return [part] if part in there else [one for one in there if one.startswith(f"{part}/")]


def _structure(arrays: Mapping[str, Array]) -> Part:
    """A single array by itself, those that are numbered as a tuple, others as a dictionary."""
    short = {one.partition("/")[2]: array for one, array in arrays.items()}
    if "" in short:
        return short[""]
    if all(one.isdecimal() for one in short):
        return tuple(short[one] for one in sorted(short, key=int))
    return short


def _check_pair(name: str, part: str, x: Part, y: Part) -> None:
    for one in (*arrays_of(x), *arrays_of(y)):
        if len(one) != count(x):
            raise DatasetError(
                f"{name}: x_{part} has {count(x):,} samples and y_{part} {count(y):,}; each needs a label"
                if one is arrays_of(y)[0]
                else f"{name}: an array of x_{part} or y_{part} has {len(one):,} samples, another {count(x):,}"
            )


def _check_alike(name: str, part: str, train: Part, test: Part) -> None:
    """Refuse training and test samples of different shapes."""
    if (list(train) if isinstance(train, dict) else type(train)) != (
        list(test) if isinstance(test, dict) else type(test)
    ):
        raise DatasetError(f"{name}: {part}_train and {part}_test have arrays of other names; they have to be alike")
    for one, other in zip(arrays_of(train), arrays_of(test), strict=False):
        if one.shape[1:] != other.shape[1:]:
            shapes = f"a sample of {part}_train has shape {one.shape[1:]}, one of {part}_test {other.shape[1:]}"
            raise DatasetError(f"{name}: {shapes}; they have to be alike")
