"""A run's folder to tidy DataFrames: a row per launch, per epoch, per case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench import record
from bench.analysis import statistics
from bench.record import CASE_COLUMNS

CASES = list(CASE_COLUMNS)
EPOCH_VALUES = ["seconds", "validation_seconds", "cpu_seconds", "steal_fraction", "train_loss", "train_metric"]
EPOCH_COLUMNS = [*CASES, "repetition", "seed", "epoch", "cold", *EPOCH_VALUES, "disturbed"]
LATENCIES = ["p50_seconds", "p90_seconds", "p99_seconds"]
CASE_VALUES = [
    "launches",
    "epoch_seconds",
    "epoch_seconds_low",
    "epoch_seconds_high",
    "cold_epoch_seconds",
    "setup_seconds",
    "samples_per_second",
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
    "cold_epoch_seconds",
    "setup_seconds",
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
LAUNCH_COLUMNS = [*CASES, "repetition", "seed", "status", "reason", "wall_seconds", *LAUNCH_VALUES, *LAUNCH_WORDS]
INTERVAL_LEVEL = 0.95


class RunFormatError(Exception):
    """A folder is not a run that this version reads; the message says which and why."""


class Run(NamedTuple):
    """A run as it was recorded: run.json, a row per launch, a row per epoch, and what had to be left out, in words."""

    description: dict[str, Any]
    launches: pd.DataFrame
    epochs: pd.DataFrame
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
        if (case, launch["repetition"]) in seen:
            warnings.append(f"left out: {path.name}: another record holds this repetition of its case")
            continue
        seen.add((case, launch["repetition"]))
        launches.append(_launch_row(launch))
        epochs += _epoch_rows(launch)
    return Run(
        description,
        pd.DataFrame(launches, columns=LAUNCH_COLUMNS),
        pd.DataFrame(epochs, columns=EPOCH_COLUMNS),
        warnings,
    )


def cases(run: Run) -> pd.DataFrame:
    """A row per planned case, in the plan's order, with the columns of cases.csv.

    A launch counts with the median of its steady epochs, the case with the geometric mean over its launches; the cold
    epoch likewise, setup, metrics and memory with the mean. Values are NaN where no launch was ok.
    """
    groups = dict(iter(run.launches.groupby(CASES, sort=False))) if len(run.launches) else {}
    trained = run.epochs.groupby(CASES, sort=False)
    final = {key: group.loc[group["epoch"] == group["epoch"].max(), "train_metric"].mean() for key, group in trained}
    rows = []
    for planned in run.description["plan"]:
        key = tuple(planned["case"][name] for name in CASES)
        group = groups.get(key, run.launches.iloc[:0])
        status, reason = _status(group, planned, run.description)
        rows.append({**planned["case"], "status": status, "reason": reason, **_case_values(group, key, final)})
    return pd.DataFrame(rows, columns=[*CASES, "status", "reason", *CASE_VALUES])


def _case_values(group: pd.DataFrame, key: tuple[Any, ...], final: dict[Any, float]) -> dict[str, Any]:
    good = group[group["status"] == "ok"]
    if good.empty:
        return {"launches": 0}
    epoch = statistics.mean_interval(good["epoch_seconds"], INTERVAL_LEVEL)
    case = dict(zip(CASES, key, strict=True))
    trained_samples = case["samples"] - case["samples"] % case["batch_size"]
    means = good[["test_metric", "test_loss", "peak_host_mib", "peak_device_mib"]].astype(float).mean()
    return {
        "launches": len(good),
        "epoch_seconds": epoch.estimate,
        "epoch_seconds_low": epoch.low,
        "epoch_seconds_high": epoch.high,
        "cold_epoch_seconds": statistics.mean_interval(good["cold_epoch_seconds"], INTERVAL_LEVEL).estimate,
        "setup_seconds": good["setup_seconds"].mean(),
        "samples_per_second": trained_samples / epoch.estimate,
        "metric": final.get(key),
        "parameters": good["parameters"].iloc[0],
        **means,
    }


def _status(group: pd.DataFrame, planned: dict[str, Any], description: dict[str, Any]) -> tuple[str, str]:
    """The status of a case: ok only where every planned launch is."""
    if planned["skip"]:
        return "skipped", planned["skip"]
    wanted = description["launches"]
    good = int((group["status"] == "ok").sum())
    if good == wanted:
        return "ok", ""
    bad = group[group["status"] != "ok"]
    if bad.empty:
        return "skipped" if group.empty else "failed", f"{good} of {wanted} launches; the run is {description['state']}"
    counted = f"{good} of {wanted} launches ok; " if wanted > 1 else ""
    return str(bad.iloc[0]["status"]), f"{counted}{bad.iloc[0]['reason']}"


def _description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFormatError(f"{path}: not a readable run description ({error})") from None
    if not isinstance(description, dict) or description.get("schema") != record.SCHEMA:
        found = description.get("schema") if isinstance(description, dict) else None
        raise RunFormatError(f"{path}: schema {found!r}, this version reads {record.SCHEMA}")
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
    row |= {name: launch.get(name) for name in ("wall_seconds", *LAUNCH_WORDS)}
    if launch["status"] != "ok":
        return row
    seconds = [epoch["seconds"] for epoch in launch["epochs"]]
    return {
        **row,
        "epoch_seconds": statistics.launch_value(seconds[1:]),
        "cold_epoch_seconds": seconds[0],
        "setup_seconds": launch["setup_seconds"],
        "test_metric": launch["test"]["metric"],
        "test_loss": launch["test"]["loss"],
        "parameters": launch.get("parameters"),
        "peak_host_mib": launch["memory"].get("peak_host_mib"),
        "peak_device_mib": launch["memory"].get("peak_device_mib"),
        "weights_digest": launch.get("weights_digest"),
        "batches_digest": launch.get("batches_digest"),
        "epochs_seconds": sum(seconds),
        **{name: launch.get("phases", {}).get(name.removesuffix("_seconds")) for name in PHASES[1:]},
    }


def _epoch_rows(launch: dict[str, Any]) -> list[dict[str, Any]]:
    head = {**launch["case"], "repetition": launch["repetition"], "seed": launch["seed"]}
    return [
        {
            **head,
            "epoch": index,
            "cold": index == 0,
            **{name: epoch.get(name) for name in EPOCH_VALUES[:4]},
            "train_loss": epoch.get("loss"),
            "train_metric": epoch.get("metric"),
        }
        for index, epoch in enumerate(launch["epochs"])
        if launch["status"] == "ok"
    ]
