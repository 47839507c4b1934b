"""What a report says of traced epochs: the layers and phases that are dearest, the backends side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench.analysis.explain import Explanation
from bench.analysis.operations import Traced, by_layer
from bench.contract.case import stem
from bench.report.cells import plain
from bench.report.columns import Column, Kind, table
from bench.report.view import Sentence, Table, facets

DEAREST = 10  # layers and phases that are shown
REST, ALL = "all else", "all operations"


def tables(explanation: Explanation | None) -> list[Table]:
    """A table for each workload and device: a row for each layer and phase, a column for each backend."""
    return list(_tables(explanation, Kind.OPERATIONS))


def brief(explanation: Explanation | None) -> list[Table]:
    """The same without the names of operations, which fits a terminal."""
    return list(_tables(explanation, Kind.LAYERS))


def remarks(explanation: Explanation | None) -> list[Sentence]:
    """Where no epoch could be traced, and why."""
    traces = explanation.operations.traces if explanation else []
    return [
        Sentence(
            f"no operations: {stem(one.workload)} on {one.device}, {one.backend}: {one.error}",
            facets(one._asdict(), "workload", "device"),
        )
        for one in traces
        if one.error
    ]


def _tables(explanation: Explanation | None, kind: Kind) -> Iterator[Table]:
    if explanation is None or explanation.operations.table.empty:
        return
    layers = by_layer(explanation.operations.table)
    for (workload, device), rows in layers.groupby(["workload", "device"], sort=False):
        traces = [
            one
            for one in explanation.operations.traces
            if (one.workload, one.device) == (workload, device) and not one.error
        ]
        backends = [one.backend for one in traces]
        shown = list(_rows(rows, backends))
        yield table(
            kind,
            f"Layers and operations: {stem(workload)} on {device}, milliseconds a step",
            shown,
            notes=[*NOTES, *map(_about, traces)],
            names=[Column("layer", plain("layer"), (), name=True), Column("phase", plain("phase"), (), name=True)],
            backends=backends,
            facets=[facets({"workload": workload, "device": device}, "workload", "device")] * len(shown),
        )


NOTES = (
    "shares are of all operations of a step, on a CPU of all threads together; operations.csv has each by its name",
)


def _about(trace: Traced) -> str:
    folder = trace.file.partition("/")[0]
    return (
        f"{trace.backend}: {trace.at_home:.1%} brought home to a layer, the loss, the metrics or the optimizer; under "
        f"the profiler an epoch of {trace.steps} steps took {trace.cost:.2f} times as long; trace: explain/{folder}, "
        "for TensorBoard, its .json.gz for Perfetto"
    )


def _rows(layers: pd.DataFrame, backends: list[str]) -> Iterator[Mapping[str, Any]]:
    """The dearest by their largest share on any backend, then what is left, then all."""
    most = layers.groupby(["layer", "phase"], sort=False)["share"].max().sort_values(ascending=False, kind="stable")
    dearest = set(most.index[:DEAREST])
    of = {(row["layer"], row["phase"], row["backend"]): row for row in layers.to_dict("records")}
    for layer, phase in most.index[:DEAREST]:
        cells = {backend: of.get((layer, phase, backend)) for backend in backends}
        yield {"layer": layer, "phase": phase, **cells}
    is_left = [place not in dearest for place in zip(layers["layer"], layers["phase"], strict=True)]
    for name, rows in ((REST, layers[is_left]), (ALL, layers)):
        if len(rows):
            yield {"layer": name, "phase": "", **_sums(rows)}


def _sums(rows: pd.DataFrame) -> Mapping[str, Any]:
    sums = rows.groupby("backend", sort=False)[["seconds", "share"]].sum()
    return {str(backend): {**values, "operation": ""} for backend, values in sums.to_dict("index").items()}
