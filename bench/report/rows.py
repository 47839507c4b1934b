"""The rows of a report's tables: each case together with what it was compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.analysis import Analysis
from bench.analysis.comparisons import family
from bench.analysis.frames import CASES
from bench.contract.case import case_key
from bench.report.view import Row

Compared = Mapping[tuple[tuple[Any, ...], str], Row]  # by the case's key and its opponent, `backend=jax` say


def comparisons(analysis: Analysis, kind: str) -> list[Row]:
    """The comparisons of one family: `backend`, `track` or `input`."""
    return [row for row in analysis.comparisons.table.to_dict("records") if family(row["against"]) == kind]


def compared(analysis: Analysis) -> Compared:
    """Every comparison by its case's key and its opponent."""
    return {(case_key(row), row["against"]): row for row in analysis.comparisons.table.to_dict("records")}


def joined(case: Row, comparison: Row | None) -> Row:
    """A case's columns and, where it was compared, those of the comparison."""
    return {**(comparison or {}), **case}


def case_rows(analysis: Analysis, kind: str) -> list[Row]:
    """Each case with its comparison of one family, its workload's target, and whether it attempted that."""
    description = analysis.run.description
    targets = {workload.workload: workload.target for workload in description.workloads}
    attempted = {planned.case.key: planned.target_attempted for planned in description.plan}
    found = {case_key(row): row for row in comparisons(analysis, kind)}
    return [
        {
            **joined(case, found.get(case_key(case))),
            "target": targets[case["workload"]],
            "attempted": attempted[case_key(case)],
        }
        for case in analysis.cases.to_dict("records")
    ]


def resolved_of(analysis: Analysis) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What was in force, as the first ok launch of each case read it back."""
    good = analysis.run.launches[analysis.run.launches["status"] == "ok"]
    return {key: group["resolved"].iloc[0] for key, group in good.groupby([*CASES], sort=False)}
