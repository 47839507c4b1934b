"""JSON in, JSON out, whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract.values import printable

LARGEST_BYTES = 2**26  # of a record, which has some kilobytes, or of run.json


class RecordError(Exception):
    """A file is not a launch record that this version reads; the message names the file and the fault."""


def load(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; RecordError where it holds none, or is larger than any of ours."""
    name = printable(path.name)
    try:
        if not path.is_file():  # a pipe or a device need never end
            raise OSError("no such file")
        if path.stat().st_size > LARGEST_BYTES:
            raise OSError(f"larger than {LARGEST_BYTES // 2**20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{name}: not a readable JSON file ({_first_line(error)})") from None
    if not isinstance(content, dict):
        raise RecordError(f"{name}: expected a JSON object, found {type(content).__name__}")
    return content


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as `write_whole` writes."""
    write_whole(path, json.dumps(content, indent=1, default=str) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write text so that the file is there whole or as it was; OSError where the disk is full, say."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _first_line(error: BaseException) -> str:
    return printable(str(error).splitlines()[0]) if str(error) else type(error).__name__
