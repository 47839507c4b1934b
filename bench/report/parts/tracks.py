"""What a report says of the tracks: what Keras costs, which knob gets it back, and throughput over batch sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.analysis.tuning import Choice
from bench.contract.case import TRACKS, case_key, stem
from bench.contract.tuning import knob_words
from bench.report import drawing
from bench.report.text import NOTHING, missing, number, ratio_level, significant, with_interval
from bench.report.view import Figure, Row, Table, facets

# Ratios of two tracks of one backend, as columns: what Keras costs, what `fit` leaves on the table, what is left of it.
RATIOS = {
    ("fit", "track=native"): "Keras overhead (fit / native)",
    ("fit", "track=tuned"): "left on the table (fit / tuned)",
    ("tuned", "track=native"): "tuned / native",
    ("loop", "track=native"): "loop / native",
}
MEMORY = """\
# First of all: keep freed memory instead of giving it back to the kernel (glibc; M_MMAP_MAX, M_TRIM_THRESHOLD).
import ctypes
ctypes.CDLL(None).mallopt(-4, 0), ctypes.CDLL(None).mallopt(-1, 2**31 - 1)
"""
INPUTS = {
    "arrays": "x, y, batch_size={batch}",
    "PyDataset": "Batches(x, y, {batch})",
    "tf.data": "tf.data.Dataset.from_tensor_slices((x, y)).batch({batch}).prefetch(tf.data.AUTOTUNE)",
    "DataLoader": "DataLoader(samples, sampler=BatchSampler(SequentialSampler(samples), {batch}, drop_last=True), "
    "batch_size=None)",
}
BEFORE = {
    "PyDataset": """\
class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, index):
        batch = slice(index * self.size, (index + 1) * self.size)
        return self.x[batch], self.y[batch]

