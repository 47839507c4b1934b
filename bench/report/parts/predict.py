"""What a report says of inference and generation: how long a call or a token takes, a row per backend and track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.contract.case import case_key, stem
from bench.report import drawing
from bench.report.cells import called
from bench.report.columns import Kind, table
from bench.report.rows import Compared, compared, joined
from bench.report.text import disturbances, missing, ratio_level
from bench.report.view import Figure, Row, Table, facets


class Words(NamedTuple):
    """What is said of a task: the kind of its table and how that is called, what is timed, and the notes below it."""

    kind: Kind
    title: str
    unit: str
    track: str
    note: str


WORDS = {
    "predict": Words(
        Kind.PREDICT,
        "Inference",
        "call",
        "native",
        "ms a call is the geometric mean over launches of each one's median call, which ends when its outputs are on "
        "the host; p50, p90 and p99 are over all calls of all launches. setup is what comes before the first call, "
        "such as the export; the first call compiles",
    ),
    "generate": Words(
        Kind.GENERATE,
        "Generation",
        "token",
        "own",
        "ms a token is the geometric mean over launches of each one's median token, without the first of a generation, "
        "for as many sequences as the batch has; of generate() it is the mean of a generation's. first token is the "
        "time from a prompt to it, first call the same of the cold generation, which compiles. All but generate() "
        "compute the whole context anew for each token",
    ),
}


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size and numerics of tasks predict and generate."""
    cases = analysis.cases[analysis.cases["task"].isin(WORDS)]
    groups = cases.groupby([name for name in CASES if name not in ("backend", "track")], sort=False)
    comparisons, reference = compared(analysis), analysis.run.description.reference
    return [_table(group, comparisons, reference) for _, group in groups]


def _table(group: pd.DataFrame, comparisons: Compared, reference: str) -> Table:
    words = WORDS[group["task"].iloc[0]]
    rows = [_row(case, comparisons, reference, words.track) for case in group.to_dict("records")]
    first = rows[0]
    return table(
        words.kind,
        f"{words.title}: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, "
        f"{first['numerics']}: {first['samples'] // first['batch_size']} {words.unit}s a launch",
        rows,
        notes=[words.note, *_notes(rows)],
        facets=[facets(row) for row in rows],
        words={
            "reference": reference,
            "level": ratio_level(comparisons.values(), "backend"),
            f"{words.track}_level": ratio_level(comparisons.values(), f"track={words.track}"),
        },
    )


def _row(case: Row, comparisons: Compared, reference: str, track: str) -> Row:
    """A case with its comparison with the reference, and the ratio to another track as `native_ratio`, say."""
    other = comparisons.get((case_key(case), f"track={track}"), {})
    ratios = {f"{track}_{name}": value for name, value in other.items() if name.startswith("ratio")}
    return {**joined(case, comparisons.get((case_key(case), f"backend={reference}"))), **ratios}


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["status"] != "ok":
            yield f"{called(row)}: {row['status']}, {row['reason']}"
        yield from disturbances(called(row), row)


def figures(analysis: Analysis) -> Iterator[Figure]:
    """How long a call of inference, or a token, takes: the median, and up to the 99th of a hundred of them."""
    called = analysis.cases[analysis.cases["task"].isin(WORDS) & analysis.cases["p50_seconds"].notna()]
    for (workload, device, task), group in called.groupby([*drawing.PICTURE], sort=False):
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
            f"{stem(workload)} on {device}{drawing.task(task) if task == 'generate' else ''}",
            f"Milliseconds of a {WORDS[str(task)].unit}: the large mark is the median, the small ones p90 and p99.",
            traces,
            {"xaxis": {"type": "log", "title": {"text": "milliseconds"}, "tickformat": "~r"}, "showlegend": False},
            rows=True,
        )
