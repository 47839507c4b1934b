"""What the report says of inputs: a table input × backend, and how much of an epoch is waiting for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.contract.case import RESIDENT, case_key, stem
from bench.report.columns import Kind, case_column, table
from bench.report.rows import Compared, compared, joined
from bench.report.text import ratio_level
from bench.report.view import Row, Table, facets

AGAINST = f"input={RESIDENT}"


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size and numerics of which several inputs were measured."""
    fit = analysis.cases[analysis.cases["track"].eq("fit") & analysis.cases["task"].eq("train")]
    groups = fit.groupby([name for name in CASES if name not in ("backend", "input")], sort=False)
    comparisons = compared(analysis)
    return [_table(group, comparisons) for _, group in groups if group["input"].nunique() > 1]


def _table(group: pd.DataFrame, comparisons: Compared) -> Table:
    cases = group.to_dict("records")
    first = cases[0]
    rows: dict[str, dict[str, Row]] = {}
    for case in cases:
        comparison = comparisons.get((case_key(case), AGAINST))
        rows.setdefault(case["input"], {})[case["backend"]] = joined(case, comparison)
    return table(
        Kind.INPUTS,
        f"Inputs: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}",
        [{"input": name, **by_backend} for name, by_backend in rows.items()],
        notes=list(_notes(cases)),
        facets=[facets(first, "workload", "device", "numerics")] * len(rows),
        names=[case_column("input")],
        backends=list(dict.fromkeys(group["backend"])),
        words={"level": ratio_level(comparisons.values(), AGAINST)},
    )


def _notes(cases: Sequence[Row]) -> Iterator[str]:
    yield (
        f"{RESIDENT}: every batch lies on the device before training begins; what an epoch takes longer with another "
        "input is waiting for it. A share below 0 is noise, or an input that overlaps with computing"
    )
    for case in cases:
        if case["status"] != "ok":
            yield f"{case['backend']}, {case['input']}: {case['status']}, {case['reason']}"
