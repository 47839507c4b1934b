"""The report of a calibration."""

from __future__ import annotations

import pandas as pd

from bench.analysis.calibration.calibrate import Calibration
from bench.analysis.frames import CASES
from bench.contract.case import title
from bench.report.columns import Kind, table
from bench.report.text import significant
from bench.report.view import Page, Table

SHOWN = (5, 10, 20)  # launches a stretch; the CSV file has all


def page(calibration: Calibration) -> Page:
    """Every table of a calibration."""
    tables = [
        _same(calibration.same),
        *_stretches(calibration.stretches),
        *_power(calibration.power),
        *_planted(calibration.planted),
        *_candidates(calibration.candidates),
    ]
    return Page(f"Calibration {calibration.run}", [], [], calibration.problems, tables)


def _same(frame: pd.DataFrame) -> Table:
    note = (
        "intervals of 95 %, verdicts by a margin of 5 %; apart: launches in a row against as many after them,"
        " unpaired, as compare holds two runs against each other; these overlap"
    )
    return table(Kind.ITSELF, "Each case against itself", frame.to_dict("records"), notes=[note])


def _stretches(frame: pd.DataFrame) -> list[Table]:
    if frame.empty:
        return []
    rows = []
    for _, group in frame.groupby(CASES, sort=False):
        covered = ", ".join(
            f"{_percent(row['coverage'])} at {row['launches']}"
            for row in group.to_dict("records")
            if row["launches"] in SHOWN
        )
        rows.append({**group.iloc[0].to_dict(), "covered": covered})
    note = "intervals of 95 % from repetitions in a row; the stretches overlap, so few of them are independent"
    return [table(Kind.STRETCHES, "Ratios to the reference along the recording", rows, notes=[note])]


def _power(table: pd.DataFrame) -> list[Table]:
    """How often each rule calls a side slower, as a mean over cases: as it is, and with equally many false verdicts."""
    factors = [f"{factor - 1:.0%} slower" if factor > 1 else "equal: false" for factor in table["factor"].unique()]
    notes = {
        "called": "how often a side is called slower whose recorded times were multiplied; mean over the cases",
        "called_alike": "the same with a limit for each rule that leaves 5 % false verdicts, which no user knows",
    }
    tables = []
    for column, heading in (("called", "Which slow-downs are seen"), ("called_alike", "At as many false verdicts")):
        # A score knows no margin.
        shown = table if column == "called" else table[table["rule"] != "ours, margin 0"]
        mean = shown.groupby(["rule", "launches", "factor"], sort=False)[column].mean().unstack("factor")
        rows = [
            [rule, str(launches), *map(_percent, row)]
            for (rule, launches), row in zip(mean.index, mean.to_numpy(), strict=True)
        ]
        tables.append(Table(heading, ["rule", "launches a side", *factors], rows, [notes[column]]))
    return tables


def _planted(table: pd.DataFrame) -> list[Table]:
    if table.empty:
        return []
    tables = []
    for _, group in table.groupby(["workload", "backend", "device"], sort=False):
        seen = group.pivot_table(index="rule", columns="launches", values="called", sort=False)
        rows = [[rule, *map(_percent, row)] for rule, row in zip(seen.index, seen.to_numpy(), strict=True)]
        note = (
            f"{title(group.iloc[0])}: {group['batches'].iloc[0]:.3f} times the batches, in fact "
            f"{significant(group['ratio'].iloc[0])} times the seconds; how often it is called slower, by launches a "
            "side"
        )
        tables.append(Table("A slow-down that was really planted", ["rule", *map(str, seen.columns)], rows, [note]))
    return tables


def _candidates(frame: pd.DataFrame) -> list[Table]:
    tables = []
    for _, group in frame.groupby(CASES, sort=False):
        rows = group.to_dict("records")
        case = f"{title(rows[0])} {rows[0]['samples']}"
        heading = f"{case}: values and intervals, {rows[0]['launches']} launches a side"
        tables.append(table(Kind.CANDIDATES, heading, rows))
    return tables


def _percent(share: float) -> str:
    return f"{share:.1%}"
