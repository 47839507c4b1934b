"""The words of tuning.csv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contract.case import CASE_COLUMNS


def changed_knobs(knobs: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """The knobs that are not at their default."""
    return [name for name, value in knobs.items() if value != default[name]]


def knob_words(knobs: Mapping[str, Any]) -> str:
    """Knobs as one text, for people."""
    return ", ".join(f"{name}={value}" for name, value in knobs.items())


HOPELESS = 1.5  # times the default's time: what takes that long alone is tried no further
LEAST_ROUNDS = 3  # undisturbed, of a search's final: fewer decide nothing
FINAL_COLUMNS = ("ratio", "ratio_low", "ratio_high")  # numbers, empty of what took part in no final
TUNING_COLUMNS = (
    *CASE_COLUMNS,
    "knobs",
    "status",
    "reason",
    "step_seconds",
    *FINAL_COLUMNS,
    "rounds",
    "disturbed",
    "chosen",
    "steps",
    "searched_in",
    "circumstances",
)
