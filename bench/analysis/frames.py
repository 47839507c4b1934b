"""A run's folder to tidy DataFrames: a row per launch, per epoch, per case."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench import record
from bench.analysis import calls, statistics
from bench.disturbance import disturbed, why_disturbed
from bench.record import CASE_COLUMNS, TUNING_COLUMNS, case_key, title

CASES = list(CASE_COLUMNS)
GAUGES = [
    "steal_fraction",
    "other_cpu_seconds",
    "wait_seconds",
    "involuntary_switches",
    "full_collections",
    "probe_seconds",
    "load",
    "frequency_mhz",
    "temperature_celsius",
    "gpu_mhz",
    "gpu_watts",
    "gpu_celsius",
    "gpu_throttled",
]
VALIDATION = ["validation_loss", "validation_metric"]
EPOCH_VALUES = ["seconds", "validation_seconds", "cpu_seconds", *GAUGES]
EPOCH_HEAD = [*CASES, "repetition", "attempt", "seed", "epoch", "cold"]
EPOCH_COLUMNS = [*EPOCH_HEAD, *EPOCH_VALUES, "train_loss", "train_metric", *VALIDATION, "disturbed"]
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
    "samples_per_second",
    "flops_per_second",
    "ceiling_share",
    "trend",
    "trend_low",
    "trend_high",
    "trend_verdict",
    *LATENCIES,
    "metric",
    "test_metric",
    "test_loss",
    "parameters",
    "peak_host_mib",
    "peak_device_mib",
]
PHASES = ["epochs_seconds", "import_seconds", "data_seconds", "build_seconds", "evaluate_seconds"]
LAUNCH_VALUES = [
    "epoch_seconds",
    "trend",
    "cold_epoch_seconds",
    "setup_seconds",
    "epochs_used",
    "samples_per_epoch",
    "test_metric",
    "test_loss",
    "parameters",
    "peak_host_mib",
    "peak_device_mib",
    "weights_digest",
    "batches_digest",
    *PHASES,
]
LAUNCH_WORDS = ["command", "versions", "resolved"]  # kept as the record has them, for the report
LAUNCH_LISTS = ["call_seconds", "outputs"]  # of inference
LAUNCH_HEAD = [*CASES, "repetition", "attempt", "seed", "status", "reason", "disturbed", "counted", "wall_seconds"]
LAUNCH_COLUMNS = [*LAUNCH_HEAD, *LAUNCH_VALUES, *LAUNCH_WORDS, *LAUNCH_LISTS]
INTERVAL_LEVEL = 0.95


class RunFormatError(Exception):
    """A folder is not a run that this version reads; the message says which and why."""


class Run(NamedTuple):
    """A run as it was recorded: run.json, a row per launch, per epoch and per configuration that a search tried.

    `warnings` say in words what had to be left out.
    """

    description: dict[str, Any]
    launches: pd.DataFrame
    epochs: pd.DataFrame
    tuning: pd.DataFrame
    warnings: list[str]


def load(folder: Path) -> Run:
    """Read run.json and the records; a record that cannot be used is left out with a warning.

    Raises RunFormatError when run.json itself cannot be used.
    """
    description = _description(folder / "run.json")
    planned = {json.dumps(item["case"]) for item in description["plan"]}
    launches, epochs, warnings, seen = [], [], [], set()
    for path in sorted((folder / "launches").glob("[!.]*.json")):
        try:
            launch = record.read(path)["launch"]
        except record.RecordError as error:
            warnings.append(f"left out: {error}")
            continue
        case = json.dumps({name: launch["case"][name] for name in CASES})
        if case not in planned:
            warnings.append(f"left out: {path.name}: its case is not in the run's plan")
            continue
        key = case, launch["repetition"], launch.get("attempt", 1)
        if key in seen:
            warnings.append(f"left out: {path.name}: another record holds this repetition of its case")
            continue
        seen.add(key)
        launches.append(_launch_row(launch))
        epochs += _epoch_rows(launch)
    table = pd.DataFrame(launches, columns=LAUNCH_COLUMNS)
    table["counted"] = _counted(table)
    tuning = _tuning(folder / "tuning.csv", warnings)
    run = Run(description, table, pd.DataFrame(epochs, columns=EPOCH_COLUMNS), tuning, warnings)
    warnings.extend(_without_spread(run))
    return run


def _tuning(path: Path, warnings: list[str]) -> pd.DataFrame:
    """What the search for knobs tried, `knobs` as dictionaries."""
    nothing = pd.DataFrame(columns=list(TUNING_COLUMNS))
    if not path.exists():
        return nothing
    try:
        found = pd.read_csv(path, keep_default_na=False, na_values={"step_seconds": [""]})[list(TUNING_COLUMNS)]
        return found.assign(knobs=found["knobs"].map(json.loads))
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.append(f"left out: {path.name}: {str(error).splitlines()[0]}")
        return nothing


def _without_spread(run: Run) -> Iterator[str]:
    """The cases whose launches all took exactly as long, which no clock that works says twice."""
    for _, group in counted(run).groupby(CASES, sort=False):
        if len(group) > 1 and group["epoch_seconds"].nunique() == 1:
            seconds = group["epoch_seconds"].iloc[0]
            yield (
                f"{title(group.iloc[0])}: all {len(group)} launches took exactly {seconds:g} s: copied records, or a "
                "clock too coarse; there is no interval"
            )


def counted(run: Run) -> pd.DataFrame:
    """The launches that every figure rests on: one of each case and repetition, see `_counted`."""
    return run.launches[run.launches["counted"].astype(bool)]


def _counted(launches: pd.DataFrame) -> pd.Series:
    """Of a repetition of a group the first attempt in which no launch was disturbed, else the first; never by time.

    A group is what differs only in its backend, track and input. An attempt with fewer ok launches than the first is
    none.
    """
    good = launches[launches["status"] == "ok"]
    place = [*(name for name in CASES if name not in ("backend", "track", "input")), "repetition"]
    attempts = good.assign(noisy=good["disturbed"] != "").groupby([*place, "attempt"], sort=True)["noisy"]
    table = attempts.agg(noisy="any", size="size").reset_index()
    table["noisy"] |= table["size"] < table.groupby(place)["size"].transform("first")
    chosen = table.sort_values(["noisy", "attempt"], kind="stable").drop_duplicates(place)[[*place, "attempt"]]
    found = good[[*place, "attempt"]].reset_index().merge(chosen, on=[*place, "attempt"])["index"]
    return pd.Series(launches.index.isin(found), index=launches.index)


def cases(run: Run) -> pd.DataFrame:
    """A row per planned case, in the plan's order, with the columns of cases.csv.

    A launch counts with its fastest steady epoch, the case with the geometric mean over its launches; the cold
    epoch and the trend likewise, setup, metrics and memory with the mean. The intervals of all trends hold together
    with 95 %. `p50_seconds` to `p99_seconds` are quantiles of all steady epochs of the counted launches, the last where
    there are a hundred. Of inference the epochs are calls, the cold one the first, and a launch counts with its median.
    Values are NaN where no launch was ok.
    """
    groups = dict(iter(run.launches.groupby(CASES, sort=False))) if len(run.launches) else {}
    keys, good = [*CASES, "repetition", "attempt"], counted(run)
    trained = run.epochs.merge(good[keys], on=keys).groupby(CASES, sort=False)
    called = good[good["task"] == "predict"].groupby(CASES, sort=False)
    spread = {key: _epoch_values(group) for key, group in trained}
    spread |= {key: calls.quantiles(group["call_seconds"].explode()) for key, group in called}
    rows, level = [], statistics.level_of(len(groups))
    for planned in run.description["plan"]:
        key = case_key(planned["case"])
        group = groups.get(key, run.launches.iloc[:0])
        status, reason = _status(group, planned, run.description)
        values = _case_values(group, level)
        rows.append(
            {
                **planned["case"],
                "status": status,
                "reason": reason,
                **values,
                **_rate(values.get("samples_per_second"), planned["case"], run.description),
                **spread.get(key, {}),
            }
        )
    return pd.DataFrame(rows, columns=[*CASES, "status", "reason", *CASE_VALUES])


def _case_values(group: pd.DataFrame, level: float) -> dict[str, Any]:
    """`level` is that of each interval of a trend."""
    good = group[group["counted"].astype(bool)]
    noise = {"disturbed": int((group["disturbed"] != "").sum()), "replaced": int((group["attempt"] > 1).sum())}
    if good.empty:
        return {"launches": 0, **noise}
    epoch = statistics.mean_interval(good["epoch_seconds"], INTERVAL_LEVEL)
    trend = statistics.mean_interval(good["trend"].dropna().astype(float), level)
    means = good[["test_metric", "test_loss", "peak_host_mib", "peak_device_mib"]].astype(float).mean()
    return {
        "launches": len(good),
        **noise,
        "epoch_seconds": epoch.estimate,
        "epoch_seconds_low": epoch.low,
        "epoch_seconds_high": epoch.high,
        "cold_epoch_seconds": statistics.mean_interval(good["cold_epoch_seconds"], INTERVAL_LEVEL).estimate,
        "setup_seconds": good["setup_seconds"].mean(),
        "epochs_used": good["epochs_used"].astype(float).mean(),
        "samples_per_second": float(good["samples_per_epoch"].iloc[0]) / epoch.estimate,
        **dict(zip(("trend", "trend_low", "trend_high"), trend, strict=True)),
        "trend_verdict": statistics.trend_verdict(trend),
        "parameters": good["parameters"].iloc[0],
        **means,
    }


def _rate(samples_per_second: float | None, case: dict[str, Any], description: dict[str, Any]) -> dict[str, float]:
    """Floating-point operations per second of training, and as a share of the fastest backend's matrix product."""
    workload: dict[str, Any] = next(
        (one for one in description["workloads"] if one["workload"] == case["workload"]), {}
    )
    if case["task"] != "train" or not workload.get("step_flops") or samples_per_second is None:
        return {}
    rate = workload["step_flops"] / workload["batch_size"] * samples_per_second
    ceiling = max(description.get("ceilings", {}).get(case["device"], {}).values(), default=math.nan)
    return {"flops_per_second": rate, "ceiling_share": rate / ceiling}


