"""What a report says of variants: a table with a row for each of them and each backend, the first as the unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.contract.case import OF_FILES, case_key, devices_in_words, stem
from bench.report.columns import Kind, case_column, table
from bench.report.rows import case_rows, comparisons, resolved_of
from bench.report.text import ratio_level
from bench.report.view import Row, Table, facets

UNITS = {"train": "an epoch", "predict": "a call", "generate": "a token"}
SHARED = [name for name in CASES if name not in ("backend", "variant")]


def tables(analysis: Analysis) -> list[Table]:
    """A table for each place in which variants were compared; those that train files of their own share one."""
    cases = analysis.cases[analysis.cases["variant"].ne("")]
    of_files = cases["variant"].str.startswith(OF_FILES)
    places = cases.assign(workload=cases["workload"].where(~of_files, "")).groupby(SHARED, sort=False)
    rows = case_rows(analysis, "variant")
    return [_table([rows[number] for number in place.index], analysis) for _, place in places]


def _table(place: Sequence[Row], analysis: Analysis) -> Table:
    order = list(dict.fromkeys(row["backend"] for row in place))
    rows = sorted(place, key=lambda row: order.index(row["backend"]))
    first, level = rows[0], ratio_level(comparisons(analysis, "variant"), "variant")
    devices = f", {devices_in_words(first['device_count'])}" if first["device_count"] > 1 else ""
    return table(
        Kind.VARIANTS,
        f"Variants: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}, "
        f"track {first['track']}{devices}; seconds of {UNITS[first['task']]}",
        rows,
        notes=list(_notes(rows, analysis)),
        facets=[facets(row) for row in rows],
        names=[case_column("backend"), case_column("variant")],
        words={"reference": first["variant"], "level": level, "metric": first["target"].metric},
    )


def _notes(cases: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    for case in cases:
        if case["status"] != "ok":
            yield f"{case['backend']}, {case['variant']}: {case['status']}, {case['reason']}"
    yield from _averaged_otherwise(cases, analysis)
    versions = analysis.run.description.versions
    for backend in dict.fromkeys(case["backend"] for case in cases):
        here = [case["variant"] for case in cases if case["backend"] == backend]
        yield from _other_versions(backend, here, versions)


def _averaged_otherwise(cases: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """Where several devices train, the variants whose gradients something else averages than those of the first."""
    resolved = resolved_of(analysis)
    by = {case_key(case): resolved.get(case_key(case), {}).get("averaged_by") for case in cases}
    for case in cases:
        one = next(other for other in cases if other["backend"] == case["backend"])
        here, first = by[case_key(case)], by[case_key(one)]
        if here and first and here != first:
            who = f"{case['backend']}, {case['variant']}"
            yield (
                f"{who}: gradients averaged by {here}, with {one['variant']} by {first}: the two are unlike in more "
                "than what varies"
            )


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
