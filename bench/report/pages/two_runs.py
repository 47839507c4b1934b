"""One run against another, in text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.two_runs import TwoRuns
from bench.contract.case import title
from bench.report.text import difference, launches, seeds, significant, with_interval
from bench.report.view import Page, Row, Sentence, Table


def page(found: TwoRuns, older: str, newer: str) -> Page:
    """What became of each case, `newer` against `older` (the runs' ids)."""
    rows = found.table.to_dict("records")
    level = 100 * found.table["level"].iloc[0]
    table = Table(
        f"{newer} against {older}",
        ["case", f"ratio [{level:.4g}%]", "verdict", "noise floor", "metric difference", "metric"],
        [
            [
                title(row),
                with_interval(row["ratio"], row["ratio_low"], row["ratio_high"]),
                row["verdict"],
                significant(row["noise_floor"]),
                difference(row),
                row["metric_verdict"],
            ]
            for row in rows
        ],
        [
            f"ratio: seconds per epoch of {newer} / of {older}; verdicts by a margin of {found.margin:.3g} of time "
            "and the target's own of its metric",
            *(f"differs, as allowed: {words}" for words in found.allowed),
            *found.left_out,
        ],
    )
    return Page(f"{newer} against {older}", [], list(_undecided(found, rows)), found.problems, [table])


def _undecided(found: TwoRuns, rows: Sequence[Row]) -> Iterator[Sentence]:
    for row in rows:
        if row["verdict"] == "undecided":
            yield Sentence(f"{title(row)} is undecided: {launches(row)}.")
        if row["metric_verdict"] == "undecided":
            metric = found.metrics[row["workload"]]
            yield Sentence(f"{title(row)}: whether its {metric} is the same is undecided: {seeds(row)}.")
