"""The pictures of a report, as Plotly's traces and layouts: every launch a point, every estimate with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.comparisons import TIME_MARGIN, family
from bench.analysis.frames import CASES, INTERVAL_LEVEL, counted
from bench.contract.case import stem
from bench.report import drawing
from bench.report.text import missing, ratio_level
from bench.report.view import Figure, Row

PALE = 0.35  # opacity of a launch that does not count
# What a launch counts with, and what comes first, by task.
VALUES = {"train": "its fastest steady epoch", "predict": "its median call", "generate": "its median token"}
WHAT = {
    "train": ("cold epoch", "steady epoch"),
    "predict": ("first call", "median call"),
    "generate": ("first token", "median token"),
}
BAND = "rgba(128, 128, 128, 0.35)"  # of the noise floor


def ratios(analysis: Analysis) -> Iterator[Figure]:
    """Ratios with intervals and noise floors, a picture for each place and family of comparisons."""
    table = analysis.comparisons.table
    for kind in table["against"].map(family).unique():
        rows = table[table["against"].map(family) == kind]
        for (workload, device, task), group in rows.groupby([*drawing.PICTURE], sort=False):
            names = drawing.varying(group, (*CASES, "against"))
            traces = []
            for row in group[group["ratio"].notna()].to_dict("records"):
                traces += _ratio(row, drawing.label(row, names))
            if traces:
                yield Figure(
                    f"{stem(workload)} on {device}{drawing.task(task)}: {_against(group, kind)}",
                    f"Seconds / the opponent's seconds{ratio_level(rows.to_dict('records'), kind)}: above 1 is slower. "
                    f"Dotted: the margin of ±{TIME_MARGIN:.0%}. Grey: what launches of a case give against themselves.",
                    traces,
                    {
                        "xaxis": {"type": "log", "title": {"text": "ratio"}, "tickformat": "~r"},
                        "showlegend": False,
                        "shapes": [
                            drawing.vertical(1 - TIME_MARGIN, "dot"),
                            drawing.vertical(1, "solid"),
                            drawing.vertical(1 + TIME_MARGIN, "dot"),
                        ],
                    },
                    rows=True,
                )


def _ratio(row: Row, name: str) -> list[dict[str, Any]]:
    """The noise floor as a band around 1, and on it the ratio."""
    traces = []
    if not missing(row["noise_floor"]) and row["noise_floor"] > 1:
        traces.append(
            {
                **drawing.about(row),
                "type": "scatter",
                "mode": "lines",
                "x": [1 / row["noise_floor"], row["noise_floor"]],
                "y": [name, name],
                "line": {"width": 12, "color": BAND},
                "hovertemplate": f"noise floor {row['noise_floor']:.3g}<extra></extra>",
            }
        )
    traces.append(
        {
            **drawing.about(row),
            **drawing.marks(row["backend"]),
            "type": "scatter",
            "mode": "markers",
            "x": [row["ratio"]],
            "y": [name],
            "error_x": drawing.error(row, "ratio"),
            "hovertemplate": f"%{{x:.3g}}, {row['verdict']}<extra></extra>",
        }
    )
    return traces


def launches(analysis: Analysis) -> Iterator[Figure]:
    """Every ok launch as a point over its repetition; disturbed ones are crosses, those that do not count pale."""
    good = analysis.run.launches[analysis.run.launches["status"] == "ok"]
    for (workload, device, task), group in good.groupby([*drawing.PICTURE], sort=False):
        names = drawing.varying(group)
        traces = []
        for _, case in group.groupby([*CASES], sort=False):
            row = case.iloc[0].to_dict()
            for disturbed, points in case.groupby(case["disturbed"] != ""):
                look = drawing.marks(row["backend"])
                look["marker"]["opacity"] = [1 if is_counted else PALE for is_counted in points["counted"]]
                look["marker"] |= {"symbol": "x-thin-open", "size": 9} if disturbed else {}
                name = drawing.label(row, names)
                traces.append(
                    {
                        **drawing.about(row),
                        **look,
                        "type": "scatter",
                        "mode": "markers",
                        "name": f"{name}, disturbed" if disturbed else name,
                        "x": drawing.numbers(points["repetition"]),
                        "y": drawing.numbers(points["epoch_seconds"]),
                        "text": [_hint(point) for point in points[["seed", "disturbed"]].to_dict("records")],
                        "hovertemplate": "repetition %{x}: %{y:.4g} s<br>%{text}<extra>%{fullData.name}</extra>",
                    }
                )
        yield Figure(
            f"{stem(workload)} on {device}{drawing.task(task)}",
            f"A point is a launch, a process of its own, with {VALUES[str(task)]}. Crosses: disturbed. Pale: measured "
            "anew, does not count. Launches of one repetition ran one after the other.",
            traces,
            {
                "xaxis": {"title": {"text": "repetition"}, **drawing.counts(group["repetition"])},
                "yaxis": {"type": "log", "title": {"text": "seconds"}, "tickformat": "~r"},
            },
        )


def _hint(launch: Row) -> str:
    disturbed = f", disturbed: {launch['disturbed']}" if launch["disturbed"] else ""
    return drawing.text(f"seed {launch['seed']}{disturbed}")


def curves(analysis: Analysis) -> Iterator[Figure]:
    """Loss and metric over the epochs, the backends over each other: the mean over launches, from least to most."""
    epochs = analysis.run.epochs.merge(
        counted(analysis.run)[[*CASES, "repetition", "attempt"]], on=[*CASES, "repetition", "attempt"]
    )
    metrics = {workload.workload: workload.target.metric for workload in analysis.run.description.workloads}
    for (workload, device), group in epochs.groupby(["workload", "device"], sort=False):
        names = drawing.varying(group)
        held = group["validation_metric"].notna().all()
        shown = {"train_loss": "training loss"}
        shown |= {"validation_metric": "validation "} if held else {"train_metric": "training "}
        for column, words in shown.items():
            words += "" if column == "train_loss" else metrics[str(workload)]
            values = group[group[column].notna()]
            if values.empty:
                continue
            traces = []
            line = drawing.lines(values, names)
            for _, case in values.groupby([*CASES], sort=False):
                row = case.iloc[0].to_dict()
                traces += _curve(case, column, row, drawing.label(row, names), line(row))
            yield Figure(
                f"{stem(workload)} on {device}: {words}",
                "The mean over launches at the end of each epoch; the band goes from the lowest to the highest launch.",
                traces,
                {
                    "xaxis": {"title": {"text": "epoch"}, **drawing.counts(values["epoch"])},
                    "yaxis": {"title": {"text": words}},
                },
            )


def _curve(case: pd.DataFrame, column: str, row: Row, name: str, line: dict[str, Any]) -> list[dict[str, Any]]:
    over = case.assign(value=case[column].astype(float)).groupby("epoch")["value"].agg(["mean", "min", "max", "size"])
    x, traces = [int(epoch) + 1 for epoch in over.index], []
    if over["size"].max() > 1:
        traces.append(
            {
                **drawing.about(row),
                "type": "scatter",
                "mode": "lines",
                "x": [*x, *reversed(x)],
                "y": [*drawing.numbers(over["max"]), *reversed(drawing.numbers(over["min"]))],
                "fill": "toself",
                "fillcolor": drawing.translucent(drawing.colour(row["backend"])),
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": name,
            }
        )
    traces.append(
        {
            **drawing.about(row),
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "legendgroup": name,
            "x": x,
            "y": drawing.numbers(over["mean"]),
            "line": line,
            "marker": {"symbol": drawing.symbol(row["backend"]), "size": 6},
            "hovertemplate": "epoch %{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
        }
    )
    return traces


def phases(analysis: Analysis) -> Iterator[Figure]:
    """Setup, the cold epoch and a steady one side by side."""
    good = analysis.cases[analysis.cases["epoch_seconds"].notna()]
    for (workload, device, task), group in good.groupby([*drawing.PICTURE], sort=False):
        names = drawing.varying(group)
        what = WHAT[str(task)]
        words = [*reversed(what), "setup"]
        traces = []
        for row in group.to_dict("records"):
            values = [row["epoch_seconds"], row["cold_epoch_seconds"], row["setup_seconds"]]
            traces.append(
                {
                    **drawing.about(row),
                    **drawing.bar(row["backend"]),
                    "name": drawing.label(row, names),
                    "x": words,
                    "y": [drawing.plain(value) for value in values],
                    "error_y": drawing.error(row, "epoch_seconds"),  # of the first bar alone
                    "hovertemplate": "%{x}: %{y:.4g} s<extra>%{fullData.name}</extra>",
                }
            )
        yield Figure(
            f"{stem(workload)} on {device}{drawing.task(task)}",
            f"Setup is what passes before the {words[1]}, which compiles; the interval [{INTERVAL_LEVEL:.0%}] is that "
            f"of the {words[0]}.",
            traces,
            {"barmode": "group", "yaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"}},
        )


def memory(analysis: Analysis) -> Iterator[Figure]:
    """The largest resident set, and the largest use of a GPU's memory, of each case."""
    for column, words in {"peak_host_mib": "host", "peak_device_mib": "device"}.items():
        good = analysis.cases[analysis.cases[column].notna()]
        for (device, task), group in good.groupby(["device", "task"], sort=False):
            names = [
                name for name in drawing.varying(group) if name not in ("workload", "dataset", "samples", "epochs")
            ]
            shown: set[str] = set()
            traces = []
            for row in group.to_dict("records"):
                name = drawing.label(row, names)
                traces.append(
                    {
                        **drawing.about(row),
                        **drawing.bar(row["backend"]),
                        "name": name,
                        "legendgroup": name,
                        "offsetgroup": name,
                        "showlegend": name not in shown,
                        "x": [drawing.text(stem(row["workload"]))],
                        "y": [drawing.plain(row[column])],
                        "hovertemplate": "%{x}: %{y:.0f} MiB<extra>%{fullData.name}</extra>",
                    }
                )
                shown.add(name)
            yield Figure(
                f"Memory of the {words}: on {device}{drawing.task(task)}",
                "The process's peak from the moment its data is ready, the framework and the training set included."
                if words == "host"
                else "The most that the framework took of the device at once.",
                traces,
                {"barmode": "group", "yaxis": {"title": {"text": "MiB"}, "rangemode": "tozero"}},
            )


def _against(group: pd.DataFrame, kind: Any) -> str:
    opponents = [against.partition("=")[2] for against in group["against"].unique()]
    words = {"batch": "batch size", "numerics": "numerics"}  # others are as they are called
    named = words.get(kind, kind)
    return f"{named}{'' if named.endswith('s') else 's'} against {' and '.join(opponents)}"
