"""Records to tidy DataFrames to statistics to comparisons: pandas and scipy; only `load` touches files."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.analysis import comparisons as comparing
from bench.analysis import frames, knobs
from bench.analysis.comparisons import Comparisons
from bench.analysis.frames import PHASES, Run
from bench.analysis.knobs import Choice
from bench.analysis.parity import Parity, compare
from bench.record import title


class Analysis(NamedTuple):
    """Everything a report shows; `problems` are the reasons, in words, for an exit status other than 0."""

    run: Run
    cases: pd.DataFrame
    comparisons: Comparisons
    choices: list[Choice]
    parity: Parity | None
    spent: dict[str, float]
    problems: list[str]


def analyse(folder: Path) -> Analysis:
    """All tables of the run in `folder`, from run.json and the records alone.

    Raises RunFormatError where run.json cannot be used.
    """
    run = frames.load(folder)
    cases = frames.cases(run)
    comparisons = comparing.compare(run)
    parity = compare(folder, run.description)
    found = problems(run, cases, comparisons) + (parity.problems if parity else [])
    return Analysis(run, cases, comparisons, knobs.choices(run), parity, time_spent(run), found)


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
        parts["setup"] = float(good["setup_seconds"].astype(float).sum())
        parts["start and exit"] = float(good["wall_seconds"].astype(float).sum()) - sum(parts.values())
    if len(bad):
        parts["launches without a result"] = float(bad["wall_seconds"].astype(float).sum())
    ladders = run.description.get("parity", {}).get("ladders", [])
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
    found += run.warnings + comparisons.refused
    differing = comparisons.table[comparisons.table["metric_verdict"] == "different"]
    found += [
        f"{title(row)}: its metric is different from that of {row['against']}" for row in differing.to_dict("records")
    ]
    return found
