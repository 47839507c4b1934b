"""What every data set shares: its form, its error, and how a file is read whose checksum is known."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

FOLDER = Path(__file__).parent


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
