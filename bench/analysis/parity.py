"""Parity's comparing half: recorded ladders to rows that passed or failed, and to the first rung that failed.

The golden recording is the reference backend's in exact mode. Other backends' exact recordings have to agree with it
within `RUNGS`; recordings in float32 and the like are held against it, and against each other's distance from it.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

COLUMNS = [
    "workload",
    "backend",
    "reference",
    "device",
    "numerics",
    "track",
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
LADDER = ["workload", "backend", "device", "numerics"]
EXACT = "float64"

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
    "metric": 1e-8,
}
COUNTED = 0.0  # an accuracy counts, so it is equal to the last digit
# A gradient can be pure rounding (a bias before a batch normalisation), and so the step that follows from it. The
# trainable variables' arrays of these rungs are measured against at least this fraction of the largest one's.
NEGLIGIBLE = {"gradients": 1e-3, "one step": 1e-3, "all steps": 1e-3}
NEGLIGIBLE_LOSS = 1e-6  # of the first step's: a loss that small is measured against it
ROUNDED_RUNGS = ("weights", "outputs", "loss", "gradients", "losses")  # those that other numerics climb
ROUNDING = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-9}  # the unit roundoff
# Chosen from 20 seeds of three workloads in float32: no output, loss or gradient of a backend was further off than 3.9
# times the others' largest error or 21 units of rounding. Losses are another matter: an element that falls on the other
# side of a relu or a maximum sends one backend's training apart from the others' as early as the third step, by up to
# 1.2 % of the loss after 20. So only a loss that is far off counts, or one that is no number.
WORSE = 10.0  # times the others' largest error
UNREMARKABLE = 32.0  # units of rounding, below which nobody is worse than anybody
DIVERGED = 0.1  # of a loss

Array = npt.NDArray[Any]
Row = dict[str, Any]
MISSING: Array = np.array(np.nan)


class Recording(NamedTuple):
    """One ladder's file: what was climbed, and for each rung the arrays by location, in the order of their making."""

    about: dict[str, Any]
    rungs: dict[str, dict[str, Array]]


class Parity(NamedTuple):
    """The rows of parity.csv, in words what broke, and the ladders (`LADDER` columns) that agree on every rung."""

    table: pd.DataFrame
    problems: list[str]
    proved: set[tuple[str, ...]]
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
    recordings, problems = _load(folder / "ladders")
    problems += _unclimbed(planned, recordings, description)
    rows: list[Row] = []
    for workload in description["workloads"]:
        for seed in planned["seeds"]:
            group = [
                one for one in recordings if (one.about["workload"], one.about["seed"]) == (workload["workload"], seed)
            ]
            rows += _group_rows(group, description["reference"])
    table = pd.DataFrame(rows, columns=COLUMNS)
    proved = _proved(table, recordings, planned["seeds"])
    problems += _not_numbers(recordings) + _other_types(recordings)
    problems += _other_batches(recordings, description["reference"]) + _broken(table)
    return Parity(table, problems, proved, planned["steps"], len(planned["seeds"]))


def _group_rows(group: Sequence[Recording], reference: str) -> list[Row]:
    """The rows of one workload and seed."""
    exact = [one for one in group if one.about["numerics"] == EXACT and not one.about["error"]]
    if not exact:
        return []
    # On a CPU where there is one: what a GPU does is then judged too, the reference backend's included.
    golden = min(exact, key=lambda one: (one.about["backend"] != reference, one.about["device"] != "cpu"))
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
    about = {name: ours.about[name] for name in ("workload", "backend", "device", "numerics", "track", "seed")}
    about["reference"] = golden.about["backend"]
    for rung in rungs:
        mine, theirs = _at(ours, rung), _at(golden, rung)
        if ours.about["error"] and rung not in ours.rungs:
            return  # it ended early, which is a problem of its own
        trainable = golden.rungs.get("gradients", {})
        largest = max((_size(array) for name, array in theirs.items() if name in trainable), default=0.0)
        unseen = {*ours.about["unseen"], *golden.about["unseen"]} if rung == "outputs" else set()
        for location in dict.fromkeys((*theirs, *mine)):
            if location in unseen:
                continue  # inside a loop that one backend traces and the other runs
            found, array = mine.get(location, MISSING), theirs.get(location, MISSING)
            if rung == "losses":
                measured = _step_distance(found, array, ours.about)
            elif rung == "classes":
                measured = _count(found, array)
            else:
                least = NEGLIGIBLE.get(rung, 0.0) * largest if location in trainable else 0.0
                measured = _distance(found, array, least)
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
    outputs = recording.rungs.get("predictions", {})
    return {name: array.argmax(axis=-1) for name, array in outputs.items() if array.ndim == 2 and array.shape[-1] > 1}


