"""When do two lists of outputs agree? Within rounding, amplified by a deep network; standard library only.

A launch of inference holds its track against `model.predict`, the analysis backends against each other, so both worlds
share this rule. It is to catch what computes something else: what computes the same is far closer, see parity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Of the largest output, by numerics. Float64's is no rounding of its own: Keras passes some of it through float32, as
# docs/findings.md has it (the slope of a leaky_relu, the softmax of attention).
TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "float16": 1e-2, "bfloat16": 1e-1, "float64": 1e-6}
DIGITS = {"float64": 12}  # that are kept of an output, by numerics
USUAL_DIGITS = 7


def distance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest difference of two outputs over their largest value; infinite where their lengths differ."""
    if len(ours) != len(theirs):
        return math.inf
    return max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) / (max(map(abs, theirs)) or 1.0)


def disagreement(ours: Sequence[float], theirs: Sequence[float], numerics: str) -> str:
    """How far two lists of outputs are from each other, in words; empty where they agree."""
    found = distance(ours, theirs)
    if found <= TOLERANCES[numerics]:  # so that NaN does not agree
        return ""
    return f"{found:.1e} of the largest output away, where {TOLERANCES[numerics]:.0e} would be rounding"
