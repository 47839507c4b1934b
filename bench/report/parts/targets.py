"""What the report says of the time to a workload's target."""

from __future__ import annotations

from bench.analysis import Analysis
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.contract.case import case_key, stem
from bench.report.text import NOTHING, ratio_level, with_interval
from bench.report.view import Row, Table, facets


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size, numerics, input and track that evaluated held-out samples."""
    found = []
    targets = {one.workload: one.target for one in analysis.run.description.workloads}
    attempted = {item.case.key: item.target_attempted for item in analysis.run.description.plan}
    for _, group in analysis.targets.groupby([name for name in CASES if name != "backend"], sort=False):
        rows = group.to_dict("records")
        first = rows[0]
        target = targets[first["workload"]]
        level = ratio_level(rows, "backend")
        notes = [
            "from the call of fit to the end of the first epoch after which the held-out samples reach the target: "
            "cold start included, evaluation not; a case one of whose launches missed it has no time"
        ]
        if not attempted[case_key(first)]:
            notes.append("not attempted: samples, epochs or batch size are not those that the target is declared for")
        found.append(
            Table(
                f"Time to target {target.metric} {target.value}: {stem(first['workload'])} on {first['device']}, "
                f"batch {first['batch_size']}, {first['numerics']}, track {first['track']}",
                [
                    "backend",
                    "reached by",
                    "epochs",
                    f"seconds [{INTERVAL_LEVEL:.0%}]",
                    f"ratio to {analysis.run.description.reference}{level}",
                ],
                [_row(row) for row in rows],
                notes,
                facets=[facets(row) for row in rows],
            )
        )
    return found


def _row(row: Row) -> list[str]:
    reached = f"{row['reached']} of {row['launches']} launches"
    if row["reached"] < row["launches"]:
        return [row["backend"], reached, NOTHING, "missed", NOTHING]
    return [
        row["backend"],
        reached,
        f"{row['epochs_to_target']:.1f}",
        with_interval(row["seconds_to_target"], row["seconds_to_target_low"], row["seconds_to_target_high"]),
        with_interval(row["ratio"], row["ratio_low"], row["ratio_high"]),
    ]