def _epoch_values(epochs: pd.DataFrame) -> dict[str, float]:
    """What a case's epochs say besides its launches' values: quantiles of the steady ones, the last training metric."""
    steady = epochs.loc[~epochs["cold"].astype(bool), "seconds"].astype(float)
    last = epochs.sort_values("epoch").groupby(["repetition", "attempt"])["train_metric"].last()
    return {
        "metric": float(last.mean()),
        **calls.quantiles(steady),
    }


def _status(group: pd.DataFrame, planned: dict[str, Any], description: dict[str, Any]) -> tuple[str, str]:
    """The status of a case: ok only where every planned launch is."""
    if planned["skip"]:
        return "skipped", planned["skip"]
    wanted = planned.get("launches", description["launches"])
    repetitions = set(group.loc[group["status"] == "ok", "repetition"])
    good = len(repetitions)
    if good == wanted:
        return "ok", ""
    bad = group[~group["repetition"].isin(repetitions)]
    if bad.empty:
        return "skipped" if group.empty else "failed", f"{good} of {wanted} launches; the run is {description['state']}"
    counted = f"{good} of {wanted} launches ok; " if wanted > 1 else ""
    first = bad.sort_values(["attempt", "repetition"]).iloc[0]  # later ones may only say that it was given up
    return str(first["status"]), f"{counted}{first['reason']}"


