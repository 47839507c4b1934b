"""A run's folder to tidy DataFrames: a row per launch, per epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.analysis import predict, statistics
from bench.contract import files, launch_record, record, run_json
from bench.contract.case import CASE_COLUMNS, LATER, Case, in_turns, title
from bench.contract.disturbance import disturbed
from bench.contract.files import RecordError
from bench.contract.launch_record import Called, Launch, Measured, Trained
from bench.contract.run_json import RunDescription
from bench.contract.tuning import FINAL_COLUMNS, TUNING_COLUMNS
from bench.contract.typed import MalformedError
from bench.contract.values import printable, shown

CASES = list(CASE_COLUMNS)
WHICH = [*CASES, "repetition", "attempt", "seed"]  # launch
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
    "gpu_joules",
    "gpu_mib",
    "gpu_others",
    "undrained_seconds",
    "callback_seconds",
]
VALIDATION = ["validation_loss", "validation_metric"]
EPOCH_VALUES = ["seconds", "span_epochs", "validation_seconds", "cpu_seconds", *GAUGES]
EPOCH_HEAD = [*WHICH, "epoch", "cold"]
EPOCH_COLUMNS = [*EPOCH_HEAD, *EPOCH_VALUES, "train_loss", "train_metric", *VALIDATION, "disturbed"]
PHASES = ["epochs_seconds", "import_seconds", "data_seconds", "build_seconds", "evaluate_seconds"]
DEVICE_VALUES = ["exchange_share", "input_share"]  # of several devices
LAUNCH_VALUES = [
    "epoch_seconds",
    "trend",
    "cold_epoch_seconds",
    "setup_seconds",
    "first_token_seconds",
    "epochs_used",
    "span_epochs",
    "callback_seconds",
    "samples_per_epoch",
    "test_metric",
    "test_loss",
    "parameters",
    "peak_host_mib",
    "peak_device_mib",
    "weights_digest",
    "batches_digest",
    *PHASES,
    *DEVICE_VALUES,
]
LAUNCH_WORDS = ["command", "versions", "resolved"]  # kept as the record has them, for the report
LAUNCH_LISTS = ["call_seconds", "outputs"]  # of inference
LAUNCH_HEAD = [*WHICH, "node", "gpu", "status", "reason", "disturbed", "counted", "wall_seconds"]
LAUNCH_COLUMNS = [*LAUNCH_HEAD, *LAUNCH_VALUES, *LAUNCH_WORDS, *LAUNCH_LISTS]
INTERVAL_LEVEL = 0.95
LONGEST_REASON = 2_000  # letters
Row = dict[str, object]  # of a table, by column


class RunFormatError(Exception):
    """A folder is not a run that this version reads; the message says which and why."""


class Run(NamedTuple):
    """A run as it was recorded: run.json, a row per launch, per epoch and per configuration that a search tried.

    `warnings` say in words what had to be left out.
    """

    description: RunDescription
    launches: pd.DataFrame
    epochs: pd.DataFrame
    tuning: pd.DataFrame
    warnings: list[str]


def load(folder: Path) -> Run:
    """Read run.json and the records; a record that cannot be used is left out with a warning.

    Raises RunFormatError when run.json itself cannot be used.
    """
    description = _description(folder / "run.json")
    planned = {one.case for one in description.plan}
    launches, epochs, warnings, seen = [], [], [], set()
    repetitions: dict[tuple[Case, int], int] = {}  # by case and seed
    for path in sorted((folder / "launches").glob("[!.]*.json")):
        try:
            launch = launch_record.read(path)
        except RecordError as error:
            warnings.append(f"left out: {error}")
            continue
        name, case = printable(path.name), launch.case
        if case not in planned:
            warnings.append(f"left out: {name}: its case is not in the run's plan")
            continue
        key = case, launch.repetition, launch.attempt
        if key in seen:
            warnings.append(f"left out: {name}: another record holds this repetition of its case")
            continue
        if repetitions.setdefault((case, launch.seed), launch.repetition) != launch.repetition:
            warnings.append(f"left out: {name}: another repetition of its case has its seed")
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
        empty = {name: [""] for name in ("step_seconds", *FINAL_COLUMNS)}
        found = pd.read_csv(path, keep_default_na=False, na_values=empty)
        earlier = [name for name in (*FINAL_COLUMNS, "rounds", "disturbed") if name not in found]
        found = found.assign(**{name: math.nan if name in FINAL_COLUMNS else 0 for name in earlier})
        found = found.assign(**{name: value for name, value in LATER.items() if name not in found})
        return found[list(TUNING_COLUMNS)].assign(knobs=found["knobs"].map(json.loads))
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

    A group is what takes turns, see `in_turns`. An attempt with fewer ok launches than the first is none, and so is one
    that was cut off, as by the loss of its node: it has fewer records than another.
    """
    cases = [Case(*row) for row in launches[CASES].itertuples(index=False, name=None)]
    numbers: dict[Case, int] = {}
    groups = [numbers.setdefault(in_turns(case), len(numbers)) for case in cases]
    place = ["group", "repetition"]
    all_of_them = launches.assign(group=groups)
    records = all_of_them.groupby([*place, "attempt"]).size().rename("records").reset_index()
    records["cut"] = records["records"] < records.groupby(place)["records"].transform("max")
    good = all_of_them[all_of_them["status"] == "ok"]
    attempts = good.assign(noisy=good["disturbed"] != "").groupby([*place, "attempt"], sort=True)["noisy"]
    table = attempts.agg(noisy="any", size="size").reset_index().merge(records, on=[*place, "attempt"])
    table = table[~table["cut"]]
    table["noisy"] |= table["size"] < table.groupby(place)["size"].transform("first")
    chosen = table.sort_values(["noisy", "attempt"], kind="stable").drop_duplicates(place)[[*place, "attempt"]]
    found = good[[*place, "attempt"]].reset_index().merge(chosen, on=[*place, "attempt"])["index"]
    return pd.Series(launches.index.isin(found), index=launches.index)


