"""The launch record, a pytest-benchmark JSON file with one `launch` object: read, validated, written atomically.

Every world shares these words and nothing else; the module needs the standard library only. The schema is described
in results/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contract.case import Case
from bench.contract.files import RecordError, load
from bench.contract.values import printable

SCHEMA = 2
READABLE = (1, 2)  # 1 knew neither attempts nor most of the noise gauges
DIFFERENCES = ("machine", "versions", "samples", "numerics", "weights")  # between runs, each to be allowed by name
STATUSES = ("ok", "skipped", "failed", "timeout", "out of memory")


def empty(case: Case, *, repetition: int, seed: int, status: str, reason: str, attempt: int = 1) -> dict[str, Any]:
    """The record of a launch that measured nothing: still a valid pytest-benchmark file, with the reason in words."""
    launch = {
        "schema": SCHEMA,
        "case": asdict(case),
        "repetition": repetition,
        "attempt": attempt,
        "seed": seed,
        "status": status,
        "reason": reason,
        "epochs": [],
    }
    return {"machine_info": {}, "commit_info": {}, "benchmarks": [], "datetime": "", "version": "", "launch": launch}


def read(path: Path) -> dict[str, Any]:
    """A launch record's content; RecordError when it is unreadable, truncated, of another schema or inconsistent."""
    content = load(path)
    check(content, printable(path.name))
    return content


def check(content: Mapping[str, Any], name: str) -> None:
    """Raise RecordError when `content`, called `name` in the message, is not a launch record of this schema."""
    from bench.contract.record_faults import fault  # which needs this module's words

    found = fault(content.get("launch"))
    if found:
        raise RecordError(f"{name}: {found}")
