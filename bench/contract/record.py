"""The words of the launch record, a pytest-benchmark JSON file with one `launch` object.

Every world shares them; the module needs the standard library only. launch_record.py reads and checks one. The schema
is described in results/README.md.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.contract.case import Case

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
