"""What every data set shares: its form, its error, and how a file is read whose checksum is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]
Part = Any  # an array, or a dictionary or a tuple of arrays with as many samples each: several inputs or outputs

FOLDER = Path(__file__).parent


class DatasetError(Exception):
    """A data file is missing or damaged; the message names it."""


class Dataset(NamedTuple):
    """Training and test arrays; the first axis counts samples, `x` and `y` of one part have the same length.

    Where a model has several inputs or outputs, `x` or `y` is a dictionary or a tuple of arrays. `note` is what has to
    be said where the data set is used. `sample_weight`, of shape (training samples,), says how much each counts.
    """

    x_train: Part
    y_train: Part
    x_test: Part
    y_test: Part
    note: str = ""
    sample_weight: Array | None = None


def mapped(function: Callable[[Any], Any], part: Part) -> Part:
    """The same structure with a function's value for each of its arrays."""
    if isinstance(part, dict):
        return {name: function(array) for name, array in part.items()}
    return tuple(map(function, part)) if isinstance(part, tuple) else function(part)


def taken(part: Part, chosen: Any) -> Part:
    """What is chosen of each array: by a slice, a number or an order of samples."""
    return mapped(lambda array: array[chosen], part)


def arrays_of(part: Part) -> list[Any]:
    """The arrays of a structure, in its order."""
    return list(part.values()) if isinstance(part, dict) else list(part) if isinstance(part, tuple) else [part]


def count(part: Part) -> int:
    """How many samples a structure of arrays has."""
    return len(arrays_of(part)[0])


def read(path: Path, md5: str) -> bytes:
    """The content of a file, whose checksum has to be this one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror}); restore it from version control") from None
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DatasetError(
            f"{path.name}: damaged, its MD5 is {found} and should be {md5}; restore it from version control"
        )
    return content
