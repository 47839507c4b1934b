"""Records to tidy DataFrames to statistics to comparisons: pandas and scipy; only `load` touches files."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.analysis import calls, frames, knobs
from bench.analysis import cases as of_cases
from bench.analysis import comparisons as comparing
from bench.analysis.comparisons import Comparisons
from bench.analysis.frames import PHASES, Run
from bench.analysis.knobs import Choice
from bench.analysis.parity import Parity, compare
from bench.analysis.targets import targets
from bench.record import QUICK_EPOCHS, title


class Analysis(NamedTuple):
    """Everything a report shows; `problems` are the reasons, in words, for an exit status other than 0."""

    run: Run
    cases: pd.DataFrame
    comparisons: Comparisons
    choices: list[Choice]
    targets: pd.DataFrame
    parity: Parity | None
    spent: dict[str, float]
    problems: list[str]


def analyse(folder: Path) -> Analysis:
    """All tables of the run in `folder`, from run.json and the records alone.

    Raises RunFormatError where run.json cannot be used.
    """
    run = frames.load(folder)
    cases = of_cases.cases(run)
    comparisons = comparing.compare(run)
    parity = compare(folder, run.description)
    found = problems(run, cases, comparisons) + (parity.problems if parity else [])
    return Analysis(run, cases, comparisons, knobs.choices(run), targets(run), parity, time_spent(run), found)


def time_spent(run: Run) -> dict[str, float]:
    """Seconds of the run's wall time by what they went into; empty for a run that has no wall time yet."""
    wall = run.description.get("wall_seconds")
    if not wall:
        return {}
    launches = run.launches
    good, bad = launches[launches["status"] == "ok"], launches[launches["status"] != "ok"]
    parts = {}
    if len(good):
        parts = {name.removesuffix("_seconds"): float(good[name].astype(float).sum()) for name in PHASES}
        called = float(good.loc[good["task"] == "predict", PHASES[0]].astype(float).sum())
        parts |= {"epochs": parts["epochs"] - called, "calls": called} if called else {}
        parts["setup"] = float(good["setup_seconds"].astype(float).sum())
        parts["start and exit"] = float(good["wall_seconds"].astype(float).sum()) - sum(parts.values())
    if len(bad):
        parts["launches without a result"] = float(bad["wall_seconds"].astype(float).sum())
    ladders = (run.description.get("parity") or {}).get("ladders", [])
    if ladders:
        parts["parity"] = sum(ladder["wall_seconds"] for ladder in ladders)
    if run.description.get("tuning_seconds", 0) >= 0.5:
        parts["search for knobs"] = run.description["tuning_seconds"]
    parts["prepare"] = wall - sum(parts.values())
    return parts


def problems(run: Run, cases: pd.DataFrame, comparisons: Comparisons) -> list[str]:
    """What keeps a run from being a full success: cases without a result, unusable records, metrics that differ."""
    found = [
        f"{title(case)}: {case['status']}, {case['reason']}"
        for case, planned in zip(cases.to_dict("records"), run.description["plan"], strict=True)
        if case["status"] != "ok" and not planned["skip"]
    ]
    if run.description["state"] != "finished":
        found.append(f"the run is {run.description['state']}")
    found += _not_learned(run, cases)
    found += run.warnings + comparisons.refused
    found += calls.differing(frames.counted(run), run.description["reference"])
    differing = comparisons.table[comparisons.table["metric_verdict"] == "different"]
    found += [
        f"{title(row)}: its metric is different from that of {row['against']}" for row in differing.to_dict("records")
    ]
    return found


def _not_learned(run: Run, cases: pd.DataFrame) -> list[str]:
    """The cases that trained at least as long as the smoke test and did not reach what it reaches."""
    workloads = {one["workload"]: one for one in run.description["workloads"]}
    found = []
    for case in cases[cases["test_metric"].notna()].to_dict("records"):
        workload = workloads[case["workload"]]
        target, batch_size = workload["target"], workload["batch_size"]
        long_enough = case["samples"] >= workload["quick_samples"] and case["epochs"] >= QUICK_EPOCHS
        if target.get("quick") is None or not long_enough or case["batch_size"] != batch_size:
            continue
        sign = -1 if target.get("lower_is_better") else 1
        if sign * case["test_metric"] < sign * target["quick"]:
            reached = f"{target['metric']} {case['test_metric']:.4f} on the test set"
            expected = f"expected {target['quick']} or better, and guessing gives {target.get('chance')}"
            found.append(f"{title(case)}: has not learned: {reached}, {expected}")
    return found
