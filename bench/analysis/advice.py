"""A sentence of advice, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

LEVEL = 0.95  # of an interval over the launches of an explanation
PLACE = ["workload", "device", "backend"]
Launch = Mapping[str, Any]  # what one process of an explanation wrote


class Advice(NamedTuple):
    """A sentence, the place that it is about, and by what it is ordered: the share of the time that remains."""

    workload: str
    device: str
    backend: str
    remains: float
    text: str
