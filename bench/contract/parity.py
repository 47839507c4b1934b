"""The words of ladders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contract.case import NUMERICS

LADDER_NUMERICS = ("float64", *NUMERICS)  # float64 is exact mode
LADDER_BATCH = 32  # samples of a step on parity's ladder
ROUNDED_STEPS = 20  # of a ladder that is not float64: beyond, amplified rounding says nothing about the arithmetic
LADDER_OPTIMIZERS = ("own", "SGD")  # a ladder's: the workload's own, or one that every library writes alike
CLIMBS = {  # a track with its optimizer: `own` is the workload's, SGD what every library writes alike
    "fit": ("fit-own",),
    "loop": ("fit-own", "loop-own"),
    "native": ("fit-SGD", "native-SGD"),
}


def is_climbed(workload: Mapping[str, Any]) -> bool:
    """Whether a described workload climbs parity's ladder; one made for a GPU would take too long."""
    return not workload.get("memory_mib")
