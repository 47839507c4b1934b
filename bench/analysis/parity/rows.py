"""From the recordings of one computation to the rows of parity.csv: each location of each rung, and how far apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis.parity import rounded
from bench.analysis.parity.distances import (
    NEGLIGIBLE,
    RECORDED_RUNGS,
    ROUNDED_RUNGS,
    ROUNDINGS,
    RUNGS,
    TIED,
    TRAINED,
    Array,
    counted,
    distance,
    other_classes,
    size,
    step_bounds,
    step_distance,
    undecided,
    unfelt,
)
from bench.analysis.parity.recordings import LADDER, Recording, rungs_of
from bench.analysis.parity.rounded import MISSING, Row
from bench.contract.parity import EXACT, NUDGED


def group_rows(group: Sequence[Recording], golden: Recording, crossings: Sequence[rounded.Crossing]) -> Iterator[Row]:
    """The rows of one workload, seed and optimizer."""
    for recording in group:
        if recording.about["numerics"] == EXACT and recording is not golden:
            for row in ladder_rows(recording, golden, tuple(RUNGS)):
                yield {**row, "passed": row["error"] <= row["tolerance"]}
    inexact = [recording for recording in group if recording.about["numerics"] != EXACT]
    by_place: dict[tuple[str, str], list[Recording]] = {}
    for recording in inexact:
        by_place.setdefault((recording.about["numerics"], recording.about["device"]), []).append(recording)
    for (numerics, device), peers in by_place.items():
        crossed = {
            crossing.backend for crossing in crossings if (crossing.numerics, crossing.device) == (numerics, device)
        }
        yield from rounded.judged(
            [row for recording in peers for row in ladder_rows(recording, golden, ROUNDED_RUNGS)], crossed, golden
        )


def ladder_rows(ours: Recording, golden: Recording, rungs: Sequence[str]) -> Iterator[Row]:
    """A row for each location of each rung that both climbed, without its verdict."""
    about = {name: ours.about[name] for name in (*LADDER, "device_count", "seed")}
    about["reference"] = golden.about["backend"]
    for rung in (name for name in rungs if name not in RECORDED_RUNGS or name in rungs_of(ours.about)):
        mine, theirs = ours.rungs.get(_source(rung), {}), golden.rungs.get(_source(rung), {})
        if rung == "classes":
            mine, theirs = (_with_classes(one, of) for one, of in ((mine, ours), (theirs, golden)))
        if ours.about["error"] and rung not in ours.rungs:
            return  # it ended early, which is a problem of its own
        trainable = golden.rungs.get("gradients", {})
        largest = max((size(array) for name, array in theirs.items() if name in trainable), default=0.0)
        unseen = {*ours.about["unseen"], *golden.about["unseen"]} if rung == "outputs" else set()
        for location in dict.fromkeys((*theirs, *mine)):
            if location in unseen:
                continue  # inside a loop that one backend traces and the other runs
            pair = mine.get(location, MISSING), theirs.get(location, MISSING)
            beside = golden.rungs.get(f"{NUDGED}{_source(rung)}", {}).get(location) if rung in TRAINED else None
            least = NEGLIGIBLE.get(rung, 0.0) * largest if location in trainable else 0.0
            tolerance = RUNGS[rung]
            if rung == "losses":
                exact, cut = ours.about["numerics"] == EXACT, bool(ours.about["error"])
                bounds = step_bounds(pair[1], MISSING if beside is None else beside) if exact else None
                measured = step_distance(*pair, bounds, cut)
            elif rung == "classes":
                measured = other_classes(*pair, _predicted_within(golden, location))
            elif rung == "metric" and location.endswith("accuracy"):
                measured, tolerance = counted(*pair, ours.about["labels"]), float(_undecided(golden))
            else:
                left_out = _unfelt(ours, golden, location) if rung in ("one step", "all steps") else None
                measured = distance(*pair, least, left_out)
                tolerance = max(tolerance, _rounding(pair[1], beside, least, left_out))
            yield {**about, "rung": rung, "location": location, "tolerance": tolerance, **measured}


def _source(rung: str) -> str:
    """The recorded rung that a rung is read from: the classes follow from the predictions."""
    return "predictions" if rung == "classes" else rung


def _with_classes(arrays: dict[str, Array], recording: Recording) -> dict[str, Array]:
    """The outputs of which the largest names a class."""
    return {
        name: array
        for name, array in arrays.items()
        if recording.about["classes"] and array.ndim > 1 and array.shape[-1] > 1
    }


def _predicted_within(golden: Recording, location: str) -> float:
    """How far rounding may put the predictions of another off."""
    beside = golden.rungs.get(f"{NUDGED}predictions", {}).get(location)
    return max(TIED, _rounding(golden.rungs["predictions"][location], beside, 0.0))


def _undecided(golden: Recording) -> int:
    """How many test labels rounding decides, by which an accuracy may differ."""
    outputs = golden.rungs.get("predictions", {})
    return sum(undecided(array, _predicted_within(golden, location)) for location, array in outputs.items())


def _rounding(golden: Array, beside: Array | None, least: float, left_out: Any = None) -> float:
    """How far rounding alone takes a training, at most: 0 where that was not recorded."""
    return 0.0 if beside is None else ROUNDINGS * float(distance(beside, golden, least, left_out)["error"])


def _unfelt(ours: Recording, golden: Recording, location: str) -> Any:
    """The elements of a variable that the loss does not feel but for rounding; see `unfelt`."""
    theirs = golden.rungs.get("gradients", {})
    mine = theirs if ours.about["device_count"] > 1 else ours.rungs.get("gradients", {})  # several show none
    if location not in mine or location not in theirs:
        return None
    largest = max(size(array) for array in theirs.values())
    found = unfelt(mine[location], theirs[location], largest)
    return found if found is not None and found.shape == golden.rungs["weights"][location].shape else None