""",
    "DataLoader": """\
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset
samples = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
""",
}


def tables(analysis: Analysis) -> list[Table]:
    """A table backend × track for each workload, device and batch size, then one of throughput over batch sizes."""
    found = []
    compared = {(case_key(row), row["against"]): row for row in analysis.comparisons.table.to_dict("records")}
    handed = analysis.cases[analysis.cases["input"].eq("arrays") & analysis.cases["task"].eq("train")]
    for _, group in handed.groupby([name for name in CASES if name not in ("backend", "track")], sort=False):
        if group["track"].nunique() > 1:
            found.append(_tracks(analysis, group, compared))
    for _, group in handed.groupby([name for name in CASES if name not in ("backend", "batch_size")], sort=False):
        if group["batch_size"].nunique() > 1:
            found.append(_sweep(group))
    return found


def _tracks(analysis: Analysis, group: pd.DataFrame, compared: Mapping[Any, Any]) -> Table:
    """Seconds and memory of each track, and the ratios of tracks, a row per backend."""
    rows = group.to_dict("records")
    first = rows[0]
    shown = [track for track in TRACKS if track in set(group["track"])]
    ratios = {ends: words for ends, words in RATIOS.items() if any(_found(compared, row, ends) for row in rows)}
    cells = []
    for backend in dict.fromkeys(group["backend"]):
        case = {row["track"]: row for row in rows if row["backend"] == backend}
        fit = [_found(compared, case.get(track), (track, against)) for track, against in ratios]
        cells.append(
            [
                backend,
                *(_seconds(case.get(track)) for track in shown),
                *(with_interval(row["ratio"], row["ratio_low"], row["ratio_high"]) if row else NOTHING for row in fit),
            ]
        )
    return Table(
        f"What Keras costs: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}"
        + ("" if first["numerics"] == "float32" else f", {first['numerics']}"),
        ["backend", *shown, *ratios.values()],
        cells,
        [_columns(compared), *_knob_notes(analysis, rows)],
        facets=[facets(first, "workload", "device", "numerics")] * len(cells),
    )


def _columns(compared: Mapping[Any, Any]) -> str:
    """What stands in the columns."""
    level = ratio_level(compared.values(), "track")
    ratios = f"; ratios{level} are paired by repetition" if level else ""
    return f"each track: seconds per epoch [{INTERVAL_LEVEL:.0%}], peak MiB of the process{ratios}"


def _seconds(case: Row | None) -> str:
    if case is None or missing(case["epoch_seconds"]):
        return NOTHING
    seconds = with_interval(case["epoch_seconds"], case["epoch_seconds_low"], case["epoch_seconds_high"])
    return f"{seconds}, {number(case['peak_host_mib'], 0)}"


def _found(compared: Mapping[Any, Any], case: Row | None, ends: tuple[str, str]) -> Any:
    """The comparison of a case, where it is of that track, with that opponent."""
    return None if case is None or case["track"] != ends[0] else compared.get((case_key(case), ends[1]))


def _knob_notes(analysis: Analysis, rows: Iterable[Row]) -> Iterator[str]:
    """A sentence per backend and track: which knobs were turned, what each brought, what could not be had."""
    places = {case_key(row) for row in rows}
    for choice in analysis.choices:
        if choice.case.key in places:
            yield _sentence(choice)


def _sentence(choice: Choice) -> str:
    who = f"{choice.case.backend} {choice.case.track}"
    if not choice.gains:
        said = (
            f"{who}: none of {choice.tried} configurations was faster than the default ({knob_words(choice.default)})"
        )
    else:
        parts = [
            f"{name}={choice.knobs[name]}"
            + ("" if missing(gain) else f" (without it a step takes {significant(gain)} times as long)")
            for name, gain in choice.gains.items()
        ]
        all_of_them = "" if missing(choice.gain) else f"; the default takes {significant(choice.gain)} times as long"
        said = f"{who}: the fastest of {choice.tried} configurations turns {', '.join(parts)}{all_of_them}"
    without = [f"{value}: {reason}" for value, reason in choice.without.items()]
    return f"{said}; not to be had: {'; '.join(without)}" if without else said


def _sweep(group: pd.DataFrame) -> Table:
    """Samples per second, a row per batch size."""
    first = group.iloc[0]
    speeds = group.pivot_table("samples_per_second", "batch_size", "backend", "first", sort=False)
    rows = [
        [str(size), *(NOTHING if missing(speed) else f"{speed:,.0f}" for speed in row)]
        for size, row in zip(speeds.index, speeds.to_numpy(), strict=True)
    ]
    return Table(
        f"Samples per second by batch size: {stem(first['workload'])} on {first['device']}, track {first['track']}",
        ["batch size", *map(str, speeds.columns)],
        rows,
        [],
        facets=[facets(first)] * len(rows),
    )


def snippets(analysis: Analysis) -> list[tuple[str, str]]:
    """For each search of track `tuned` a name and the call it found, as code to be pasted."""
    return [(choice.case.title, _call(choice)) for choice in analysis.choices if choice.case.track == "tuned"]


def _call(choice: Choice) -> str:
    knobs = choice.knobs
    how = "".join(f", {name}={knobs[name]!r}" for name in ("jit_compile", "steps_per_execution"))
    handed = INPUTS[knobs["input"]].format(batch=choice.case.batch_size)
    return (
        (MEMORY if knobs["malloc"] == "keep" else "")
        + BEFORE.get(knobs["input"], "")
        + f"model.compile(optimizer=…, loss=…, metrics=[…]{how})\n"
        + f"model.fit({handed}, epochs={choice.case.epochs}, shuffle=False, verbose=0)"
    )


def figures(analysis: Analysis) -> Iterator[Figure]:
    """Seconds of an epoch by track: what Keras costs, and which knob gets it back."""
    good = analysis.cases[analysis.cases["epoch_seconds"].notna() & analysis.cases["task"].eq("train")]
    for _, group in good.groupby([name for name in CASES if name not in ("backend", "track")], sort=False):
        if group["track"].nunique() > 1:
            first, shown, traces = group.iloc[0], set[str](), []
            for row in group.to_dict("records"):
                traces.append(
                    {
                        **drawing.about(row),
                        **drawing.bar(row["backend"]),
                        "name": row["backend"],
                        "legendgroup": row["backend"],
                        "offsetgroup": row["backend"],
                        "showlegend": row["backend"] not in shown,
                        "x": [row["track"]],
                        "y": [row["epoch_seconds"]],
                        "error_y": drawing.error(row, "epoch_seconds"),
                        "hovertemplate": "%{x}: %{y:.4g} s<extra>%{fullData.name}</extra>",
                    }
                )
                shown.add(row["backend"])
            yield Figure(
                f"{stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}",
                f"Seconds of an epoch by track, with their intervals [{INTERVAL_LEVEL:.0%}]; native is the same "
                "network without Keras.",
                traces,
                {"barmode": "group", "yaxis": {"title": {"text": "seconds per epoch"}, "rangemode": "tozero"}},
            )


def batch_figures(analysis: Analysis) -> Iterator[Figure]:
    """Samples per second over the batch size."""
    good = analysis.cases[analysis.cases["samples_per_second"].notna()]
    for (workload, device, task), group in good.groupby([*drawing.PLACE], sort=False):
        if group["batch_size"].nunique() < 2:
            continue
        names = [name for name in drawing.varying(group) if name not in ("batch_size", "samples")]
        fixed = [name for name in CASES if name not in ("batch_size", "samples")]
        traces = []
        line = drawing.lines(group, names)
        for _, sweep in group.groupby(fixed, sort=False):
            ordered, row = sweep.sort_values("batch_size"), sweep.iloc[0].to_dict()
            traces.append(
                {
                    **drawing.about(row),
                    **drawing.marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": drawing.label(row, names),
                    "x": drawing.numbers(ordered["batch_size"]),
                    "y": drawing.numbers(ordered["samples_per_second"]),
                    "line": line(row),
                    "hovertemplate": "batch %{x}: %{y:,.0f} a second<extra>%{fullData.name}</extra>",
                }
            )
        yield Figure(
            f"{stem(workload)} on {device}{drawing.task(task)}",
            "Samples per second over the batch size, both axes logarithmic.",
            traces,
            {
                "xaxis": {
                    "type": "log",
                    "title": {"text": "batch size"},
                    "tickvals": sorted(map(int, group["batch_size"].unique())),
                },
                "yaxis": {"type": "log", "title": {"text": "samples per second"}, "tickformat": "~s"},
            },
        )
