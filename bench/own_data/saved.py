"""A folder that Hugging Face `datasets` saved (`save_to_disk`): Arrow files, read without that library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.contract.errors import UsageError
from bench.own_data import images, tables
from bench.own_data.samples import Samples

LABELS = ("label", "labels", "fine_label", "target", "y")
TEST = ("test", "validation")


def read(folder: Path, what: str) -> tuple[Samples, Samples | None, list[str]]:
    """Training samples, test samples where it has them, and what has to be said of them.

    `what` is the column of the labels, by default one that is called so. A column of images becomes uint8, of lists
    (tokens) an array, others are as a table's. UsageError where it cannot be read.
    """
    if not (folder / "dataset_dict.json").exists():
        train, notes = _samples(folder, what)
        return train, None, notes
    splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    name = "train" if "train" in splits else splits[0]
    train, notes = _samples(folder / name, what)
    tested = next((split for split in TEST if split in splits and split != name), None)
    return train, None if tested is None else _samples(folder / tested, what)[0], [*notes, f"trained on {name}"]


def _samples(folder: Path, what: str) -> tuple[Samples, list[str]]:
    table = _table(folder)
    label = what or next((name for name in LABELS if name in table.column_names), table.column_names[-1])
    if label not in table.column_names:
        raise UsageError(f"{folder}: has no column {label}, but {', '.join(table.column_names)}")
    others = [name for name in table.column_names if name != label]
    shaped = [name for name in others if pa.types.is_struct(table[name].type) or pa.types.is_list(table[name].type)]
    if not shaped:
        return tables.samples_of(table.to_pandas(), label, folder.name)
    y = np.asarray(table[label].to_pylist())
    x = {name: _array(table[name].to_pylist(), name, folder) for name in (shaped if len(others) > 1 else others)}
    left_out = [name for name in others if name not in x]
    notes = [f"its labels are the column {label}"] + ([f"{', '.join(left_out)} is left out"] if left_out else [])
    return Samples(x if len(x) > 1 else next(iter(x.values())), y), notes


def _table(folder: Path) -> pa.Table:
    try:
        files = json.loads((folder / "state.json").read_text(encoding="utf-8"))["_data_files"]
        parts = []
        for one in files:
            with pa.memory_map(str(folder / one["filename"])) as source:
                parts.append(pa.ipc.open_stream(source).read_all())
        return pa.concat_tables(parts)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise UsageError(f"{folder}: cannot be read as what datasets saved ({error})") from None


def _array(column: list[Any], name: str, folder: Path) -> Any:
    """A column of images (the bytes of a file), or of lists of equal length."""
    if isinstance(column[0], dict):
        found = (
            (str(index), images.decoded(one["bytes"], f"{folder}: {name}", "")) for index, one in enumerate(column)
        )
        return images.stacked(found, str(folder))
    try:
        return np.asarray(column)
    except ValueError:
        raise UsageError(f"{folder}: {name} has lists of different lengths; pad them to one") from None
