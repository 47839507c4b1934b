"""Why a run is not a full success, in words."""

from __future__ import annotations

import pandas as pd

from bench.analysis import frames, predict
from bench.analysis.comparisons import OTHER_FILES, OTHER_TRAININGS, Comparisons, family
from bench.analysis.frames import Run
from bench.contract.case import QUICK_EPOCHS, title


def problems(run: Run, cases: pd.DataFrame, comparisons: Comparisons) -> list[str]:
    """Why a run is not a full success, a sentence each: cases without a result, unusable records, other metrics."""
    sentences = [
        f"{title(case)}: {case['status']}, {case['reason']}"
        for case, planned in zip(cases.to_dict("records"), run.description.plan, strict=True)
        if case["status"] != "ok" and not planned.skip
    ]
    if run.description.state != "finished":
        sentences.append(f"the run is {run.description.state}")
    sentences += _not_learned(run, cases)
    sentences += run.warnings + comparisons.refused
    sentences += predict.differing(frames.counted(run), run.description.reference)
    table = comparisons.table
    meant_to = table["against"].map(family).isin(OTHER_TRAININGS) | table["against"].str.startswith(OTHER_FILES)
    differing = table[(table["metric_verdict"] == "different") & ~meant_to]
    sentences += [
        f"{title(row)}: its metric is different from that of {row['against']}" for row in differing.to_dict("records")
    ]
    sentences += [
        f"{title(row)}: takes {row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}] times as long as "
        f"{row['against'].partition('=')[2]}, more than --fail-slower allows"
        for row in table[table["limit_verdict"] == "exceeded"].to_dict("records")
    ]
    return sentences


def _not_learned(run: Run, cases: pd.DataFrame) -> list[str]:
    """The cases that trained at least as long as the smoke test and did not reach what it reaches."""
    sentences, workloads = [], run.description.by_workload()
    for case in cases[cases["test_metric"].notna()].to_dict("records"):
        workload = workloads[case["workload"]]
        target, batch_size = workload.target, workload.batch_size
        long_enough = case["samples"] >= workload.quick_samples and case["epochs"] >= QUICK_EPOCHS
        if target.quick is None or not long_enough or case["batch_size"] != batch_size:
            continue
        sign = -1 if target.lower_is_better else 1
        if sign * case["test_metric"] < sign * target.quick:
            reached = f"{target.metric} {case['test_metric']:.4f} on the test set"
            expected = f"expected {target.quick} or better, and guessing gives {target.chance}"
            sentences.append(f"{title(case)}: has not learned: {reached}, {expected}")
    return sentences
