"""Time to target: how many epochs and seconds of training it takes until the target is reached on held-out samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import pandas as pd

from bench.analysis import nodes, statistics
from bench.analysis.frames import CASES, INTERVAL_LEVEL, Row, Run, counted
from bench.contract.run_json import Workload

COLUMNS = [
    *CASES,
    "target",
    "launches",
    "reached",
    "epochs_to_target",
    "seconds_to_target",
    "seconds_to_target_low",
    "seconds_to_target_high",
    "against",
    "ratio",
    "ratio_low",
    "ratio_high",
    "level",
]


def targets(run: Run) -> pd.DataFrame:
    """A row per case whose launches evaluated held-out samples after each epoch and whose workload has a target.

    `seconds_to_target` are those of a launch from the call of `fit` until the end of the first epoch after which the
    target was reached, cold start included, validation not; of a case the geometric mean, and `epochs_to_target` the
    mean, over its counted launches. A launch that missed the target has no time, nor has a case one of whose launches
    missed it: a mean over those that did not would flatter. `ratio` is against the reference backend, paired by
    repetition; the intervals of all ratios hold together with 95 %.
    """
    workloads = run.description.by_workload()
    launches = dict(iter(_launches(run, workloads).groupby(CASES, sort=False)))
    reference = run.description.reference
    cases = [planned.case for planned in run.description.plan if planned.case.key in launches]
    opponents = [
        None if case.backend == reference else launches.get(replace(case, backend=reference).key) for case in cases
    ]
    level, alike = statistics.level_of(sum(theirs is not None for theirs in opponents)), not nodes.unlike(run)
    rows = []
    for case, theirs in zip(cases, opponents, strict=True):
        target = workloads[case.workload].target.value
        rows.append({**asdict(case), "target": target, **_row(launches[case.key], theirs, reference, level, alike)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _launches(run: Run, workloads: Mapping[str, Workload]) -> pd.DataFrame:
    """For each counted launch that evaluated held-out samples how long it took to the target; NaN where it missed."""
    of_launch = [*CASES, "repetition", "attempt"]
    keys = [*of_launch, "node"]
    epochs = run.epochs.merge(counted(run)[[*keys, "setup_seconds"]], on=of_launch)
    epochs = epochs[epochs["validation_metric"].notna()].sort_values("epoch", kind="stable")
    rows = []
    for key, group in epochs.groupby(keys, sort=False):
        target = workloads[group["workload"].iloc[0]].target
        if target.value is None:
            continue
        metric = group["validation_metric"].astype(float)
        met = metric <= target.value if target.lower_is_better else metric >= target.value
        took = (math.nan, math.nan)
        if met.any():
            first = int(met.to_numpy().argmax()) + 1
            took = (first, group["setup_seconds"].iloc[0] + group["seconds"].iloc[:first].sum())
        rows.append((*key, *took))
    return pd.DataFrame(rows, columns=[*keys, "epochs_to_target", "seconds_to_target"])


def _row(ours: pd.DataFrame, theirs: pd.DataFrame | None, reference: str, level: float, alike: bool) -> Row:
    reached = ours["seconds_to_target"].notna()
    row: Row = {"launches": len(ours), "reached": int(reached.sum())}
    if not reached.all():
        return row
    mean = nodes.interval(ours["seconds_to_target"], ours["node"], INTERVAL_LEVEL, alike=alike)
    row |= {"epochs_to_target": ours["epochs_to_target"].mean()}
    row |= dict(zip(("seconds_to_target", "seconds_to_target_low", "seconds_to_target_high"), mean, strict=True))
    if theirs is None or not theirs["seconds_to_target"].notna().all():
        return row
    ratios = statistics.paired_ratios(ours, theirs, column="seconds_to_target")
    places = ours.set_index("repetition")["node"].reindex(ratios.index)
    ratio = nodes.interval(ratios, places, level, alike=alike)
    row |= {"against": f"backend={reference}", "level": level}
    return row | dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True))
