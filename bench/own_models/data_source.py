"""Where the data of a user's own model are: an `.npz` file, or something that is read into one before a run.

`PATH` or `PATH:WHAT`: `prices.csv:price` has its labels in the column price, `photos/:64` are images to be scaled to 64
by 64, `data.py:load` is a function. Standard library only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contract.catalog import dataset_names
from bench.contract.errors import OwnModelError

NPZ, TABLE, IMAGES, SAVED, FUNCTION = "npz", "table", "images", "saved", "function"
TABLES = (".csv", ".parquet")
SAVED_BY = ("dataset_dict.json", "state.json")  # what Hugging Face `datasets` leaves in a folder that it saves
CHUNK = 2**20


@dataclass(frozen=True)
class DataSource:
    """A file or folder by its absolute path, what it is, and what is asked of it after the colon."""

    path: str
    kind: str
    what: str = ""

    @property
    def text(self) -> str:
        """As it is written in --dataset."""
        return f"{self.path}:{self.what}" if self.what else self.path

    @property
    def name(self) -> str:
        """For people."""
        return Path(self.path).name


def data_source(text: str) -> DataSource:
    """What --dataset names with a file or folder; OwnModelError where there is none, or none that can be read."""
    path, what = Path(text), ""
    if not path.exists() and ":" in text:
        given, _, what = text.rpartition(":")
        path = Path(given)
    if not path.exists():
        raise OwnModelError(f"there is no data file {text}; check the path")
    source = DataSource(str(path.resolve()), _kind(path, text), what)
    if source.kind == FUNCTION and not what.isidentifier():
        raise OwnModelError(f"{text}: say which function gives the data: {path}:NAME")
    if source.kind == IMAGES and what and not (what.isdecimal() and int(what)):
        raise OwnModelError(f"{text}: expected the images' size in pixels after the colon, such as {path}:64")
    if source.kind == NPZ and what:
        raise OwnModelError(f"{text}: an .npz file has its arrays by name; leave :{what} out")
    return source


def digest_of(source: DataSource) -> str:
    """The SHA-256 of what a source holds, a folder's file by file, and of what is asked of it."""
    total = hashlib.sha256(f"{source.kind}:{source.what}".encode())
    root = Path(source.path)
    try:
        for path in [root] if root.is_file() else sorted(found for found in root.rglob("*") if found.is_file()):
            total.update(str(path.relative_to(root)).encode())
            for chunk in _chunks(path):
                total.update(chunk)
    except OSError as error:
        raise OwnModelError(f"{source.path}: cannot be read ({error.strerror})") from None
    return total.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _kind(path: Path, text: str) -> str:
    if path.is_dir():
        if any((path / name).exists() for name in SAVED_BY):
            return SAVED
        if any(one.is_dir() for one in path.iterdir()):
            return IMAGES
    elif path.suffix == ".npz":
        return NPZ
    elif path.suffix in TABLES:
        return TABLE
    elif path.suffix == ".py":
        return FUNCTION
    raise OwnModelError(
        f"{text}: expected a data set's name ({', '.join(dataset_names())}); an .npz file with x_train, y_train, "
        "x_test, y_test; a .csv or .parquet file; a folder with one sub-folder of images for each class, or one that "
        "Hugging Face datasets saved; or FILE.py:FUNCTION"
    )
