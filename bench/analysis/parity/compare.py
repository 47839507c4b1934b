"""Parity's comparing half: recorded ladders to rows that passed or failed, and to the first rung that failed.

The golden recording is the reference backend's in exact mode. Other backends' exact recordings have to agree with it
within `RUNGS`; recordings in float32 and the like are held against it, and against each other's distance from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.analysis.parity import rounded
from bench.analysis.parity.distances import (
    COUNTED,
    NEGLIGIBLE,
    RECORDED_RUNGS,
    ROUNDED_RUNGS,
    RUNGS,
    Array,
    count,
    distance,
    size,
    step_distance,
)
from bench.analysis.parity.recordings import EXACT, LADDER, Recording, faults, load, rungs_of, title
from bench.analysis.parity.rounded import MISSING, Row
from bench.contract.run_json import RunDescription

COLUMNS = [
    "workload",
    "backend",
    "reference",
    "device",
    "numerics",
    "track",
    "optimizer",
    "seed",
    "rung",
    "location",
    "error",
    "tolerance",
    "passed",
    "element",
    "value",
    "reference_value",
]
GROUP = ("workload", "seed", "optimizer")  # recordings of the same computation


class Parity(NamedTuple):
    """The rows of parity.csv, in words what broke, and the ladders (`LADDER` columns) that agree on every rung."""

    table: pd.DataFrame
    problems: list[str]
    proved: set[tuple[Hashable, ...]]
    crossings: list[rounded.Crossing]
    steps: int
    seeds: int

    @property
    def exact(self) -> pd.DataFrame:
        """The rows of exact mode."""
        return self.table[self.table["numerics"].eq(EXACT)]

    def accuracies(self) -> pd.DataFrame:
        """How far each backend's rounded arithmetic is from exact mode, in units of that arithmetic's rounding.

        See `rounded.accuracies`.
        """
        return rounded.accuracies(self.table, self.crossings)


def compare(folder: Path, description: RunDescription) -> Parity | None:
    """Compare the recordings of a run; None where none were planned.

    Raises nothing on a damaged recording: it is left out and named among the problems.
    """
    planned = description.parity
    if not planned:
        return None
    recordings, problems = load(folder / "ladders")
    problems += faults(recordings, planned, description)
    rows: list[Row] = []
    crossings: list[rounded.Crossing] = []
    optimizers = dict.fromkeys(one.about["optimizer"] for one in recordings)
    for workload in description.workloads:
        for seed, optimizer in itertools.product(planned.seeds, optimizers):
            key = workload.workload, seed, optimizer
            group = [one for one in recordings if tuple(one.about[name] for name in GROUP) == key]
            golden = _golden(group, description.reference)
            if golden:
                crossed = list(rounded.crossings(group, golden))
                rows += _group_rows(group, golden, crossed)
                crossings += crossed
    table = pd.DataFrame(rows, columns=COLUMNS)
    proved = _proved(table, recordings, planned.seeds)
    problems += _broken(table)
    return Parity(table, problems, proved, crossings, planned.steps, len(planned.seeds))


def _golden(group: Sequence[Recording], reference: str) -> Recording | None:
    """The recording that the others of a workload, seed and optimizer are held against, if there is an exact one."""
    exact = [recording for recording in group if recording.about["numerics"] == EXACT and not recording.about["error"]]
    # On a CPU where there is one: what a GPU does is then judged too, the reference backend's included.
    order = {"track": "fit", "backend": reference, "device": "cpu"}

    def differs(recording: Recording) -> list[bool]:
        return [recording.about[name] != value for name, value in order.items()]

    return min(exact, key=differs, default=None)


def _group_rows(group: Sequence[Recording], golden: Recording, crossings: Sequence[rounded.Crossing]) -> Iterator[Row]:
    """The rows of one workload, seed and optimizer."""
    for recording in group:
        if recording.about["numerics"] == EXACT and recording is not golden:
            for row in _rows(recording, golden, tuple(RUNGS)):
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
            [row for recording in peers for row in _rows(recording, golden, ROUNDED_RUNGS)], crossed
        )


def _rows(ours: Recording, golden: Recording, rungs: Sequence[str]) -> Iterator[Row]:
    """A row for each location of each rung that both climbed, without its verdict."""
    about = {name: ours.about[name] for name in (*LADDER, "seed")}
    about["reference"] = golden.about["backend"]
    for rung in (name for name in rungs if name not in RECORDED_RUNGS or name in rungs_of(ours.about)):
        mine, theirs = _at(ours, rung), _at(golden, rung)
        if ours.about["error"] and rung not in ours.rungs:
            return  # it ended early, which is a problem of its own
        trainable = golden.rungs.get("gradients", {})
        largest = max((size(array) for name, array in theirs.items() if name in trainable), default=0.0)
        unseen = {*ours.about["unseen"], *golden.about["unseen"]} if rung == "outputs" else set()
        for location in dict.fromkeys((*theirs, *mine)):
            if location in unseen:
                continue  # inside a loop that one backend traces and the other runs
            array, golden_array = mine.get(location, MISSING), theirs.get(location, MISSING)
            if rung == "losses":
                exact, cut = ours.about["numerics"] == EXACT, bool(ours.about["error"])
                measured = step_distance(array, golden_array, exact, cut)
            elif rung == "classes":
                measured = count(array, golden_array)
            else:
                least = NEGLIGIBLE.get(rung, 0.0) * largest if location in trainable else 0.0
                measured = distance(array, golden_array, least)
            yield {
                **about,
                "rung": rung,
                "location": location,
                "tolerance": COUNTED if rung == "metric" and location.endswith("accuracy") else RUNGS[rung],
                **measured,
            }


def _at(recording: Recording, rung: str) -> dict[str, Array]:
    """The arrays of a rung; the classes follow from the predictions."""
    if rung != "classes":
        return recording.rungs.get(rung, {})
    outputs = recording.rungs.get("predictions", {}) if recording.about["classes"] else {}
    return {name: array.argmax(axis=-1) for name, array in outputs.items() if array.ndim > 1 and array.shape[-1] > 1}


def _proved(table: pd.DataFrame, recordings: Sequence[Recording], seeds: Sequence[int]) -> set[tuple[Hashable, ...]]:
    """The exact ladders that were climbed whole for every seed and failed nowhere, as was the golden one."""
    whole: dict[tuple[str, ...], set[int]] = {}
    for recording in recordings:
        everything = all(rung in recording.rungs for rung in rungs_of(recording.about))
        if recording.about["numerics"] == EXACT and not recording.about["error"] and everything:
            whole.setdefault(tuple(recording.about[name] for name in LADDER), set()).add(recording.about["seed"])
    complete = {ladder for ladder, climbed in whole.items() if climbed >= set(seeds)}
    exact = table[table["numerics"].eq(EXACT)]
    proved: set[tuple[Hashable, ...]] = set()
    for ladder, rows in exact.groupby(LADDER, sort=False):
        wanted = (ladder[0], rows["reference"].iloc[0], ladder[-1])
        golden = any((other[0], other[1], other[-1]) == wanted for other in complete)
        if ladder in complete and golden and rows["passed"].all():
            proved.add(ladder)
    return proved


def _broken(table: pd.DataFrame) -> list[str]:
    """For each ladder that failed, the first rung that did, with both values."""
    problems = []
    failed = table[table["passed"].eq(False)]
    first = {"numerics": EXACT, "track": "fit", "optimizer": "own"}
    by_fit = failed[(failed[list(first)] == list(first.values())).all(axis=1)]
    parted = {(row.workload, row.backend, row.device) for row in by_fit.itertuples()}
    for (*ladder, numerics, track, optimizer), rows in failed.groupby(LADDER, sort=False):
        if [numerics, track, optimizer] != list(first.values()) and tuple(ladder) in parted:
            continue  # a consequence
        row = rows.iloc[0]
        seeds = rows["seed"].nunique()
        more = f" and {seeds - 1} more" if seeds > 1 else ""
        place = f"{row['location']} ({row['element']})" if row["element"] else row["location"]
        values = "" if pd.isna(row["value"]) else f"{row['value']:.17g} against {row['reference_value']:.17g}, "
        is_rounding = row["numerics"] != EXACT and row["rung"] != "weights"
        says = "is far less accurate than the others, judged by" if is_rounding else "parts from"
        problems.append(
            f"parity: {title(row)} {says} {row['reference']} float64 at {row['rung']}, {place}: {values}"
            f"error {row['error']:.1e}, tolerance {row['tolerance']:.1e}, seed {row['seed']}{more}"
        )
    return problems
