"""Files of the user's own that launches read besides the suite: what a node is asked of them, and what is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# In all, to a node that lacks some: 16 s over 1 Gbit/s, which all nodes share, and each file is held in memory here.
MOST_BYTES = 2 * 2**30
BATCH_BYTES = 32 * 2**20  # of files in one frame
ANY = -1  # the size of what only has to be there
Asked = tuple[
    str, int, str
]  # of a file its name there, its size in bytes and its SHA-256, empty where it need not agree


@dataclass(frozen=True)
class Files:
    """`sent` go to nodes that lack them; those `elsewhere` are only looked for there.

    A folder among them is a mark: an empty file stands for it.
    """

    sent: tuple[Path, ...] = ()
    elsewhere: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all that may be sent."""
        return sum(path.stat().st_size for path in self.sent if path.is_file())

    @cached_property
    def asked(self) -> list[Asked]:
        """What a node is asked; of more than is ever sent no digest, which would take minutes of reading on each."""
        digests = self.size <= MOST_BYTES
        own = [asked(str(path), path, digests) for path in self.sent]
        return own + [(str(path), ANY, "") for path in self.elsewhere]


def asked(name: str, path: Path, digest: bool = True) -> Asked:
    """What a node is asked of a file of that name."""
    if not path.is_file():
        return name, ANY, ""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if digest else ""
    return name, path.stat().st_size, found


def batches(paths: Sequence[Path]) -> Iterator[tuple[list[str], list[bytes]]]:
    """Files by name with what they hold, as many at a time as go into one frame; OSError where one is gone."""
    names, parts = list[str](), list[bytes]()
    for path in paths:
        names.append(str(path))
        parts.append(b"" if path.is_dir() else path.read_bytes())
        if sum(map(len, parts)) >= BATCH_BYTES:
            yield names, parts
            names, parts = [], []
    if names:
        yield names, parts
