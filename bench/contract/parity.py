"""The words of ladders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract.case import NUMERICS

if TYPE_CHECKING:  # which needs a library that a worker, which imports this module, does not have
    from bench.contract.run_json import Workload

LADDER_NUMERICS = ("float64", *NUMERICS)  # float64 is exact mode
LADDER_BATCH = 32  # samples of a step on parity's ladder
ROUNDED_STEPS = 20  # of a ladder that is not float64: beyond, amplified rounding says nothing about the arithmetic
LADDER_OPTIMIZERS = ("own", "SGD")  # a ladder's: the workload's own, or one that every library writes alike
CLIMBS = {  # a track with its optimizer: `own` is the workload's, SGD what every library writes alike
    "fit": ("fit-own",),
    "loop": ("fit-own", "loop-own"),
    "native": ("fit-SGD", "native-SGD"),
}


def is_climbed(workload: Workload) -> bool:
    """Whether a described workload is climbed on parity's ladder, which for one made for a GPU would take too much."""
    return not workload.memory_mib
