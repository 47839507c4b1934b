"""When does an epoch count as disturbed? Rules on its noise gauges alone, never on its time; standard library only.

A run replaces disturbed launches by new ones while it measures, and the analysis marks them again from the records, so
both worlds share these rules. How they were chosen: docs/results/calibration.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STEAL = 0.05  # of the machine's time
OTHERS = 0.10  # of one CPU, taken by other processes
ROUNDING_SECONDS = 0.03  # of what other processes took: the system counts in ticks of a hundredth, on each CPU
THROTTLED = 1.0  # the driver held the GPU's clock down for heat or for want of power
LAUNCH = 0.5  # of a launch's steady epochs: from here on its value may rest on a disturbed one


def disturbed(epoch: Mapping[str, Any]) -> str:
    """Why an epoch counts as disturbed, in words; empty where it does not, or where nothing could be read."""
    steal, others = epoch.get("steal_fraction"), epoch.get("other_cpu_seconds")
    if steal is not None and steal > STEAL:
        return f"the host took {steal:.0%} of the machine's time"
    whole = epoch["seconds"] + (epoch.get("validation_seconds") or 0.0)
    together = epoch.get("span_epochs") or 1  # in one span, whose gauges they share
    if others is not None and together * others - ROUNDING_SECONDS > OTHERS * together * whole:
        return f"other processes took {others / whole:.0%} of a CPU"
    if (epoch.get("gpu_throttled") or 0.0) >= THROTTLED:
        return "the driver held the GPU's clock down"
    if (epoch.get("gpu_others") or 0.0) >= 1:
        return "another process used the GPU"
    return ""


def launch_disturbed(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Why a launch counts as disturbed; empty where it does not. `epochs` are all of them, the cold one first."""
    reasons = [reason for reason in map(disturbed, epochs[1:]) if reason]
    if len(reasons) < LAUNCH * (len(epochs) - 1):
        return ""
    return f"{len(reasons)} of {len(epochs) - 1} steady epochs, for example: {reasons[0]}"
