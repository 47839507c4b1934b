"""The suite's own files: their digest, by which two machines know that they have the same, and an archive of them.

Standard library only: a node reads this before it has an environment.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PARTS = ("bench", "models", "pyproject.toml")
LEFT_OUT = ("__pycache__",)


def files(root: Path) -> Iterator[Path]:
    """The files that a launch may need, in a fixed order: code, pins, and the data sets that are part of it."""
    for part in PARTS:
        path = root / part
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (one for one in found if one.is_file() and not set(LEFT_OUT) & set(one.parts))


def digest(root: Path) -> str:
    """The digest of all these files and of their names."""
    total = hashlib.sha256()
    for path in files(root):
        total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def archive(root: Path) -> bytes:
    """A zip archive of these files."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files(root):
            packed.write(path, path.relative_to(root))
    return written.getvalue()
