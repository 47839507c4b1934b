"""Parity's comparing half: recorded ladders to rows that passed or failed, and to the first rung that failed.

The golden recording is the reference backend's in exact mode. Other backends' exact recordings have to agree with it
within `RUNGS`; recordings in float32 and the like are held against it, and against each other's distance from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.parity import rounded
from bench.analysis.parity.devices import Place, compare_devices
from bench.analysis.parity.distances import FLOAT32_INSIDE, LOOSE, step_bounds
from bench.analysis.parity.known import finding
from bench.analysis.parity.recordings import (
    LADDER,
    Recording,
    ended_as_known,
    faults,
    inexact_outputs,
    load,
    rungs_of,
    title,
)
from bench.analysis.parity.rounded import MISSING, Row
from bench.analysis.parity.rows import group_rows
from bench.contract.case import stem
from bench.contract.parity import EXACT, KNOWN, NUDGED
from bench.contract.run_json import RunDescription

COLUMNS = [
    "workload",
    "backend",
    "reference",
    "device",
    "numerics",
    "track",
    "optimizer",
    "variant",
    "device_count",
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
    """The rows of parity.csv, in words what broke, and the ladders (`LADDER` columns) that agree on every rung.

    `remarks` are said and break nothing: inaccuracy of a known kind, and how far rounding takes a training. `known` are
    the ladders that part in such a way alone. `shared` are the rows of ladders on several devices, held against one
    device of the same backend, and `on_several` how each of these ended.
    """

    table: pd.DataFrame
    problems: list[str]
    remarks: list[str]
    proved: set[tuple[Hashable, ...]]
    crossings: list[rounded.Crossing]
    steps: int
    seeds: int
    known: frozenset[tuple[Hashable, ...]] = frozenset()
    shared: pd.DataFrame = pd.DataFrame(columns=COLUMNS)
    on_several: Mapping[Place, str] = MappingProxyType({})

    @property
    def every(self) -> pd.DataFrame:
        """The rows of parity.csv: those of one device, then those of several."""
        return pd.concat([self.table, self.shared], ignore_index=True) if len(self.shared) else self.table

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
    remarks = ended_as_known(recordings)
    several = compare_devices(recordings, planned.seeds)
    recordings = [one for one in recordings if one.about["device_count"] == 1]
    rows: list[Row] = []
    crossings: list[rounded.Crossing] = []
    first = next((ladder.variant for ladder in planned.ladders), "")
    optimizers = dict.fromkeys(one.about["optimizer"] for one in recordings)
    for workload in description.workloads:
        for seed, optimizer in itertools.product(planned.seeds, optimizers):
            key = workload.workload, seed, optimizer
            group = [one for one in recordings if tuple(one.about[name] for name in GROUP) == key]
            golden = _golden(group, description.reference, first)
            if golden:
                remarks += _amplified(golden)
                crossed = list(rounded.crossings(group, golden))
                rows += group_rows(group, golden, crossed)
                crossings += crossed
    table = pd.DataFrame(rows, columns=COLUMNS)
    proved = _proved(table, recordings, planned.seeds)
    broken, inaccurate, known = _broken(
        table, {(one.about["workload"], one.about["seed"]): one.about["kinds"] for one in recordings}
    )
    return Parity(
        table,
        [*problems, *broken, *several.problems],
        [*remarks, *inaccurate, *several.remarks],
        proved,
        crossings,
        planned.steps,
        len(planned.seeds),
        known,
        pd.DataFrame(several.rows, columns=COLUMNS),
        several.outcomes,
    )


def _golden(group: Sequence[Recording], reference: str, variant: str) -> Recording | None:
    """The recording that the others of a workload, seed and optimizer are held against, if there is an exact one."""
    exact = [recording for recording in group if recording.about["numerics"] == EXACT and not recording.about["error"]]
    # On a CPU where there is one: what a GPU does is then judged too, the reference backend's included.
    order = {"track": "fit", "variant": variant, "backend": reference, "device": "cpu"}

    def differs(recording: Recording) -> list[bool]:
        return [recording.about[name] != value for name, value in order.items()]

    return min(exact, key=differs, default=None)


def _amplified(golden: Recording) -> Iterator[str]:
    """In words, the step from which rounding alone may take a training so far that its losses show little."""
    losses, beside = (golden.rungs.get(f"{prefix}losses", {}).get("loss", MISSING) for prefix in ("", NUDGED))
    bounds = step_bounds(losses, beside) if losses.ndim and beside.ndim else np.zeros(0)
    loose = np.flatnonzero(bounds > LOOSE)
    if len(loose):
        yield (
            f"parity: {stem(golden.about['workload'])}, seed {golden.about['seed']}: rounding alone may take its "
            f"losses {LOOSE:.0%} apart from step {loose[0] + 1} on; only what comes before shows whether backends agree"
        )


def _is_beyond_float32(rows: pd.DataFrame) -> pd.Series[bool]:
    """Rows that float32's rounding in a layer before them does not explain; of training, which amplifies it, none."""
    beyond = rows["rung"].map({"outputs": FLOAT32_INSIDE, "loss": FLOAT32_INSIDE, "gradients": rounded.DIVERGED})
    return rows["error"].gt(beyond)


