"""The page of all runs: each case over time, with the versions that changed and the steps that were found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bench.analysis.frames import CASES
from bench.analysis.history import SERIES, History
from bench.contract.case import title
from bench.report import drawing
from bench.report.columns import Kind, table
from bench.report.drawing import GREY, PICTURE, colour, errors, label, marks, numbers, varying
from bench.report.text import NOTHING, significant
from bench.report.view import Figure, Page, Row, Section, Sentence, Table, facets

WORDS = {"epoch_seconds": "seconds per epoch or call", "ratio": "ratio to the reference"}


def sections(history: History, page: Page) -> list[Section]:
    """What the page with pictures shows of all runs."""
    pictures = [Section(f"{words.capitalize()} over time", [*_figures(history, name)]) for name, words in WORDS.items()]
    versions = Section("Versions", [*_by_version(history)])
    return [*pictures, versions, Section("Tables", tables=page.tables)]


def where(history: History) -> str:
    """How many runs on how many machines, in a line; nodes of one kind are one."""
    runs = history.runs
    return f"{runs['run'].nunique()} runs on {runs['machine'].nunique()} machines, which are kept apart"


def page(history: History) -> Page:
    """The report of all runs."""
    steps = history.steps.to_dict("records")
    notes = [
        f"a step is told from {history.fewest} runs of a case on; without any, a page shows one in 5 %",
        *_mixed(history.runs),
        *history.left_out,
    ]
    runs = history.runs["run"].nunique()
    return Page(
        "All runs",
        [_step(row) for row in steps] or [Sentence(f"No case has stepped, as far as {runs} runs tell.")],
        [
            Sentence(f"{row['backend']}: {row['words']}, from run {row['run']} on.", _of(row))
            for row in _rows(history.changes)
        ],
        [],
        [_cases(history, notes), _runs(history)],
    )


def _mixed(runs: pd.DataFrame) -> Iterator[str]:
    for run, parts in runs.groupby("run", sort=False):
        if len(parts) > 1:
            yield f"{run} was measured on nodes of {len(parts)} kinds, each of which stands by itself"


def _step(row: Row) -> Sentence:
    return Sentence(
        f"{title(row)}: {WORDS[row['value']]} stepped by a factor of {significant(row['factor'])} with run "
        f"{row['run']}, from {significant(row['before'])} to {significant(row['after'])} (p = {row['p']:.2g}).",
        {**facets(row), **_of(row)},
    )


def _cases(history: History, notes: list[str]) -> Table:
    """A row per case and machine: its last run, and how many there are."""
    rows = [
        {
            **group.iloc[-1].to_dict(),
            "runs": len(group),
            "slowest_by_fastest": group["epoch_seconds"].max() / group["epoch_seconds"].min(),
        }
        for _, group in history.points.groupby(SERIES, sort=False)
    ]
    about = [{**facets(row), **_of(row)} for row in rows]
    return table(Kind.HISTORY, "Cases", rows, notes=notes, facets=about)


def _runs(history: History) -> Table:
    rows = _rows(history.runs)
    return table(Kind.RUNS, "Runs", rows, facets=[_of(row) for row in rows])


def _figures(history: History, value: str) -> Iterator[Figure]:
    """A picture for each machine, workload, device and task in which something was measured twice."""
    points = history.points[history.points[value].notna()]
    for key, group in points.groupby(["machine", *PICTURE], sort=False):
        if group["run"].nunique() < 2:
            continue
        machine, workload, device, task = key
        names = varying(group)
        traces = [*_changes(history.changes[history.changes["machine"] == machine], group, value)]
        for _, series in group.groupby([*CASES], sort=False):
            row = series.iloc[0].to_dict()
            traces.append(
                {
                    "meta": {**facets(row), **_of(row)},
                    **marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": label(row, names),
                    "x": list(series["started"]),
                    "y": numbers(series[value]),
                    "error_y": errors(series, value),
                    "line": {"color": colour(row["backend"]), "width": 1},
                    "text": list(series["run"]),
                    "hovertemplate": "%{text}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
                }
            )
        traces += _marked(history.steps, group, value)
        yield Figure(
            f"{workload} on {device}{drawing.task(task)}: {WORDS[value]}",
            f"{machine}. Dotted: versions changed. A thick grey bar: a step.",
            traces,
            {"xaxis": {"type": "date"}, "yaxis": {"type": "log", "title": {"text": WORDS[value]}, "tickformat": "~r"}},
        )


def _by_version(history: History) -> Iterator[Figure]:
    """A picture for each machine, place and package of which something was measured with two versions."""
    points = history.points
    packages = list(dict.fromkeys(name for versions in points["versions"] for name in versions if name != "python"))
    for package in packages:
        version = points["versions"].map(lambda versions, name=package: versions.get(name, ""))
        here = points.assign(version=version)[version.ne("")]
        for key, group in here.groupby(["machine", *PICTURE], sort=False):
            machine, workload, device, task = key
            if group["version"].nunique() < 2:
                continue
            order, names = sorted(group["version"].unique(), key=_natural), varying(group)
            traces = [_series(series, names) for _, series in group.groupby([*CASES], sort=False)]
            yield Figure(
                f"{workload} on {device}{drawing.task(task)}: {package}",
                f"{machine}. A point for each run, by the version of {package} that it was measured with.",
                traces,
                {
                    "xaxis": {"type": "category", "categoryorder": "array", "categoryarray": order},
                    "yaxis": {"type": "log", "title": {"text": WORDS["epoch_seconds"]}, "tickformat": "~r"},
                },
            )


def _series(series: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """The runs of a case over versions."""
    row = series.iloc[0].to_dict()
    return {
        "meta": {**facets(row), **_of(row)},
        **marks(row["backend"]),
        "type": "scatter",
        "mode": "markers",
        "name": label(row, names),
        "x": list(series["version"]),
        "y": numbers(series["epoch_seconds"]),
        "error_y": errors(series, "epoch_seconds"),
        "text": list(series["run"]),
        "hovertemplate": "%{text}<br>%{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _natural(version: str) -> list[tuple[int, str]]:
    """A version as one sorts it: 3.9 before 3.10, a development version before the release, a post release after it."""
    parts = re.split(r"[.+]|(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)", version)
    known = {"post": (1, "")}
    return [*((int(part), "") if part.isdigit() else known.get(part, (-1, part)) for part in parts), (0, "")]


def _changes(changes: pd.DataFrame, group: pd.DataFrame, value: str) -> Iterator[dict[str, Any]]:
    low, high = float(group[value].min()), float(group[value].max())
    for row in _rows(changes[changes["run"].isin(group["run"]) & changes["backend"].isin(group["backend"])]):
        yield {
            "meta": _of(row),
            "type": "scatter",
            "mode": "lines",
            "x": [row["started"]] * 2,
            "y": [low, high],
            "line": {"dash": "dot", "width": 1, "color": GREY},
            "text": [f"{row['backend']}: {row['words']}"] * 2,
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        }


def _marked(steps: pd.DataFrame, group: pd.DataFrame, value: str) -> Iterator[dict[str, Any]]:
    here = {tuple(row[name] for name in SERIES) for row in _rows(group)}
    for row in _rows(steps[steps["value"] == value]):
        if tuple(row[name] for name in SERIES) in here:
            yield {
                "meta": {**facets(row), **_of(row)},
                "type": "scatter",
                "mode": "lines",
                "x": [row["started"]] * 2,
                "y": [row["before"], row["after"]],
                "line": {"width": 5, "color": GREY},
                "text": [f"step: × {significant(row['factor'])}"] * 2,
                "hovertemplate": "%{text}<extra></extra>",
                "showlegend": False,
            }


def _of(row: Row) -> dict[str, str]:
    return {"machine": str(row["machine"] or NOTHING)}


def _rows(table: pd.DataFrame) -> Sequence[Row]:
    return table.to_dict("records")
