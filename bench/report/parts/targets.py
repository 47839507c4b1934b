"""What the report says of the time to a workload's target."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.contract.case import case_key, stem
from bench.contract.run_json import Target
from bench.report.columns import Kind, table
from bench.report.text import ratio_level
from bench.report.view import Row, Table, facets


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size, numerics, input and track that evaluated held-out samples."""
    description = analysis.run.description
    targets = {workload.workload: workload.target for workload in description.workloads}
    attempted = {planned.case.key: planned.target_attempted for planned in description.plan}
    places = analysis.targets.groupby([name for name in CASES if name != "backend"], sort=False)
    groups = [place.to_dict("records") for _, place in places]
    return [
        _table(rows, targets[rows[0]["workload"]], attempted[case_key(rows[0])], description.reference)
        for rows in groups
    ]


def _table(rows: Sequence[Row], target: Target, attempted: bool, reference: str) -> Table:
    first = rows[0]
    notes = [
        "from the call of fit to the end of the first epoch after which the held-out samples reach the target: "
        "cold start included, evaluation not; a case one of whose launches missed it has no time"
    ]
    if not attempted:
        notes.append("not attempted: samples, epochs or batch size are not those that the target is declared for")
    return table(
        Kind.TARGETS,
        f"Time to target {target.metric} {target.value}: {stem(first['workload'])} on {first['device']}, "
        f"batch {first['batch_size']}, {first['numerics']}, track {first['track']}",
        rows,
        notes=notes,
        facets=[facets(row) for row in rows],
        words={"reference": reference, "level": ratio_level(rows, "backend")},
    )
