"""What a report says of inference: how long a call takes, a row per backend and track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.contract.case import case_key, stem
from bench.report import drawing
from bench.report.text import NOTHING, disturbances, missing, number, ratio_level, significant, with_interval
from bench.report.view import Figure, Row, Table, facets

TRACKS = {"fit": "model.predict", "loop": "compiled call", "native": "exported"}


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size and numerics of task predict."""
    cases = analysis.cases[analysis.cases["task"].eq("predict")]
    groups = cases.groupby([name for name in CASES if name not in ("backend", "track")], sort=False)
    return [_table(analysis, group) for _, group in groups]


def _table(analysis: Analysis, group: pd.DataFrame) -> Table:
    rows = group.to_dict("records")
    first, reference = rows[0], analysis.run.description.reference
    compared = {(case_key(row), row["against"]): row for row in analysis.comparisons.table.to_dict("records")}
    return Table(
        f"Inference: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}: "
        f"{first['samples'] // first['batch_size']} calls a launch",
        [
            "backend, what is called",
            f"ms a call [{INTERVAL_LEVEL:.0%}]",
            f"ratio to {reference}{ratio_level(compared.values(), 'backend')}",
            "verdict",
            f"ratio to exported{ratio_level(compared.values(), 'track=native')}",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "samples/s",
            "first call s",
            "setup s",
            "peak MiB",
        ],
        [_row(row, compared, reference) for row in rows],
        list(_notes(rows)),
        facets=[facets(row) for row in rows],
    )


def _row(case: Row, compared: Mapping[Any, Row], reference: str) -> list[str]:
    backend, native = (compared.get((case_key(case), name)) for name in (f"backend={reference}", "track=native"))
    quantiles = [_milliseconds(case[name]) for name in ("p50_seconds", "p90_seconds", "p99_seconds")]
    seconds = [case[name] for name in ("epoch_seconds", "epoch_seconds_low", "epoch_seconds_high")]
    return [
        f"{case['backend']}, {TRACKS[case['track']]}",
        NOTHING if missing(seconds[0]) else with_interval(*(1000 * value for value in seconds)),
        _ratio(backend),
        backend["verdict"] if backend else NOTHING,
        _ratio(native),
        *quantiles,
        NOTHING if missing(case["samples_per_second"]) else f"{case['samples_per_second']:,.0f}",
        significant(case["cold_epoch_seconds"]),
        significant(case["setup_seconds"]),
        number(case["peak_host_mib"], 0),
    ]


def _ratio(row: Row | None) -> str:
    return with_interval(row["ratio"], row["ratio_low"], row["ratio_high"]) if row else NOTHING


def _milliseconds(seconds: Any) -> str:
    return NOTHING if missing(seconds) else significant(1000 * seconds)


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "ms a call is the geometric mean over launches of each one's median call, which ends when its outputs are on "
        "the host; p50, p90 and p99 are over all calls of all launches. setup is what comes before the first call, "
        "such as the export; the first call compiles"
    )
    for row in rows:
        who = f"{row['backend']}, {TRACKS[row['track']]}"
        if row["status"] != "ok":
            yield f"{who}: {row['status']}, {row['reason']}"
        yield from disturbances(who, row)


def figures(analysis: Analysis) -> Iterator[Figure]:
    """How long a call of inference takes: the median, and up to the 99th of a hundred calls."""
    called = analysis.cases[analysis.cases["task"].eq("predict") & analysis.cases["p50_seconds"].notna()]
    for (workload, device), group in called.groupby(["workload", "device"], sort=False):
        names = drawing.varying(group)
        traces = []
        for row in group.to_dict("records"):
            middle, high = 1000 * row["p50_seconds"], 1000 * row["p90_seconds"]
            last = high if missing(row["p99_seconds"]) else 1000 * row["p99_seconds"]
            traces.append(
                {
                    **drawing.about(row),
                    **drawing.marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": [middle, high, last],
                    "y": [drawing.label(row, names)] * 3,
                    "line": {"color": drawing.colour(row["backend"]), "width": 2},
                    "text": ["p50", "p90", "p90" if missing(row["p99_seconds"]) else "p99"],
                    "hovertemplate": "%{text}: %{x:.4g} ms<extra></extra>",
                }
            )
            traces[-1]["marker"]["size"] = [10, 6, 6]
        yield Figure(
            f"{stem(workload)} on {device}",
            "Milliseconds of a call: the large mark is the median, the small ones p90 and p99.",
            traces,
            {"xaxis": {"type": "log", "title": {"text": "milliseconds"}, "tickformat": "~r"}, "showlegend": False},
            rows=True,
        )
