"""Which cases go on in a run that stops as soon as it is sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.analysis.comparisons import family, pairs, rows_of
from bench.analysis.frames import Run
from bench.contract.case import Case


def undecided(run: Run) -> set[Case]:
    """The cases on whose launches a verdict on times rests that is not sure yet.

    Where variants are compared, only verdicts on them count, and with a limit (`--fail-slower`) whether it is kept.
    """
    comparable, _ = pairs(run)
    varied = any(planned.case.variant for planned in run.description.plan)
    asked = [
        (pair, row) for pair, row in zip(comparable, rows_of(run, comparable), strict=True) if is_asked(row, varied)
    ]
    return {case for pair, row in asked if not is_sure(row) for case in (pair.case, pair.opponent)}


def is_asked(row: Mapping[Any, Any], varied: bool) -> bool:
    """Whether a run goes on until it is sure of this comparison; `varied` where it compares variants."""
    return not varied or family(str(row["against"])) == "variant"


def is_sure(row: Mapping[Any, Any]) -> bool:
    """Whether the question that a comparison answers is answered."""
    return str(row["limit_verdict"] or row["verdict"]) != "undecided"