def _distance(ours: Array, golden: Array, least: float) -> Row:
    """How far two arrays lie apart: the largest difference of an element over the largest golden element."""
    if ours.shape != golden.shape:
        return {"error": math.inf, "element": f"shapes {ours.shape} and {golden.shape}"}
    if not golden.size:
        return {"error": 0.0, "element": ""}
    mine, theirs = ours.astype(np.float64).ravel(), golden.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        apart = np.where(_same(mine, theirs), 0.0, np.abs(mine - theirs))
    apart[np.isnan(apart)] = math.inf
    at = int(apart.argmax())
    scale = max(_size(golden), least) or 1.0
    element = ", ".join(str(int(index)) for index in np.unravel_index(at, golden.shape)) if golden.ndim else ""
    return {"error": apart[at] / scale, "element": element, "value": mine[at], "reference_value": theirs[at]}


def _count(ours: Array, golden: Array) -> Row:
    """How many elements differ, and the first that does."""
    if ours.shape != golden.shape:
        return {"error": math.inf, "element": f"shapes {ours.shape} and {golden.shape}"}
    apart = np.flatnonzero(ours != golden)
    if not len(apart):
        return {"error": 0.0, "element": ""}
    at = apart[0]
    return {"error": len(apart), "element": f"sample {at}", "value": ours[at], "reference_value": golden[at]}


def _step_distance(ours: Array, golden: Array, about: Mapping[str, Any]) -> Row:
    """The relative distance of two series of losses: at the first step beyond the bound, else at the worst."""
    common = min(len(ours), len(golden)) if ours.ndim and golden.ndim else 0
    if not common:
        return {"error": math.inf, "element": "no step"}
    exact = about["numerics"] == EXACT
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.maximum(np.abs(golden[:common]), NEGLIGIBLE_LOSS * np.abs(golden[0]))
        apart = np.abs(ours[:common] - golden[:common]) / scale
    apart[np.isnan(apart)] = math.inf
    apart[_same(ours[:common], golden[:common])] = 0.0
    beyond = np.flatnonzero(apart > RUNGS["losses"])
    at = int(beyond[0] if exact and len(beyond) else apart.argmax())
    if exact and not len(beyond) and len(ours) != len(golden) and not about["error"]:
        return {"error": math.inf, "element": f"step {common + 1}, which only one of them took"}
    return {"error": apart[at], "element": f"step {at + 1}", "value": ours[at], "reference_value": golden[at]}


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


def _same(ours: Array, golden: Array) -> npt.NDArray[np.bool_]:
    """Where two arrays are equal, infinite values and those that are no numbers included: these are told apart."""
    equal: npt.NDArray[np.bool_] = (ours == golden) | (np.isnan(ours) & np.isnan(golden))
    return equal


def _size(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)]) if array.size else array
    return float(finite.max()) if finite.size else 0.0


def _load(folder: Path) -> tuple[list[Recording], list[str]]:
    recordings, problems = [], []
    for path in sorted(folder.glob("[!.]*.npz")):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                about = json.loads(str(archive["about"]))
                rungs: dict[str, dict[str, Array]] = {}
                for name in archive.files:
                    rung, slash, location = name.partition("/")
                    if slash:
                        array = archive[name]
                        parts = np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array
                        rungs.setdefault(rung, {})[location] = parts
            recordings.append(Recording({name: about[name] for name in _ABOUT}, rungs))
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            problems.append(f"left out: {path.name}: not a readable recording ({type(error).__name__})")
    return sorted(recordings, key=lambda one: one.about["numerics"] != EXACT), problems


_ABOUT = ("workload", "backend", "device", "numerics", "track", "seed", "error", "batches_digest", "unseen")


def _unclimbed(
    planned: Mapping[str, Any], recordings: Sequence[Recording], description: Mapping[str, Any]
) -> list[str]:
    """What was planned and is not there, with the reason."""
    problems = []
    there = {tuple(one.about[name] for name in (*LADDER, "seed")) for one in recordings}
    for ladder in planned["ladders"]:
        title = f"{ladder['backend']} {ladder['device']} {ladder['numerics']}"
        if ladder["skip"]:
            continue
        if ladder["status"] != "ok":
            problems.append(f"parity: {title} was not climbed: {ladder['status']}, {ladder['reason']}")
            continue
        for workload in description["workloads"]:
            for seed in planned["seeds"]:
                key = (workload["workload"], ladder["backend"], ladder["device"], ladder["numerics"], seed)
                if key not in there:
                    problems.append(f"parity: {_stem(workload['workload'])}: {title} left no recording of seed {seed}")
    for one in recordings:
        missing = [rung for rung in _expected(one) if rung not in one.rungs]
        if one.about["error"]:
            problems.append(f"parity: {_title(one.about)}, seed {one.about['seed']}: ended early: {one.about['error']}")
        elif missing:
            problems.append(
                f"parity: {_title(one.about)}, seed {one.about['seed']}: not recorded: {', '.join(missing)}"
            )
    return problems


def _expected(one: Recording) -> list[str]:
    """The rungs that a recording has unless it ended early, as it does where a loss is no finite number."""
    rungs = [rung for rung in RUNGS if rung != "classes"] if one.about["numerics"] == EXACT else list(ROUNDED_RUNGS)
    losses = one.rungs.get("losses", {}).get("loss", np.zeros(1))
    return rungs if np.isfinite(losses).all() else rungs[: rungs.index("losses")]


