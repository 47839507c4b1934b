"""Parity's comparing half: recorded ladders to rows that passed or failed, and to the first rung that failed.

The golden recording is the reference backend's in exact mode. Other backends' exact recordings have to agree with it
within `RUNGS`; recordings in float32 and the like are held against it, and against each other's distance from it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.distances import (
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
from bench.analysis.recordings import EXACT, LADDER, Recording, faults, load, rungs_of, title

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
ROUNDING = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-8, "float16": 2.0**-11}  # the unit roundoff
# Chosen from 20 seeds of three workloads in float32: no output, loss or gradient of a backend was further off than 3.9
# times the others' largest error or 21 units of rounding. Losses are another matter: an element that falls on the other
# side of a relu or a maximum sends one backend's training apart from the others' as early as the third step, by up to
# 1.2 % of the loss after 20. So only a loss that is far off counts, or one that is no number.
WORSE = 10.0  # times the others' largest error
UNREMARKABLE = 32.0  # units of rounding, below which nobody is worse than anybody
DIVERGED = 0.1  # of a loss

GROUP = ("workload", "seed", "optimizer")  # recordings of the same computation

Row = dict[str, Any]
MISSING: Array = np.array(np.nan)


class Parity(NamedTuple):
    """The rows of parity.csv, in words what broke, and the ladders (`LADDER` columns) that agree on every rung."""

    table: pd.DataFrame
    problems: list[str]
    proved: set[tuple[Hashable, ...]]
    steps: int
    seeds: int

    @property
    def exact(self) -> pd.DataFrame:
        """The rows of exact mode."""
        return self.table[self.table["numerics"].eq(EXACT)]

    def accuracies(self) -> pd.DataFrame:
        """How far each backend's rounded arithmetic is from exact mode, in units of that arithmetic's rounding.

        A row per workload, device, numerics and backend: the largest error of each rung, and `typical`, the geometric
        mean over the layers and gradients, by which the most accurate is named. None counts less than a unit / 1000.
        """
        rounded = self.table[self.table["numerics"].ne(EXACT) & self.table["rung"].ne("weights")]
        units = rounded.assign(units=rounded["error"].astype(float) / rounded["numerics"].map(ROUNDING))
        keys = ["workload", "device", "numerics", "backend"]
        largest = units.pivot_table("units", keys, "rung", "max", sort=False)
        parts = units[units["rung"].isin(["outputs", "gradients"])]
        # Only what all of them recorded can be averaged, and layers that compute nothing (flatten) would dilute it.
        places = parts.groupby(["workload", "device", "numerics", "seed", "rung", "location"])["units"]
        everybody = parts.groupby(["workload", "device", "numerics"])["backend"].transform("nunique")
        worst = places.transform("max").astype(float)
        alive = parts[(places.transform("count") == everybody) & (worst > 0) & np.isfinite(worst)]
        logs = np.log(alive["units"].clip(lower=1e-3))
        return largest.join(np.exp(logs.groupby([alive[name] for name in keys], sort=False).mean()).rename("typical"))


def compare(folder: Path, description: Mapping[str, Any]) -> Parity | None:
    """Compare the recordings of a run; None where none were planned.

    Raises nothing on a damaged recording: it is left out and named among the problems.
    """
    planned = description.get("parity")
    if not planned:
        return None
    recordings, problems = load(folder / "ladders")
    problems += faults(recordings, planned, description)
    rows: list[Row] = []
    optimizers = dict.fromkeys(one.about["optimizer"] for one in recordings)
    for workload in description["workloads"]:
        for seed, optimizer in itertools.product(planned["seeds"], optimizers):
            key = workload["workload"], seed, optimizer
            group = [one for one in recordings if tuple(one.about[name] for name in GROUP) == key]
            rows += _group_rows(group, description["reference"])
    table = pd.DataFrame(rows, columns=COLUMNS)
    proved = _proved(table, recordings, planned["seeds"])
    problems += _broken(table)
    return Parity(table, problems, proved, planned["steps"], len(planned["seeds"]))


def _group_rows(group: Sequence[Recording], reference: str) -> list[Row]:
    """The rows of one workload, seed and optimizer."""
    exact = [one for one in group if one.about["numerics"] == EXACT and not one.about["error"]]
    if not exact:
        return []
    # On a CPU where there is one: what a GPU does is then judged too, the reference backend's included.
    order = {"track": "fit", "backend": reference, "device": "cpu"}
    golden = min(exact, key=lambda one: [one.about[name] != value for name, value in order.items()])
    rows = []
    for one in group:
        if one.about["numerics"] == EXACT and one is not golden:
            rows += [{**row, "passed": row["error"] <= row["tolerance"]} for row in _rows(one, golden, tuple(RUNGS))]
    rounded = [one for one in group if one.about["numerics"] != EXACT]
    for kind in dict.fromkeys((one.about["numerics"], one.about["device"]) for one in rounded):
        peers = [one for one in rounded if (one.about["numerics"], one.about["device"]) == kind]
        rows += _judged([row for one in peers for row in _rows(one, golden, ROUNDED_RUNGS)])
    return rows


def _rows(ours: Recording, golden: Recording, rungs: Sequence[str]) -> Iterator[Row]:
    """A row for each location of each rung that both climbed, without its verdict."""
    about = {name: ours.about[name] for name in (*LADDER, "seed")}
    about["reference"] = golden.about["backend"]
    for rung in (one for one in rungs if one not in RECORDED_RUNGS or one in rungs_of(ours.about)):
        mine, theirs = _at(ours, rung), _at(golden, rung)
        if ours.about["error"] and rung not in ours.rungs:
            return  # it ended early, which is a problem of its own
        trainable = golden.rungs.get("gradients", {})
        largest = max((size(array) for name, array in theirs.items() if name in trainable), default=0.0)
        unseen = {*ours.about["unseen"], *golden.about["unseen"]} if rung == "outputs" else set()
        for location in dict.fromkeys((*theirs, *mine)):
            if location in unseen:
                continue  # inside a loop that one backend traces and the other runs
            found, array = mine.get(location, MISSING), theirs.get(location, MISSING)
            if rung == "losses":
                exact, cut = ours.about["numerics"] == EXACT, bool(ours.about["error"])
                measured = step_distance(found, array, exact, cut)
            elif rung == "classes":
                measured = count(found, array)
            else:
                least = NEGLIGIBLE.get(rung, 0.0) * largest if location in trainable else 0.0
                measured = distance(found, array, least)
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


def _judged(rows: list[Row]) -> list[Row]:
    """Rows of several backends in rounded arithmetic: each against the errors of the others at the same place."""
    table: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        table.setdefault((row["rung"], row["location"]), {})[row["backend"]] = row["error"]
    judged = []
    for row in rows:
        others = [
            error
            for backend, error in table[row["rung"], row["location"]].items()
            if backend != row["backend"] and math.isfinite(error)
        ]
        if row["rung"] == "weights" or math.isinf(row["error"]):
            judged.append({**row, "passed": row["error"] <= row["tolerance"]})
        elif others:
            unremarkable = DIVERGED if row["rung"] == "losses" else UNREMARKABLE * ROUNDING[row["numerics"]]
            tolerance = max(WORSE * max(others), unremarkable)
            judged.append({**row, "tolerance": tolerance, "passed": row["error"] <= tolerance})
        else:
            judged.append({**row, "tolerance": None, "passed": None})  # nobody to be worse than
    return judged


def _proved(table: pd.DataFrame, recordings: Sequence[Recording], seeds: Sequence[int]) -> set[tuple[Hashable, ...]]:
    """The exact ladders that were climbed whole for every seed and failed nowhere, as was the golden one."""
    whole: dict[tuple[str, ...], set[int]] = {}
    for one in recordings:
        everything = all(rung in one.rungs for rung in rungs_of(one.about))
        if one.about["numerics"] == EXACT and not one.about["error"] and everything:
            whole.setdefault(tuple(one.about[name] for name in LADDER), set()).add(one.about["seed"])
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
