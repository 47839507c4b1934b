"""What a calibration found, in text."""

from __future__ import annotations

import pandas as pd

from bench.analysis.calibration.calibrate import Calibration
from bench.analysis.frames import CASES
from bench.contract.case import title
from bench.report.text import significant
from bench.report.view import Page, Table

CORRELATED = ("deviation", "autocorrelation", "autocorrelation_launches")
SHOWN = (5, 10, 20)  # launches a stretch; the CSV file has all


def page(found: Calibration) -> Page:
    """Every table of a calibration."""
    tables = [
        _same(found.same),
        *_stretches(found.stretches),
        *_power(found.power),
        *_planted(found.planted),
        *_candidates(found.candidates),
    ]
    return Page(f"Calibration {found.run}", [], [], found.problems, tables)


def _same(table: pd.DataFrame) -> Table:
    rows = [
        [
            _case(row),
            str(row["launches"]),
            f"{row['minutes']:.1f}",
            _percent(row["coverage"]),
            f"±{row['half_width']:.1%}",
            _percent(row["false"]),
            _percent(row["equivalent"]),
            _percent(row["coverage_apart"]),
            _percent(row["false_apart"]),
        ]
        for row in table.to_dict("records")
    ]
    columns = [
        "case",
        "launches a side",
        "minutes",
        "covers 1",
        "half width",
        "false verdicts",
        "equivalent",
        "apart: covers 1",
        "apart: false",
    ]
    return Table(
        "Each case against itself",
        columns,
        rows,
        [
            "intervals of 95 %, verdicts by a margin of 5 %; apart: launches in a row against as many after them,"
            " unpaired, as compare holds two runs against each other; these overlap"
        ],
    )


def _stretches(table: pd.DataFrame) -> list[Table]:
    if table.empty:
        return []
    rows = []
    for _, group in table.groupby(CASES, sort=False):
        first = group.iloc[0]
        numbers = [f"{significant(first['ratio'])}", *(f"{first[name]:.2f}" for name in CORRELATED)]
        covered = ", ".join(
            f"{_percent(row['coverage'])} at {row['launches']}"
            for row in group.to_dict("records")
            if row["launches"] in SHOWN
        )
        rows.append([_case(first), *numbers, covered])
    note = "intervals of 95 % from repetitions in a row; the stretches overlap, so few of them are independent"
    columns = ["case", "ratio", "deviation of logs", "autocorrelation", "of launches", "covers that of the whole"]
    return [Table("Ratios to the reference along the recording", columns, rows, [note])]


def _power(table: pd.DataFrame) -> list[Table]:
    """Over the cases, the mean of what each rule calls slower: as it is, and where all are wrong equally often."""
    factors = [f"{factor - 1:.0%} slower" if factor > 1 else "equal: false" for factor in table["factor"].unique()]
    notes = {
        "called": "how often a side is called slower whose recorded times were multiplied; mean over the cases",
        "called_alike": "the same with a limit for each rule that leaves 5 % false verdicts, which no user knows",
    }
    found = []
    for column, heading in (("called", "Which slow-downs are seen"), ("called_alike", "At as many false verdicts")):
        # A score knows no margin.
        shown = table if column == "called" else table[table["rule"] != "ours, margin 0"]
        mean = shown.groupby(["rule", "launches", "factor"], sort=False)[column].mean().unstack("factor")
        rows = [
            [rule, str(launches), *map(_percent, row)]
            for (rule, launches), row in zip(mean.index, mean.to_numpy(), strict=True)
        ]
        found.append(Table(heading, ["rule", "launches a side", *factors], rows, [notes[column]]))
    return found


def _planted(table: pd.DataFrame) -> list[Table]:
    if table.empty:
        return []
    found = []
    for _, group in table.groupby(["workload", "backend", "device"], sort=False):
        seen = group.pivot_table(index="rule", columns="launches", values="called", sort=False)
        rows = [[rule, *map(_percent, row)] for rule, row in zip(seen.index, seen.to_numpy(), strict=True)]
        note = (
            f"{title(group.iloc[0])}: {group['batches'].iloc[0]:.3f} times the batches, in fact "
            f"{significant(group['ratio'].iloc[0])} times the seconds; how often it is called slower, by launches a "
            "side"
        )
        found.append(Table("A slow-down that was really planted", ["rule", *map(str, seen.columns)], rows, [note]))
    return found


def _candidates(table: pd.DataFrame) -> list[Table]:
    found = []
    for _, group in table.groupby(CASES, sort=False):
        rows = [
            [
                row["value"],
                row["interval"],
                f"{row['spread']:.3f}",
                f"{row['paired_spread']:.3f}",
                _percent(row["coverage"]),
                f"±{row['half_width']:.1%}",
            ]
            for row in group.to_dict("records")
        ]
        columns = ["value of a launch", "interval", "spread", "paired spread", "covers 1", "half width"]
        launches = group["launches"].iloc[0]
        found.append(
            Table(f"{_case(group.iloc[0])}: values and intervals, {launches} launches a side", columns, rows, [])
        )
    return found


def _case(row: object) -> str:
    return f"{title(row)} {row['samples']}"  # type: ignore[index]


def _percent(share: float) -> str:
    return f"{share:.1%}"
