"""The files of the user's own that launches read: a node that does not share this machine's files is sent them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.contract.run_json import Workload
from bench.own_models.named_files import named_files
from bench.places.files import Files
from bench.plan.variants import Variant

PATH = "PYTHONPATH"  # where packages of a revision of git's lie, and others that a variant names
COMPILED = "__pycache__"


def own_files(
    workloads: Sequence[Workload], variants: Sequence[Variant], own: Iterable[str], elsewhere: Iterable[str]
) -> Files:
    """What these workloads and variants read; `own` and `elsewhere` are what the prepare program says of the former."""
    found = dict.fromkeys(map(Path, own))
    for workload in workloads:
        if Path(workload.workload).is_file():
            found |= dict.fromkeys(named_files(Path(workload.workload)))
        if Path(workload.dataset).is_absolute() and Path(workload.dataset).is_file():
            found[Path(workload.dataset)] = None
    for variant in variants:
        for folder in filter(None, variant.settings.get(PATH, "").split(os.pathsep)):
            found |= dict.fromkeys(_in_folder(Path(folder)))
    return Files(tuple(found), tuple(path for path in map(Path, elsewhere) if path not in found))


def _in_folder(folder: Path) -> Iterator[Path]:
    """The files in a folder, but for what is hidden or compiled: without them a launch would take another package."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if path.is_file() and COMPILED not in inner and not any(part.startswith(".") for part in inner):
            yield path
