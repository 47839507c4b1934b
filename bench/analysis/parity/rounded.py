"""Judging rounded arithmetic: is a backend's float32, or the like, far less accurate than the others'?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.parity.distances import NEGLIGIBLE, Array, on_the_other_side, size
from bench.analysis.parity.recordings import Recording
from bench.contract.parity import EXACT

Row = dict[str, Any]  # of parity.csv, by column
MISSING: Array = np.array(np.nan)

ROUNDING = {"float32": 2.0**-24, "tf32": 2.0**-11, "bfloat16": 2.0**-8, "float16": 2.0**-11}  # the unit roundoff
WORSE = 10.0  # times the others' largest error
# Below so much nobody is worse than anybody. Chosen from 20 seeds of three workloads in float32, where no output, loss
# or gradient of a backend was further off than 3.9 times the others' largest error or 21 units of rounding, and from 4
# of `resnet`: the first normalised outputs of TensorFlow, which sums a batch value by value, are 27 to 33 units off, 8
# to 13 times as far as the others' (later layers of all are further off, and closer to each other). Products in TF32
# would be off by thousands.
UNREMARKABLE = {name: (64 if name == "float32" else 32) * unit for name, unit in ROUNDING.items()}
# A sum that is added value by value rounds at every step. Where these roundings are random, its error grows as the
# square root of its length: so many units beside the terms, of which the largest gradient gives the size. A product in
# TF32 would be off by 8,192 of float32's units.
SUMMED = 4.0
# What comes after a relu or a maximum jumps where rounding decides on which side an element falls: gradients by up to
# 2 % of the largest, losses by up to 1.2 % after 20 steps. So a loss only counts where it is far off or no number, and
# so do the gradients of a backend that has such an element.
DIVERGED = 0.1  # of a loss, or of the largest gradient
ARITHMETIC = ["workload", "device", "numerics"]  # in which backends are compared


class Crossing(NamedTuple):
    """`elements` outputs of a layer that are zero in exact mode or in rounded arithmetic, but not in both.

    Rounding decided the sign of what a relu was given, so a gradient flows in one of the two alone.
    """

    workload: str
    device: str
    numerics: str
    backend: str
    seed: int
    location: str
    elements: int


def crossings(recordings: Sequence[Recording], golden: Recording) -> Iterator[Crossing]:
    """Where rounding put outputs on the other side of zero."""
    theirs = golden.rungs.get("outputs", {})
    for recording in recordings:
        if recording.about["numerics"] == EXACT:
            continue
        for location, array in recording.rungs.get("outputs", {}).items():
            count = on_the_other_side(array, theirs.get(location, MISSING))
            if count:
                about = {name: recording.about[name] for name in ("workload", "device", "numerics", "backend", "seed")}
                yield Crossing(**about, location=location, elements=count)


def longest_sum(golden: Recording) -> int:
    """About how many numbers the longest sum of a network has: weights of an output, or places of a channel.

    What a channel's bias and a normalisation see is summed over samples and places.
    """
    outputs = [array.size / array.shape[-1] for array in golden.rungs.get("outputs", {}).values() if array.ndim > 1]
    weights = [array.size / array.shape[-1] for array in golden.rungs.get("weights", {}).values() if array.ndim > 1]
    return int(max([*outputs, *weights], default=1))


def judged(rows: Sequence[Row], crossed: set[str], golden: Recording) -> Iterator[Row]:
    """Rows of several backends in one rounded arithmetic, each judged by the errors of the others at the same place.

    `crossed` are the backends that have a `Crossing`. A gradient's error counts beside the largest gradient.
    """
    sizes = {name: size(array) for name, array in golden.rungs.get("gradients", {}).items()}
    largest, length = max(sizes.values(), default=0.0), longest_sum(golden)
    table: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        table.setdefault((row["rung"], row["location"]), {})[row["backend"]] = row["error"]
    for row in rows:
        others = [
            error
            for backend, error in table[row["rung"], row["location"]].items()
            if backend != row["backend"] and math.isfinite(error)
        ]
        if row["rung"] == "weights" or math.isinf(row["error"]):
            yield {**row, "passed": row["error"] <= row["tolerance"]}
        elif others:
            unit = ROUNDING[row["numerics"]]
            least = max(UNREMARKABLE[row["numerics"]], SUMMED * math.sqrt(length) * unit)
            if row["rung"] == "losses":
                least = DIVERGED
            elif row["rung"] == "gradients":
                measured = max(sizes.get(row["location"], 0.0), NEGLIGIBLE["gradients"] * largest)
                least *= largest / measured if measured else 1.0
                least = max(least, DIVERGED) if row["backend"] in crossed else least
            tolerance = max(WORSE * max(others), least)
            yield {**row, "tolerance": tolerance, "passed": row["error"] <= tolerance}
        else:
            yield {**row, "tolerance": None, "passed": None}  # nobody to be worse than


def accuracies(table: pd.DataFrame, crossed: Sequence[Crossing]) -> pd.DataFrame:
    """How far each backend's rounded arithmetic is from exact mode, in units of that arithmetic's rounding.

    A row per workload, device, numerics and backend: the largest error of each rung, and `typical`, the geometric
    mean over layers and gradients, by which the most accurate is named. None counts less than a unit / 1000. Gradients
    of a seed in which they jump at a relu say who was unlucky and not who is accurate, so they do not count.
    """
    rounded = table[table["numerics"].ne(EXACT) & table["rung"].ne("weights")]
    units = rounded.assign(units=rounded["error"].astype(float) / rounded["numerics"].map(ROUNDING).astype(float))
    keys = [*ARITHMETIC, "backend"]
    largest = units.pivot_table("units", keys, "rung", "max", sort=False)
    unlucky = {(crossing.workload, crossing.device, crossing.numerics, crossing.seed) for crossing in crossed}
    jumps = [key in unlucky for key in units[[*ARITHMETIC, "seed"]].itertuples(index=False, name=None)]
    parts = units[units["rung"].eq("outputs") | (units["rung"].eq("gradients") & ~np.array(jumps, dtype=bool))]
    # Only what all of them recorded can be averaged, and layers that compute nothing (flatten) would dilute it.
    places = parts.groupby([*ARITHMETIC, "seed", "rung", "location"])["units"]
    everybody = parts.groupby(ARITHMETIC)["backend"].transform("nunique")
    worst = places.transform("max").astype(float)
    alive = parts[(places.transform("count") == everybody) & (worst > 0) & np.isfinite(worst)]
    logs = np.log(alive["units"].clip(lower=1e-3))
    return largest.join(np.exp(logs.groupby([alive[name] for name in keys], sort=False).mean()).rename("typical"))
