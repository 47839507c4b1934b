"""CSV and Parquet: a row is a sample, a column the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.contract.errors import UsageError
from bench.own_data.samples import Array, Samples


def read(path: Path, label: str) -> tuple[Samples, list[str]]:
    """The rows as samples, and what has to be said of them; without `label` the last column is the label.

    Numbers become float32. Columns of words become whole numbers, one for each word in the order of the alphabet; then
    every column is an input of its own, under its name. UsageError where there is no such column, or too few of them.
    """
    table = load(path)
    wanted = label or str(table.columns[-1])
    if wanted not in table:
        raise UsageError(f"{path.name}: has no column {wanted}, but {', '.join(map(str, table.columns))}")
    if len(table.columns) < 2:
        raise UsageError(f"{path.name}: has no column besides the label {wanted}")
    return samples_of(table, wanted, path.name)


def load(path: Path) -> pd.DataFrame:
    """The table; UsageError where it cannot be read."""
    try:
        return (
            pd.read_csv(path, sep=_separator(path), keep_default_na=False, na_values=[""])
            if path.suffix == ".csv"
            else pd.read_parquet(path)
        )
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise UsageError(f"{path.name}: cannot be read: {' '.join(str(error).split())[:200]}") from None


def _separator(path: Path) -> str:
    """What separates the columns, as its first line shows: a comma, or the semicolon or tab of other countries."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline()
    return max(",;\t", key=first.count)  # the comma where there is none


def samples_of(table: pd.DataFrame, label: str, name: str) -> tuple[Samples, list[str]]:
    """A table's rows, as `read` gives them."""
    empty = [str(column) for column in table if table[column].isna().any()]
    if empty:
        raise UsageError(f"{name}: has empty cells in {', '.join(empty)}; fill them, or leave the rows out")
    lists = [str(column) for column in table if table[column].map(_is_list).any()]
    if lists:
        raise UsageError(
            f"{name}: has lists in {', '.join(lists)}; give a function that makes arrays of them, FILE.py:NAME"
        )
    notes = [f"its labels are the column {label}"]
    columns = {}
    for column in table.columns.drop(label):
        if pd.api.types.is_numeric_dtype(table[column]):
            columns[str(column)] = table[column].to_numpy(np.float32)[:, None]
        else:
            columns[str(column)] = _codes(table[column], notes)[:, None]
    of_words = any(one.dtype.kind == "i" for one in columns.values())
    x = columns if of_words else np.concatenate(list(columns.values()), axis=1)
    if pd.api.types.is_numeric_dtype(table[label]):
        return Samples(x, table[label].to_numpy()), notes
    return Samples(x, _codes(table[label], notes)), notes


def _is_list(cell: Any) -> bool:
    return hasattr(cell, "__len__") and not isinstance(cell, str)


def _codes(column: pd.Series[Any], notes: list[str]) -> Array:
    words = sorted(map(str, column.unique()))
    notes.append(f"{column.name} has {len(words)} different words, numbered in the order of the alphabet")
    return column.map(str).map({word: number for number, word in enumerate(words)}).to_numpy(np.int32)
