"""The options of one launch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contract.case import Case
from bench.worker import backends
from bench.worker.process.messages import Messenger


@dataclass
class Launch:
    """What one launch was asked for, and the `launch` object it fills."""

    case: Case
    seed: int
    weights: Path | None
    knobs: dict[str, Any]
    validation_split: float
    backend: backends.Backend
    messenger: Messenger
    record: dict[str, Any] = field(default_factory=dict)
