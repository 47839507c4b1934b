"""How a process ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a process ended: a status of the record's, its reason in words (empty when ok), and its wall time.

    `remark` says what else happened, where that does not touch what was measured.
    """

    status: str
    reason: str
    wall_seconds: float
    remark: str = ""
