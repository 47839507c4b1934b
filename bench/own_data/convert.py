"""From a data source to the `.npz` file that launches read."""

from __future__ import annotations

from pathlib import Path

from bench.own_data import images, saved, tables
from bench.own_data.samples import write
from bench.own_models.data_source import IMAGES, TABLE, DataSource


def convert(source: DataSource, target: Path) -> None:
    """Read a table or a folder into `target`; UsageError, in one line, where it cannot be."""
    path = Path(source.path)
    if source.kind == TABLE:
        samples, notes = tables.read(path, source.what)
        write(target, samples, None, notes)
        return
    read = images.read if source.kind == IMAGES else saved.read
    write(target, *read(path, source.what))
