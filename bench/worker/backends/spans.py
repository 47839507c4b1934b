"""What all profilers share: where an operation belongs by the scopes it stands in, and how long it took itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.contract.operations import OPTIMIZER

What = TypeVar("What")
# A scope that an explanation opens. The number tells it from the scopes of Keras and of the framework, which may bear
# any name, and which TensorFlow renames where one comes twice.
HOME = re.compile(r"layer\.(\d+)\.")
UPDATED = re.compile(rf"layer\.\d+\.{OPTIMIZER}(_\d+)?/")
INDEX = re.compile(r"(_\d+)?$")  # what makes the name of an operation unique in a graph


class Operation(NamedTuple):
    """One operation as it was carried out once: its name, the scopes around it, the pass, and its own seconds."""

    name: str
    scopes: str
    is_backward: bool
    seconds: float


class Trace(NamedTuple):
    """What a profiler saw, and the file that Perfetto or TensorBoard opens."""

    operations: list[Operation]
    file: Path


def scope_name(number: int, name: str) -> str:
    """What a scope is called, in letters that every framework takes."""
    return f"layer.{number}.{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"


def home(scopes: str) -> int | None:
    """The number of the innermost scope that an explanation has opened."""
    found = HOME.findall(scopes)
    return int(found[-1]) if found else None


def last_of(scopes: str) -> str:
    """The operation that a path of scopes ends with, without its index."""
    return INDEX.sub("", scopes.rpartition("/")[2], count=1)


def own_seconds(spans: Iterable[tuple[float, float, What]]) -> Iterator[tuple[What, float]]:
    """Of the spans of one thread, each (begin, duration, what), what each took less the spans within it."""
    within: list[list[Any]] = []  # those that are open: end, what, seconds left
    for begin, duration, what in sorted(spans, key=lambda span: (span[0], -span[1])):
        while within and within[-1][0] <= begin:
            _, ended, seconds = within.pop()
            yield ended, seconds
        if within:
            within[-1][2] -= min(duration, within[-1][0] - begin)
        within.append([begin + duration, what, duration])
    for _, ended, seconds in reversed(within):
        yield ended, seconds


def newest(folder: Path, pattern: str) -> Path | None:
    """The file of this name that was written last, anywhere below a folder; None where there is none."""
    return max(folder.rglob(pattern), key=lambda path: path.stat().st_mtime_ns, default=None)