def _description(path: Path) -> RunDescription:
    try:
        content = run_json.cleaned(files.load(path))
    except RecordError as error:
        raise RunFormatError(f"{path.parent}: {error}") from None
    except RecursionError:
        raise RunFormatError(f"{path}: too deep") from None
    schema = content.get("schema")
    if type(schema) is not int or schema not in record.READABLE:
        known = ", ".join(map(str, record.READABLE))
        raise RunFormatError(f"{path}: schema {shown(schema)}, this version reads {known}")
    try:
        return run_json.read(content)
    except MalformedError as error:
        raise RunFormatError(f"{path}: {error}") from None


def _launch_row(launch: Launch) -> Row:
    row: Row = {
        **_head(launch),
        "node": launch.node,
        "gpu": "" if launch.gpu is None else str(launch.gpu),
        "status": launch.status,
        "reason": printable(launch.reason)[:LONGEST_REASON],
        "disturbed": launch.disturbed,
        "wall_seconds": launch.wall_seconds,
        "command": launch.command,
    }
    if isinstance(launch, Trained):
        return {**row, **_measured_values(launch), **_training_values(launch)}
    if isinstance(launch, Called):
        return {**row, **_measured_values(launch), **predict.launch_values(launch)}
    return row


def _head(launch: Launch) -> Row:
    """The columns that tell launches apart."""
    places = {"repetition": launch.repetition, "attempt": launch.attempt, "seed": launch.seed}
    return {**asdict(launch.case), **places}


def _measured_values(launch: Measured) -> Row:
    """The columns of an ok launch of any task."""
    return {
        "setup_seconds": launch.setup_seconds,
        "parameters": launch.parameters,
        "peak_host_mib": launch.memory.get("peak_host_mib"),
        "peak_device_mib": launch.memory.get("peak_device_mib"),
        "weights_digest": launch.weights_digest,
        "batches_digest": launch.batches_digest,
        "versions": launch.versions,
        "resolved": launch.resolved,
        **{name: launch.phases.get(name.removesuffix("_seconds")) for name in PHASES[1:]},
    }


def _training_values(launch: Trained) -> Row:
    """The columns of an ok launch that come from its epochs and its test."""
    seconds = launch.seconds
    return {
        "epoch_seconds": statistics.launch_value(seconds[1:]),
        "trend": statistics.trend(seconds[1:]),
        "cold_epoch_seconds": seconds[0],
        "epochs_used": len(seconds),
        "span_epochs": max(epoch.get("span_epochs") or 1 for epoch in launch.epochs[1:]),
        "callback_seconds": _mean([epoch.get("callback_seconds") for epoch in launch.epochs[1:]]),
        "samples_per_epoch": launch.samples_per_epoch or _samples_per_epoch(launch.case),
        "test_metric": launch.test.metric,
        "test_loss": launch.test.loss,
        "epochs_seconds": sum(seconds),
        "exchange_share": _share(launch.phases.get("exchange"), launch.phases.get("fit")),
        "input_share": _share(launch.phases.get("input"), statistics.launch_value(seconds[1:])),
    }


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _mean(values: Sequence[float | None]) -> float | None:
    """Of values that are there; None where one is not."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _samples_per_epoch(case: Case) -> int:
    """Of a record that does not say it: all but the last partial batch, which only `shipped` keeps."""
    return case.samples if case.track == "shipped" else case.samples - case.samples % case.batch_size


def _epoch_rows(launch: Launch) -> list[Row]:
    if not isinstance(launch, Trained):
        return []
    return [
        {
            **_head(launch),
            "epoch": index,
            "cold": index == 0,
            **{name: epoch.get(name) for name in EPOCH_VALUES},
            "train_loss": epoch.get("loss"),
            "train_metric": epoch.get("metric"),
            **{name: epoch.get(name) for name in VALIDATION},
            "disturbed": bool(disturbed(epoch)),
        }
        for index, epoch in enumerate(launch.epochs)
    ]
