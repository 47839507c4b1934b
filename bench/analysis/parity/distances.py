"""How far two recorded arrays lie apart, and how far they may."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Measured = dict[str, Any]  # error, element, value, reference_value

# Distances are relative to the largest element of the golden array. A float64 sum of n products errs by less than
# n × 1.1e-16, and n stays below some 10^5 here; one rounding to float32 anywhere is 6e-8. The bounds lie between, so
# that rounding in float64 passes and a constant, a cast or a formula that differs does not.
RUNGS = {
    "weights": 0.0,  # the same file was loaded
    "outputs": 1e-9,  # leaves room for a difference of two numbers 10^6 times as large
    "loss": 1e-9,
    "gradients": 1e-9,
    "one step": 1e-8,  # Adam divides a gradient by its own size, so that small ones are amplified
    "losses": 1e-10,
    "all steps": 1e-8,  # rounding amplified by training, by what is seen up to 1e5-fold
    "predictions": 1e-8,
    "classes": 0.0,  # no test sample has another largest output; the error counts those that have
    "metric": 1e-8,  # of an accuracy, which counts, the labels that are `undecided`
}
RECORDED_RUNGS = tuple(rung for rung in RUNGS if rung != "classes")  # the classes follow from the predictions
TIED = 1e-11  # outputs so close are equal but for rounding: of the 10^5 products of a sum, see above
OF_A_LABEL = 1e-6  # what the mean of a million of them may lose by rounding is less
# How far rounding alone takes a training is seen where the golden one begins a rounding beside. Another backend rounds
# at every operation and not once, and may add up a batch value by value where the golden one adds in a tree: so many
# times as far counts as rounding.
ROUNDINGS = 1000.0
# Where the largest of equal numbers is taken, as a maximum over a region does, rounding decides whose gradient it is.
TRAINED = (
    "gradients",
    "one step",
    "losses",
    "all steps",
    "predictions",
    "classes",
    "metric",
)  # the rungs of which this is so
# A gradient can be pure rounding (a bias before a batch normalisation), and so the step that follows from it. The
# trainable variables' arrays of these rungs are measured against at least this fraction of the largest one's.
NEGLIGIBLE = {"gradients": 1e-3, "one step": 1e-3, "all steps": 1e-3}
# A backend that computes in float32 inside a layer, whatever it is asked, is off by its rounding there (2e-6 of the
# largest output at most, docs/findings.md) and by what later layers make of that; a fault that is larger is still seen.
FLOAT32_INSIDE = 1e-4
LOOSE = 0.01  # a loss that rounding may move so far shows little
NEGLIGIBLE_LOSS = 1e-6  # of the first step's: a loss that small is measured against it
SHARED_RUNGS = ("weights", "one step", "losses", "all steps", "predictions", "metric")  # of several devices
ROUNDED_RUNGS = ("weights", "outputs", "loss", "gradients", "losses")  # those that other numerics climb


def distance(ours: Array, golden: Array, least: float, left_out: npt.NDArray[np.bool_] | None = None) -> Measured:
    """How far two arrays lie apart: the largest difference of an element over the largest golden element."""
    if ours.shape != golden.shape:
        return {"error": math.inf, "element": f"shapes {ours.shape} and {golden.shape}"}
    if not golden.size:
        return {"error": 0.0, "element": ""}
    mine, theirs = ours.astype(np.float64).ravel(), golden.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        apart = np.where(_same(mine, theirs), 0.0, np.abs(mine - theirs))
    apart[np.isnan(apart)] = math.inf
    if left_out is not None:
        apart[left_out.ravel()] = 0.0
    at = int(apart.argmax())
    scale = max(size(golden), least) or 1.0
    element = ", ".join(str(int(index)) for index in np.unravel_index(at, golden.shape)) if golden.ndim else ""
    return {"error": apart[at] / scale, "element": element, "value": mine[at], "reference_value": theirs[at]}


def unfelt(ours: Array, golden: Array, largest: float) -> npt.NDArray[np.bool_] | None:
    """The elements of a variable whose gradient is rounding in both recordings; None where the two do not fit.

    The rung of gradients tells none of them from 0. An optimizer that divides by a gradient's size, or takes its sign,
    makes a step of it in a direction that nobody knows: of a bias before a normalisation, say.
    """
    if ours.shape != golden.shape:
        return None
    least = RUNGS["gradients"] * max(size(golden), NEGLIGIBLE["gradients"] * largest)
    is_rounding = (np.abs(golden) <= least) & (np.abs(ours) <= least)
    felt: npt.NDArray[np.bool_] = is_rounding & ((golden != 0) | (ours != 0))
    return felt


def on_the_other_side(ours: Array, golden: Array) -> int:
    """How many elements are zero in one of two outputs alone, as a relu's are where rounding decided their sign."""
    return int(np.count_nonzero((ours == 0) != (golden == 0))) if ours.shape == golden.shape else 0


