"""What a run says of a version that was held against a good one: is it slower, or does it compute something else?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench.analysis import Analysis
from bench.contract.outcomes import BAD, GOOD

PLACE = ["workload", "backend", "device", "track", "optimizer", "seed", "rung", "location"]


class Judgement(NamedTuple):
    """What a version was found to be, and the evidence in words."""

    outcome: str
    words: str


def judged(analysis: Analysis) -> Judgement:
    """GOOD or BAD where that is sure for every backend, or for one of them; else why it is neither."""
    parted = list(_parted(analysis))
    table = analysis.comparisons.table
    rows = table[table["limit_verdict"] != ""].to_dict("records")
    words = "; ".join([*parted, *map(_in_words, rows)])
    if parted or any(row["limit_verdict"] == "exceeded" for row in rows):
        return Judgement(BAD, words)
    missing = [case for case in analysis.cases.to_dict("records") if case["status"] != "ok"]
    if missing:
        return Judgement("not measured", f"{missing[0]['backend']}: {missing[0]['status']}, {missing[0]['reason']}")
    if not rows or any(row["limit_verdict"] == "undecided" for row in rows):
        return Judgement("undecided", words or "nothing could be compared")
    return Judgement(GOOD, words)


def _in_words(row: Mapping[Any, Any]) -> str:
    ratio = f"{row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]"
    return f"{row['backend']} {ratio} after {row['repetitions']} repetitions"


def _parted(analysis: Analysis) -> Iterator[str]:
    """Where the version parts in exact mode and the good one does not; the first place of each backend."""
    if analysis.parity is None:
        return
    exact = analysis.parity.exact
    first = analysis.run.description.plan[0].case.variant
    failed = exact[exact["passed"].eq(False)]
    before = {tuple(row[PLACE]) for _, row in failed[failed["variant"].eq(first)].iterrows()}
    for backend, rows in failed[failed["variant"].ne(first)].groupby("backend", sort=False):
        new = [row for _, row in rows.iterrows() if tuple(row[PLACE]) not in before]
        if new:
            yield f"{backend} parts at {new[0]['rung']} of {new[0]['location']}"
