"""The rows of a report's tables: each case together with what it was compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.analysis import Analysis
from bench.analysis.comparisons import family
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
