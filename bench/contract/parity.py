"""The words of ladders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract.case import FLOAT64, NUMERICS

if TYPE_CHECKING:  # which needs a library that a worker, which imports this module, does not have
    from bench.contract.run_json import Workload

EXACT = FLOAT64  # the numerics of exact mode
LADDER_NUMERICS = tuple(dict.fromkeys((EXACT, *NUMERICS)))  # exact mode first, and once where it is timed too
NUDGED = "nudged "  # begins the rungs of the training from weights one rounding beside
KNOWN = "docs/findings.md: "  # begins the title of the finding that explains what is said before
LADDER_BATCH = 32  # samples of a step on parity's ladder
ROUNDED_STEPS = 20  # of a ladder that is not float64: beyond, amplified rounding says nothing about the arithmetic
LADDER_OPTIMIZERS = ("own", "SGD")  # a ladder's: the workload's own, or one that every library writes alike
CLIMBS = {  # a track with its optimizer: `own` is the workload's, SGD what every library writes alike
    "fit": ("fit-own",),
    "loop": ("fit-own", "loop-own"),
    "native": ("fit-SGD", "native-SGD"),
}


def is_left_out(workload: Workload, climb: str) -> bool:
    """Whether a described workload cannot be climbed so, as its description says why."""
    if climb in CLIMBS["native"]:
        return bool(workload.without_native_ladder)
    return climb == "loop-own" and bool(workload.without_loop)


def is_climbed(workload: Workload) -> bool:
    """Whether a described workload is climbed on parity's ladder, which for one made for a GPU would take too much."""
    return not workload.memory_mib