def _description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFormatError(f"{path}: not a readable run description ({error})") from None
    if not isinstance(description, dict) or description.get("schema") not in record.READABLE:
        found = description.get("schema") if isinstance(description, dict) else None
        raise RunFormatError(f"{path}: schema {found!r}, this version reads {', '.join(map(str, record.READABLE))}")
    missing = {"id", "state", "plan", "reference", "launches", "workloads", "machine"} - set(description)
    if missing:
        raise RunFormatError(f"{path}: lacks {', '.join(sorted(missing))}")
    for item in description["plan"]:
        if not isinstance(item, dict) or not {"case", "skip", "target_attempted"} <= set(item):
            raise RunFormatError(f"{path}: an entry of its plan lacks case, skip or target_attempted")
        if not isinstance(item["case"], dict) or set(item["case"]) != set(CASES):
            raise RunFormatError(f"{path}: a case of its plan needs {', '.join(CASES)}")
    return description


def _launch_row(launch: dict[str, Any]) -> dict[str, Any]:
    row = {**launch["case"], **{name: launch[name] for name in ("repetition", "seed", "status", "reason")}}
    row |= {"attempt": launch.get("attempt", 1), "disturbed": ""}
    row |= {name: launch.get(name) for name in ("wall_seconds", *LAUNCH_WORDS)}
    if launch["status"] != "ok":
        return row
    values = calls.launch_values(launch) if launch["case"]["task"] == "predict" else _training_values(launch)
    return {
        **row,
        **values,
        "disturbed": why_disturbed(launch),
        "setup_seconds": launch["setup_seconds"],
        "parameters": launch.get("parameters"),
        "peak_host_mib": launch["memory"].get("peak_host_mib"),
        "peak_device_mib": launch["memory"].get("peak_device_mib"),
        "weights_digest": launch.get("weights_digest"),
        "batches_digest": launch.get("batches_digest"),
        **{name: launch.get("phases", {}).get(name.removesuffix("_seconds")) for name in PHASES[1:]},
    }


def _training_values(launch: dict[str, Any]) -> dict[str, Any]:
    """The columns of an ok launch that come from its epochs and its test."""
    seconds = [epoch["seconds"] for epoch in launch["epochs"]]
    return {
        "epoch_seconds": statistics.launch_value(seconds[1:]),
        "trend": statistics.trend(seconds[1:]),
        "cold_epoch_seconds": seconds[0],
        "epochs_used": len(seconds),
        "samples_per_epoch": launch.get("samples_per_epoch") or _samples_per_epoch(launch["case"]),
        "test_metric": launch["test"]["metric"],
        "test_loss": launch["test"]["loss"],
        "epochs_seconds": sum(seconds),
    }


def _samples_per_epoch(case: dict[str, Any]) -> int:
    """Of a record that does not say it: all but the last partial batch, which only `shipped` keeps."""
    samples, batch_size = int(case["samples"]), int(case["batch_size"])
    return samples if case["track"] == "shipped" else samples - samples % batch_size


def _epoch_rows(launch: dict[str, Any]) -> list[dict[str, Any]]:
    if launch["status"] != "ok" or launch["case"]["task"] != "train":
        return []
    head = {**launch["case"], "repetition": launch["repetition"], "attempt": launch.get("attempt", 1)}
    return [
        {
            **head,
            "seed": launch["seed"],
            "epoch": index,
            "cold": index == 0,
            **{name: epoch.get(name) for name in EPOCH_VALUES},
            "train_loss": epoch.get("loss"),
            "train_metric": epoch.get("metric"),
            **{name: epoch.get(name) for name in VALIDATION},
            "disturbed": bool(disturbed(epoch)),
        }
        for index, epoch in enumerate(launch["epochs"])
    ]