def _proved(table: pd.DataFrame, recordings: Sequence[Recording], seeds: Sequence[int]) -> set[tuple[Hashable, ...]]:
    """The exact ladders that were climbed whole for every seed and failed nowhere, as was the golden one."""
    whole: dict[tuple[str, ...], set[int]] = {}
    for recording in recordings:
        everything = all(rung in recording.rungs for rung in rungs_of(recording.about))
        exact = recording.about["numerics"] == EXACT and not inexact_outputs(recording)
        if exact and not recording.about["error"] and everything:
            whole.setdefault(tuple(recording.about[name] for name in LADDER), set()).add(recording.about["seed"])
    complete = {ladder for ladder, climbed in whole.items() if climbed >= set(seeds)}
    exact = table[table["numerics"].eq(EXACT)]
    proved: set[tuple[Hashable, ...]] = set()
    for ladder, rows in exact.groupby(LADDER, sort=False):
        wanted = (ladder[0], rows["reference"].iloc[0], ladder[5])
        golden = any((other[0], other[1], other[5]) == wanted for other in complete)
        if ladder in complete and golden and rows["passed"].all():
            proved.add(ladder)
    return proved


def _broken(
    table: pd.DataFrame, kinds: Mapping[tuple[str, int], Mapping[str, str]]
) -> tuple[list[str], list[str], frozenset[tuple[Hashable, ...]]]:
    """For each ladder that failed, the first rung that did, with both values; and likewise what is only a remark.

    The third are the ladders of remarks, and what follows from these. `kinds` are the classes of layers by location, of
    each workload and seed.
    """
    problems, remarks = list[str](), list[str]()
    ways = set[tuple[Hashable, ...]]()
    consequences = set[tuple[Hashable, ...]]()
    failed = table[table["passed"].eq(False)]
    first = {"numerics": EXACT, "track": "fit", "optimizer": "own"}
    by_fit = failed[(failed[list(first)] == list(first.values())).all(axis=1)]
    parted = {(row.workload, row.backend, row.device, row.variant) for row in by_fit.itertuples()}
    for (*ladder, numerics, track, optimizer, variant), rows in failed.groupby(LADDER, sort=False):
        if [numerics, track, optimizer] != list(first.values()) and (*ladder, variant) in parted:
            consequences.add((*ladder, numerics, track, optimizer, variant))
            continue
        known = finding(rows.iloc[0], kinds.get((rows.iloc[0]["workload"], rows.iloc[0]["seed"]), {}))
        beyond = rows[_is_beyond_float32(rows)] if known and known.float32_inside else rows
        row = rows.iloc[0] if beyond.empty else beyond.iloc[0]
        seeds = rows["seed"].nunique()
        more = f" and {seeds - 1} more" if seeds > 1 else ""
        place = f"{row['location']} ({row['element']})" if row["element"] else row["location"]
        values = "" if pd.isna(row["value"]) else f"{row['value']:.17g} against {row['reference_value']:.17g}, "
        is_rounding = row["numerics"] != EXACT and row["rung"] != "weights"
        says = "is far less accurate than the others, judged by" if is_rounding else "parts from"
        is_inaccurate = known is not None and (known.rounded or beyond.empty)
        if is_inaccurate:
            ways.add((*ladder, numerics, track, optimizer, variant))
        if known and known.float32_inside and not beyond.empty:
            explained = f"; more than float32 inside makes of it ({KNOWN}{known.title})"
        else:
            explained = f"; a known difference, {KNOWN}{known.title}" if known else ""
        (remarks if is_inaccurate else problems).append(
            f"parity: {title(row)} {says} {row['reference']} float64 at {row['rung']}, {place}: {values}"
            f"error {row['error']:.1e}, tolerance {row['tolerance']:.1e}, seed {row['seed']}{more}{explained}"
        )
    accepted = {(*way[:3], way[-1]) for way in ways if way[3:-1] == tuple(first.values())}
    ways |= {ladder for ladder in consequences if (*ladder[:3], ladder[-1]) in accepted}
    return problems, remarks, frozenset(ways)
