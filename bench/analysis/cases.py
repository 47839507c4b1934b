"""A row per planned case, from its launches."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd

from bench.analysis import nodes, predict, statistics
from bench.analysis.frames import CASES, DEVICE_VALUES, INTERVAL_LEVEL, Row, Run, counted
from bench.contract.case import CALLING, Case
from bench.contract.run_json import Planned, RunDescription

LATENCIES = ["p50_seconds", "p90_seconds", "p99_seconds"]
CASE_VALUES = [
    "launches",
    "disturbed",
    "replaced",
    "epoch_seconds",
    "epoch_seconds_low",
    "epoch_seconds_high",
    "cold_epoch_seconds",
    "setup_seconds",
    "epochs_used",
    "span_epochs",
    "callback_seconds",
    "samples_per_second",
    "flops_per_second",
    "ceiling_share",
    "trend",
    "trend_low",
    "trend_high",
    "trend_verdict",
    *LATENCIES,
    "first_token_seconds",
    "metric",
    "test_metric",
    "test_loss",
    "parameters",
    "peak_host_mib",
    "peak_device_mib",
    *DEVICE_VALUES,
]


def cases(run: Run) -> pd.DataFrame:
    """A row per planned case, in the plan's order, with the columns of cases.csv.

    A launch counts with its fastest steady epoch, the case with the geometric mean over its launches; the cold
    epoch and the trend likewise, setup, metrics and memory with the mean. The intervals of all trends hold together
    with 95 %. Where a run has nodes `nodes.interval` says what an interval is of. `p50_seconds` to `p99_seconds` are
    quantiles of all steady epochs of the counted launches, the last where there are a hundred. Of inference the epochs
    are calls, the cold one the first, and a launch counts with its median; of generation they are tokens, and
    `first_token_seconds` is the mean of launches' medians.
    Values are NaN where no launch was ok.
    """
    groups = dict(iter(run.launches.groupby(CASES, sort=False))) if len(run.launches) else {}
    keys, good = [*CASES, "repetition", "attempt"], counted(run)
    trained = run.epochs.merge(good[keys], on=keys).groupby(CASES, sort=False)
    called = good[good["task"].isin(CALLING)].groupby(CASES, sort=False)
    spread = {key: _epoch_values(group) for key, group in trained}
    spread |= {key: predict.quantiles(group["call_seconds"].explode()) for key, group in called}
    rows, level, alike = [], statistics.level_of(len(groups)), not nodes.unlike(run)
    for planned in run.description.plan:
        key = planned.case.key
        group = groups.get(key, run.launches.iloc[:0])
        status, reason = _status(group, planned, run.description)
        values = _case_values(group, level, alike)
        rows.append(
            {
                **asdict(planned.case),
                "status": status,
                "reason": reason,
                **values,
                **_rate(values.get("samples_per_second"), planned.case, run.description),
                **spread.get(key, {}),
            }
        )
    return pd.DataFrame(rows, columns=[*CASES, "status", "reason", *CASE_VALUES])


def _case_values(group: pd.DataFrame, level: float, alike: bool) -> Row:
    """`level` is that of each interval of a trend; `alike` is whether the nodes are machines of one kind."""
    good = group[group["counted"].astype(bool)]
    noise = {"disturbed": int((group["disturbed"] != "").sum()), "replaced": int((group["attempt"] > 1).sum())}
    if good.empty:
        return {"launches": 0, **noise}
    epoch = nodes.interval(good["epoch_seconds"], good["node"], INTERVAL_LEVEL, alike=alike)
    trend = statistics.mean_interval(good["trend"].dropna().astype(float), level)
    means = good[["test_metric", "test_loss", "peak_host_mib", "peak_device_mib", *DEVICE_VALUES]].astype(float).mean()
    return {
        "launches": len(good),
        **noise,
        "epoch_seconds": epoch.estimate,
        "epoch_seconds_low": epoch.low,
        "epoch_seconds_high": epoch.high,
        "cold_epoch_seconds": nodes.interval(
            good["cold_epoch_seconds"], good["node"], INTERVAL_LEVEL, alike=alike
        ).estimate,
        "setup_seconds": good["setup_seconds"].mean(),
        "first_token_seconds": good["first_token_seconds"].astype(float).mean(),
        "epochs_used": good["epochs_used"].astype(float).mean(),
        "span_epochs": good["span_epochs"].astype(float).median(),
        "callback_seconds": good["callback_seconds"].astype(float).mean(),
        "samples_per_second": float(good["samples_per_epoch"].iloc[0]) / epoch.estimate,
        **dict(zip(("trend", "trend_low", "trend_high"), trend, strict=True)),
        "trend_verdict": statistics.trend_verdict(trend),
        "parameters": good["parameters"].iloc[0],
        **means,
    }


def _rate(samples_per_second: object, case: Case, description: RunDescription) -> dict[str, float]:
    """Floating-point operations per second of training, and as a share of the fastest backend's matrix product."""
    workload = description.workload(case.workload)
    if case.task != "train" or not workload.step_flops or not isinstance(samples_per_second, float):
        return {}
    rate = workload.step_flops / workload.batch_size * samples_per_second
    ceiling = max((description.ceilings or {}).get(case.device, {}).values(), default=math.nan)
    return {"flops_per_second": rate, "ceiling_share": rate / ceiling}


def _epoch_values(epochs: pd.DataFrame) -> dict[str, float]:
    """What a case has from its epochs: quantiles of the steady ones, the mean of the last training metric."""
    steady = epochs.loc[~epochs["cold"].astype(bool), "seconds"].astype(float)
    last = epochs.sort_values("epoch").groupby(["repetition", "attempt"])["train_metric"].last()
    return {
        "metric": float(last.mean()),
        **predict.quantiles(steady),
    }


def _status(group: pd.DataFrame, planned: Planned, description: RunDescription) -> tuple[str, str]:
    """The status of a case: ok only where every planned launch is."""
    if planned.skip:
        return "skipped", planned.skip
    wanted = description.launches_of(planned)
    repetitions = set(group.loc[group["status"] == "ok", "repetition"])
    good = len(repetitions)
    if good == wanted:
        return "ok", ""
    bad = group[~group["repetition"].isin(repetitions)]
    if bad.empty:
        cut = group.empty or description.state == "interrupted"  # rather than that a record is gone
        return "skipped" if cut else "failed", f"{good} of {wanted} launches; the run is {description.state}"
    counted = f"{good} of {wanted} launches ok; " if wanted > 1 else ""
    first = bad.sort_values(["attempt", "repetition"]).iloc[0]  # later ones may only say that it was given up
    return str(first["status"]), f"{counted}{first['reason']}"
