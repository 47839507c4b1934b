"""The tables that stand beside a report, by file name, and the whole report as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import LAUNCH_HEAD
from bench.analysis.two_runs import TwoRuns
from bench.report.view import Page

LAUNCH_VALUES = ["epoch_seconds", "cold_epoch_seconds", "setup_seconds", "test_metric", "test_loss", "peak_host_mib"]


def tables(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """The tables that are written into the run's folder, by file name; none for what the run did not measure."""
    frames: dict[str, pd.DataFrame] = {}
    if analysis.run.description.plan:
        frames |= {
            "epochs.csv": analysis.run.epochs,
            "cases.csv": analysis.cases,
            "comparisons.csv": analysis.comparisons.table,
        }
        if len(analysis.targets):
            frames["targets.csv"] = analysis.targets
        if analysis.nodes:
            frames |= {"nodes.csv": analysis.nodes.nodes, "node_ratios.csv": analysis.nodes.table}
    if analysis.explanation:
        frames["explain.csv"] = analysis.explanation.table
        frames["memory.csv"] = analysis.explanation.memory
        if analysis.explanation.operations.traces:
            frames["operations.csv"] = analysis.explanation.operations.table
    if analysis.parity:
        frames["parity.csv"] = analysis.parity.every
    return frames


def downloads(analysis: Analysis) -> dict[str, str]:
    """What can be saved from the page, as CSV by file name: the tables, with launches in place of epochs."""
    frames = {name: table for name, table in tables(analysis).items() if name != "epochs.csv"}
    if "parity.csv" in frames:
        parity = frames["parity.csv"]
        frames["parity.csv"] = parity.loc[parity.groupby([*parity.columns[:10]], sort=False)["error"].idxmax()]
    if len(analysis.run.launches):
        frames["launches.csv"] = analysis.run.launches[[*LAUNCH_HEAD, *LAUNCH_VALUES]]
    return {name: table.to_csv(index=False) for name, table in frames.items()}


def to_json(analysis: Analysis, page: Page) -> str:
    """A report for programs: verdicts and problems in words, and the tables row by row, null for what is missing."""
    description = analysis.run.description
    rows = {name.removesuffix(".csv"): _rows(table) for name, table in tables(analysis).items() if name != "epochs.csv"}
    return json.dumps(
        {
            "run": description.id,
            "state": description.state,
            "started": description.started,
            "machine": description.machine.to_json(),
            "machines": {name: machine.to_json() for name, machine in description.nodes.items()},
            "verdicts": [said.text for said in page.verdicts],
            "problems": page.problems,
            **rows,
        },
        indent=1,
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def write(analysis: Analysis, folder: Path) -> None:
    """Write the tables into the run's folder."""
    for name, table in tables(analysis).items():
        table.to_csv(folder / name, index=False)


def two_runs_json(two_runs: TwoRuns, older: str, newer: str) -> str:
    """What became of each case between two runs, for programs."""
    return json.dumps(
        {"older": older, "newer": newer, "problems": two_runs.problems, "comparisons": _rows(two_runs.table)}, indent=1
    )