def counted(ours: Array, golden: Array, labels: int) -> Measured:
    """By how many of the labels two accuracies differ; a mean of counts is off by far less than one when it rounds."""
    found = distance(ours, golden, 0.0)
    if math.isinf(found["error"]) or not labels:
        return found
    differ = abs(found["value"] - found["reference_value"]) * labels
    whole = round(differ)
    return {**found, "error": float(whole) if abs(differ - whole) <= OF_A_LABEL else differ}


def other_classes(ours: Array, golden: Array, tolerance: float) -> Measured:
    """In how many samples another output is the largest, and the first of them.

    Where the golden one's two largest are no further apart than what is tolerated, either may be.
    """
    if ours.shape != golden.shape:
        return {"error": math.inf, "element": f"shapes {ours.shape} and {golden.shape}"}
    return _count(ours.argmax(axis=-1), golden.argmax(axis=-1), _is_close(golden, tolerance))


def undecided(golden: Array, tolerance: float) -> int:
    """How many labels are left open by outputs that may be so far off: of classes, or of yes and no."""
    if golden.ndim > 1 and golden.shape[-1] > 1:
        return int(_is_close(golden, tolerance).sum())
    borders = (0.0, 0.5)  # of a logit, and of a probability
    return int(sum((np.abs(golden - border) <= tolerance * size(golden)).sum() for border in borders))


def _is_close(golden: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Where the two largest outputs are no further apart than an error of this size makes them."""
    ordered = np.sort(golden, axis=-1)
    close: npt.NDArray[np.bool_] = ordered[..., -1] - ordered[..., -2] <= 2 * tolerance * size(golden)
    return close


def _count(ours: Array, golden: Array, left_out: npt.NDArray[np.bool_]) -> Measured:
    """How many elements differ, and the first that does."""
    apart = np.flatnonzero((ours != golden) & ~left_out)
    if not len(apart):
        return {"error": 0.0, "element": ""}
    at = np.unravel_index(apart[0], golden.shape)
    element = f"sample {', '.join(str(int(index)) for index in at)}"
    return {"error": len(apart), "element": element, "value": ours[at], "reference_value": golden[at]}


def step_bounds(golden: Array, nudged: Array) -> Array:
    """The bound of each step's loss: the rung's, or what rounding amounts to by then."""
    bounds = np.full(golden.shape, RUNGS["losses"])
    common = min(len(golden), len(nudged)) if nudged.ndim else 0
    if common:
        so_far = np.maximum.accumulate(_step_errors(nudged, golden, common))
        bounds[:common] = np.maximum(bounds[:common], ROUNDINGS * so_far)
        bounds[common:] = np.maximum(bounds[common:], bounds[common - 1])
    return bounds


def step_distance(ours: Array, golden: Array, bounds: Array | None, cut: bool) -> Measured:
    """The relative distance of two series of losses, at the worst step; with `bounds`, at the first beyond its own.

    `tolerance` is that step's bound. Where one is shorter it took no further step, unless it was `cut`: then that is a
    fault of its own.
    """
    common = min(len(ours), len(golden)) if ours.ndim and golden.ndim else 0
    if not common:
        return {"error": math.inf, "element": "no step"}
    apart = _step_errors(ours, golden, common)
    found: Measured = {}
    at = int(apart.argmax())
    if bounds is not None:
        beyond = np.flatnonzero(apart > bounds[:common])
        if not len(beyond) and len(ours) != len(golden) and not cut:
            return {"error": math.inf, "element": f"step {common + 1}, which only one of them took"}
        at = int(beyond[0] if len(beyond) else (apart / bounds[:common]).argmax())
        found = {"tolerance": bounds[at]}
    return {**found, "error": apart[at], "element": f"step {at + 1}", "value": ours[at], "reference_value": golden[at]}


def _step_errors(ours: Array, golden: Array, common: int) -> Array:
    """The relative distance of each of the first steps."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.maximum(np.abs(golden[:common]), NEGLIGIBLE_LOSS * np.abs(golden[0]))
        apart: Array = np.abs(ours[:common] - golden[:common]) / scale
    apart[np.isnan(apart)] = math.inf
    apart[_same(ours[:common], golden[:common])] = 0.0
    return apart


def _same(ours: Array, golden: Array) -> npt.NDArray[np.bool_]:
    """Where two arrays are equal, infinite values and those that are no numbers included: these are told apart."""
    equal: npt.NDArray[np.bool_] = (ours == golden) | (np.isnan(ours) & np.isnan(golden))
    return equal


def size(array: Array) -> float:
    """The largest finite element, without its sign; 0 where there is none."""
    finite = np.abs(array[np.isfinite(array)]) if array.size else array
    return float(finite.max()) if finite.size else 0.0