def _proved(table: pd.DataFrame, recordings: Sequence[Recording], seeds: Sequence[int]) -> set[tuple[str, ...]]:
    """The exact ladders that were climbed whole for every seed and failed nowhere, as was the golden one."""
    whole: dict[tuple[str, ...], set[int]] = {}
    for one in recordings:
        rungs = [rung for rung in RUNGS if rung != "classes"]
        if one.about["numerics"] == EXACT and not one.about["error"] and all(rung in one.rungs for rung in rungs):
            whole.setdefault(tuple(one.about[name] for name in LADDER), set()).add(one.about["seed"])
    complete = {ladder for ladder, climbed in whole.items() if climbed >= set(seeds)}
    exact = table[table["numerics"].eq(EXACT)]
    proved = set()
    for ladder, rows in exact.groupby(LADDER, sort=False):
        golden = any(other[:2] == (ladder[0], rows["reference"].iloc[0]) for other in complete)
        if ladder in complete and golden and rows["passed"].all():
            proved.add(tuple(map(str, ladder)))
    return proved


def _other_types(recordings: Sequence[Recording]) -> list[str]:
    """Exact recordings that are not exact: a layer with a type of its own, or an operation that has no float64."""
    first: dict[tuple[str, str, str], list[str]] = {}
    for one in recordings:
        for location, array in one.rungs.get("outputs", {}).items() if one.about["numerics"] == EXACT else ():
            if array.dtype.kind == "f" and array.dtype != np.float64:
                who = first.setdefault((one.about["workload"], location, array.dtype.name), [])
                who += [one.about["backend"]] if one.about["backend"] not in who else []
                break
    return [
        f"parity: {_stem(workload)}: layer {location} computes in {kind} on {', '.join(who)}, not float64"
        for (workload, location, kind), who in first.items()
    ]


def _not_finite(array: Array) -> npt.NDArray[np.bool_]:
    return ~np.isfinite(array)


def _not_numbers(recordings: Sequence[Recording]) -> list[str]:
    """Where a recording first has a value that is not a number: the workload's fault, or the backend's."""
    first: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in recordings:
        for rung, arrays in one.rungs.items():
            # Infinite outputs can be meant, as where attention is masked; infinite losses and gradients cannot.
            wrong = np.isnan if rung == "outputs" else _not_finite
            where = next((name for name, array in arrays.items() if wrong(array).any()), None)
            if where is not None:
                what = {"outputs": f"layer {where}"}.get(rung, f"{rung}, {where},")
                if rung == "losses":
                    what = f"the loss of step {len(arrays[where])}"
                value = arrays[where][wrong(arrays[where])].flat[0]
                what += f" gives {value}"
                backends = first.setdefault((one.about["workload"], what), {}).setdefault(one.about["numerics"], [])
                backends += [one.about["backend"]] if one.about["backend"] not in backends else []
                break
    return [
        f"parity: {_stem(workload)}: {what} in {kind} on {', '.join(backends)}"
        for (workload, what), kinds in first.items()
        for kind, backends in kinds.items()
    ]


def _other_batches(recordings: Sequence[Recording], reference: str) -> list[str]:
    """Recordings that did not see the reference's batches: what follows would mean nothing."""
    digests: dict[tuple[str, int], str] = {}
    started = [one for one in recordings if one.about["batches_digest"]]
    for one in sorted(started, key=lambda one: one.about["backend"] != reference):
        digests.setdefault((one.about["workload"], one.about["seed"]), one.about["batches_digest"])
    return [
        f"parity: {_title(one.about)}, seed {one.about['seed']}: its batches are not those of {reference}"
        for one in started
        if one.about["batches_digest"] != digests[one.about["workload"], one.about["seed"]]
    ]


def _broken(table: pd.DataFrame) -> list[str]:
    """For each ladder that failed, the first rung that did, with both values."""
    problems = []
    failed = table[table["passed"].eq(False)]
    parted = {(row.workload, row.backend, row.device) for row in failed[failed["numerics"].eq(EXACT)].itertuples()}
    for (*ladder, numerics), rows in failed.groupby(LADDER, sort=False):
        if numerics != EXACT and tuple(ladder) in parted:
            continue  # a consequence
        row = rows.iloc[0]
        seeds = rows["seed"].nunique()
        more = f" and {seeds - 1} more" if seeds > 1 else ""
        place = f"{row['location']} ({row['element']})" if row["element"] else row["location"]
        values = "" if pd.isna(row["value"]) else f"{row['value']:.17g} against {row['reference_value']:.17g}, "
        is_rounding = row["numerics"] != EXACT and row["rung"] != "weights"
        says = "is far less accurate than the others, judged by" if is_rounding else "parts from"
        problems.append(
            f"parity: {_title(row)} {says} {row['reference']} float64 at {row['rung']}, {place}: {values}"
            f"error {row['error']:.1e}, tolerance {row['tolerance']:.1e}, seed {row['seed']}{more}"
        )
    return problems


def _title(about: Any) -> str:
    return f"{_stem(about['workload'])} {about['backend']} {about['device']} {about['numerics']}"


def _stem(workload: str) -> str:
    return Path(workload).stem
