"""All runs of a results folder: each case over time, apart for each machine, with what changed and where it stepped."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis import comparisons, frames
from bench.analysis.cases import cases
from bench.analysis.comparisons import TIME_MARGIN, family
from bench.analysis.frames import CASES, Row, Run, counted
from bench.analysis.steps import fewest, steps
from bench.contract.case import case_key, stem
from bench.contract.machines import Machine

LEVEL = 0.05  # the chance of any step on a page of series that have none
VALUES = ("epoch_seconds", "ratio")
POINTS = [
    "machine",
    *CASES,
    "run",
    "started",
    "launches",
    *(f"{value}{end}" for value in VALUES for end in ("", "_low", "_high")),
    "versions",
]
SERIES = ["machine", *CASES]
STEPS = [*SERIES, "value", "run", "started", "before", "after", "factor", "p"]
CHANGES = ["machine", "backend", "run", "started", "words"]


class History(NamedTuple):
    """A row per run; per run and case; per step of a case; per change of a backend's versions.

    `fewest` is how many runs a case needs before a step can be told, `left_out` what could not be read, in words.
    """

    runs: pd.DataFrame
    points: pd.DataFrame
    steps: pd.DataFrame
    changes: pd.DataFrame
    fewest: int
    left_out: list[str]


def history(*places: Path) -> History:
    """Every run in these places, from run.json and the records alone: results folders, runs, and bundles of runs.

    A run that several places hold counts once. RunFormatError where a bundle is none.
    """
    with tempfile.TemporaryDirectory() as name:
        return _history(run for place in places for run in _folders(place, Path(name)))


def _history(folders: Iterable[Path]) -> History:
    runs, points, left_out = list[Row](), list[Row](), list[str]()
    for folder in folders:
        try:
            run = frames.load(folder)
        except frames.RunFormatError as error:
            left_out.append(str(error))
            continue
        if run.description.id in [row["run"] for row in runs]:
            left_out.append(f"{run.description.id}: is there twice, and counts once")
            continue
        found = list(_points(run, machine_name(run.description.machine)))
        points += found
        runs.append(
            {
                "run": run.description.id,
                "started": _started(run),
                "machine": machine_name(run.description.machine),
                "state": run.description.state,
                "cases": len(found),
            }
        )
    table = pd.DataFrame(points, columns=POINTS).sort_values("started", kind="stable")
    stepped, needed = _steps(table)
    return History(
        pd.DataFrame(runs, columns=["run", "started", "machine", "state", "cases"]),
        table,
        stepped,
        pd.DataFrame(_changes(table), columns=CHANGES),
        needed,
        left_out,
    )


def _folders(place: Path, unpacked: Path) -> list[Path]:
    """The folders of the runs in a place; those of a bundle are unpacked first."""
    if place.is_file():
        place = _unpack(place, unpacked)
    if (place / "run.json").is_file():
        return [place]
    return [path.parent for path in sorted(place.glob("*/run.json"))]


def _unpack(bundle: Path, into: Path) -> Path:
    """Unpack a bundle that `report --bundle` wrote into a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=into))
    try:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise frames.RunFormatError(f"{bundle}: is no bundle of a run ({error}); report --bundle writes one") from None
    return folder


def machine_name(machine: Machine) -> str:
    """What makes two machines one for a history: processor, sizes, GPUs, system and flags, in words."""
    gpus = ", ".join(machine.gpus) or "no GPU"
    flags = "".join(f", {name}={value}" for name, value in sorted(machine.flags.items()))
    size = f"{machine.logical_cpus} CPUs, {round((machine.memory_mib or 0) / 1024)} GiB"
    system = " ".join(machine.system.split()[::2])  # without the kernel's version
    return f"{machine.cpu}, {size}, {gpus}, {system}{flags}"


def _started(run: Run) -> str:
    """When a run began; an older one says it in its name, and one under another name not at all."""
    named = pd.to_datetime(run.description.id[:16], format="%Y%m%dT%H%M%SZ", errors="coerce", utc=True)
    return str(run.description.started or ("" if pd.isna(named) else named.isoformat()))


def _points(run: Run, machine: str) -> Iterator[Row]:
    """A row for each case with a result."""
    compared = comparisons.compare(run).table
    ratios = {case_key(row): row for row in compared.to_dict("records") if family(row["against"]) == "backend"}
    good = counted(run)
    versions = {key: group["versions"].iloc[0] for key, group in good.groupby(CASES, sort=False)}
    for case in cases(run).to_dict("records"):
        if case["launches"]:
            key = case_key(case)
            ratio = ratios.get(key, {})
            yield {
                **{name: case[name] for name in CASES},
                "workload": stem(case["workload"]),
                "machine": machine,
                "run": run.description.id,
                "started": _started(run),
                "launches": case["launches"],
                **{name: case[name] for name in ("epoch_seconds", "epoch_seconds_low", "epoch_seconds_high")},
                **{name: ratio.get(name) for name in ("ratio", "ratio_low", "ratio_high")},
                "versions": versions[key] or {},
            }


def _steps(points: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The steps of every series of seconds and of ratios, at a level at which all hold together, and `fewest`."""
    series = [
        (key, value, group[group[value].notna()])
        for key, group in points.groupby(SERIES, sort=False)
        for value in VALUES
        if group[value].notna().sum() > 1
    ]
    level = LEVEL / max(1, len(series))
    rows = []
    for key, value, group in series:
        for step in steps(group[value].astype(float), level, TIME_MARGIN):
            place = {name: group.iloc[step.at][name] for name in ("run", "started")}
            words = {"before": step.before, "after": step.after, "factor": step.factor, "p": step.p}
            rows.append({**dict(zip(SERIES, _parts(key), strict=True)), "value": value, **place, **words})
    return pd.DataFrame(rows, columns=STEPS), fewest(level)


def _parts(key: Any) -> Sequence[Any]:
    return tuple(key)


def _changes(points: pd.DataFrame) -> Iterator[Row]:
    """Where the versions of a backend's packages differ from those of its run before, on the same machine."""
    for (machine, backend), group in points.groupby(["machine", "backend"], sort=False):
        before: dict[str, str] | None = None
        for row in group.drop_duplicates("run").to_dict("records"):
            now = row["versions"]
            if before is not None and now != before:
                names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
                words = ", ".join(f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}" for name in names)
                yield {
                    "machine": machine,
                    "backend": backend,
                    "run": row["run"],
                    "started": row["started"],
                    "words": words,
                }
            before = now
