"""One run against another, in text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.two_runs import TwoRuns
from bench.contract.case import title
from bench.report.columns import Kind, table
from bench.report.text import launches, ratio_level, seeds
from bench.report.view import Page, Row, Sentence


def page(two_runs: TwoRuns, older: str, newer: str) -> Page:
    """What became of each case, `newer` against `older` (the runs' ids)."""
    rows = two_runs.table.to_dict("records")
    notes = [
        f"ratio: seconds per epoch of {newer} / of {older}; verdicts by a margin of {two_runs.margin:.3g} of time "
        "and the target's own of its metric",
        *(f"differs, as allowed: {words}" for words in two_runs.allowed),
        *two_runs.left_out,
    ]
    heading = f"{newer} against {older}"
    cases = table(Kind.TWO_RUNS, heading, rows, notes=notes, words={"level": ratio_level(rows, "run")})
    return Page(heading, [], list(_undecided(two_runs, rows)), two_runs.problems, [cases])


def _undecided(two_runs: TwoRuns, rows: Sequence[Row]) -> Iterator[Sentence]:
    for row in rows:
        if row["verdict"] == "undecided":
            yield Sentence(f"{title(row)} is undecided: {launches(row)}.")
        if row["metric_verdict"] == "undecided":
            metric = two_runs.metrics[row["workload"]]
            yield Sentence(f"{title(row)}: whether its {metric} is the same is undecided: {seeds(row)}.")
