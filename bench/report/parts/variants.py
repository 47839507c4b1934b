"""What a report says of variants: a table with a row for each of them and each backend, the first as the unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.contract.case import OF_FILES, case_key, stem
from bench.report.columns import Kind, case_column, table
from bench.report.rows import comparisons, joined
from bench.report.text import ratio_level
from bench.report.view import Row, Table, facets

UNITS = {"train": "an epoch", "predict": "a call", "generate": "a token"}
SHARED = [name for name in CASES if name not in ("backend", "variant")]


def tables(analysis: Analysis) -> list[Table]:
    """A table for each place in which variants were compared; those that train files of their own share one."""
    cases = analysis.cases[analysis.cases["variant"].ne("")]
    of_files = cases["variant"].str.startswith(OF_FILES)
    places = cases.assign(place=cases["workload"].where(~of_files, ""))
    key = ["place" if name == "workload" else name for name in SHARED]
    return [_table(group.drop(columns="place"), analysis) for _, group in places.groupby(key, sort=False)]


def _table(group: pd.DataFrame, analysis: Analysis) -> Table:
    compared = comparisons(analysis, "variant")
    by_case = {case_key(row): row for row in compared}
    cases = sorted(group.to_dict("records"), key=lambda case: list(group["backend"].unique()).index(case["backend"]))
    first, workloads = cases[0], analysis.run.description.by_workload()
    attempted = {planned.case.key: planned.target_attempted for planned in analysis.run.description.plan}
    rows = [
        {
            **joined(case, by_case.get(case_key(case))),
            "target": workloads[case["workload"]].target,
            "attempted": attempted[case_key(case)],
        }
        for case in cases
    ]
    words = {"reference": first["variant"], "level": ratio_level(compared, "variant")}
    unit = UNITS[first["task"]]
    return table(
        Kind.VARIANTS,
        f"Variants: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}, "
        f"track {first['track']}; seconds of {unit}",
        rows,
        notes=list(_notes(cases, analysis)),
        facets=[facets(row) for row in rows],
        names=[case_column("backend"), case_column("variant")],
        words={**words, "metric": workloads[first["workload"]].target.metric},
    )


def _notes(cases: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    for case in cases:
        if case["status"] != "ok":
            yield f"{case['backend']}, {case['variant']}: {case['status']}, {case['reason']}"
    versions = analysis.run.description.versions
    for backend in dict.fromkeys(case["backend"] for case in cases):
        here = [case["variant"] for case in cases if case["backend"] == backend]
        yield from _other_versions(backend, here, versions)


def _other_versions(backend: str, variants: Sequence[str], versions: dict[str, dict[str, str]]) -> Iterator[str]:
    """What else differs between the environments of variants: what pip brought along, or another Python."""
    first, *others = variants
    theirs = versions.get(f"{backend} {first}", {})
    for variant in others:
        ours = versions.get(f"{backend} {variant}", {})
        named = {part.partition("=")[0] for part in (first, variant)}
        changed = [
            f"{name} {ours.get(name, 'none')} instead of {theirs.get(name, 'none')}"
            for name in dict.fromkeys((*theirs, *ours))
            if ours and theirs and ours.get(name) != theirs.get(name) and name not in named
        ]
        if changed:
            yield f"{backend}, {variant}: besides {', '.join(changed)}"
