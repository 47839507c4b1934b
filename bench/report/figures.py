"""The pictures of a report, as Plotly's traces and layouts: every launch a point, every estimate with its interval."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.comparisons import TIME_MARGIN, family
from bench.analysis.frames import CASES, INTERVAL_LEVEL, counted
from bench.record import stem
from bench.report.view import Figure, Row, facets, missing, ratio_level

# Okabe and Ito's palette for the colour-blind (2008), each at least 3 : 1 against the page's white and its black.
COLOURS = {"jax": "#0072b2", "tensorflow": "#d55e00", "torch": "#008f68", "openvino": "#b86092"}
OTHERS = ("#8a7400", "#5a78c8", "#767676")  # for backends that nobody chose a colour for
SYMBOLS = {"jax": "circle", "tensorflow": "square", "torch": "diamond", "openvino": "triangle-up"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # of what differs besides the backend
WIDTHS = (6, 3.5, 1.5)  # of lines that may lie on each other
PALE = 0.35  # opacity of a launch that does not count
PLACE = ["workload", "device", "task"]  # one picture each
GREY = "rgba(128, 128, 128, 0.35)"


def colour(backend: str) -> str:
    """A backend's colour, the same everywhere."""
    return COLOURS.get(backend) or OTHERS[sum(backend.encode()) % len(OTHERS)]


def ratios(analysis: Analysis) -> Iterator[Figure]:
    """Ratios with intervals and noise floors, a picture for each place and family of comparisons."""
    table = analysis.comparisons.table
    for kind in table["against"].map(family).unique():
        rows = table[table["against"].map(family) == kind]
        for (workload, device, task), group in rows.groupby(PLACE, sort=False):
            names = varying(group, (*CASES, "against"))
            traces = []
            for row in group[group["ratio"].notna()].to_dict("records"):
                traces += _ratio(row, label(row, names))
            if traces:
                yield Figure(
                    f"{stem(workload)} on {device}{_task(task)}: {_against(group, kind)}",
                    f"Seconds / the opponent's seconds{ratio_level(rows.to_dict('records'), kind)}: above 1 is slower. "
                    f"Dotted: the margin of ±{TIME_MARGIN:.0%}. Grey: what launches of a case give against themselves.",
                    traces,
                    {
                        "xaxis": {"type": "log", "title": {"text": "ratio"}, "tickformat": "~r"},
                        "showlegend": False,
                        "shapes": [_line(1 - TIME_MARGIN, "dot"), _line(1, "solid"), _line(1 + TIME_MARGIN, "dot")],
                    },
                    rows=True,
                )


def _ratio(row: Row, name: str) -> list[dict[str, Any]]:
    """The noise floor as a band around 1, and on it the ratio."""
    found = []
    if not missing(row["noise_floor"]) and row["noise_floor"] > 1:
        found.append(
            {
                **_about(row),
                "type": "scatter",
                "mode": "lines",
                "x": [1 / row["noise_floor"], row["noise_floor"]],
                "y": [name, name],
                "line": {"width": 12, "color": GREY},
                "hovertemplate": f"noise floor {row['noise_floor']:.3g}<extra></extra>",
            }
        )
    found.append(
        {
            **_about(row),
            **marks(row["backend"]),
            "type": "scatter",
            "mode": "markers",
            "x": [row["ratio"]],
            "y": [name],
            "error_x": _error(row, "ratio"),
            "hovertemplate": f"%{{x:.3g}}, {row['verdict']}<extra></extra>",
        }
    )
    return found


def launches(analysis: Analysis) -> Iterator[Figure]:
    """Every ok launch as a point over its repetition; disturbed ones are crosses, those that do not count pale."""
    good = analysis.run.launches[analysis.run.launches["status"] == "ok"]
    for (workload, device, task), group in good.groupby(PLACE, sort=False):
        names = varying(group)
        traces = []
        for _, case in group.groupby([*CASES], sort=False):
            row = case.iloc[0].to_dict()
            for disturbed, points in case.groupby(case["disturbed"] != ""):
                look = marks(row["backend"])
                look["marker"]["opacity"] = [1 if is_counted else PALE for is_counted in points["counted"]]
                look["marker"] |= {"symbol": "x-thin-open", "size": 9} if disturbed else {}
                name = label(row, names)
                traces.append(
                    {
                        **_about(row),
                        **look,
                        "type": "scatter",
                        "mode": "markers",
                        "name": f"{name}, disturbed" if disturbed else name,
                        "x": numbers(points["repetition"]),
                        "y": numbers(points["epoch_seconds"]),
                        "text": [_hint(point) for point in points.to_dict("records")],
                        "hovertemplate": "repetition %{x}: %{y:.4g} s<br>%{text}<extra>%{fullData.name}</extra>",
                    }
                )
        value = "its median call" if task == "predict" else "its fastest steady epoch"
        few = {"dtick": 1} if group["repetition"].max() < 12 else {}
        yield Figure(
            f"{stem(workload)} on {device}{_task(task)}",
            f"A point is a launch, a process of its own, with {value}. Crosses: disturbed. Pale: measured anew, does "
            "not count. Launches of one repetition ran one after the other.",
            traces,
            {
                "xaxis": {"title": {"text": "repetition"}, "tickformat": "d", **few},
                "yaxis": {"type": "log", "title": {"text": "seconds"}, "tickformat": "~r"},
            },
        )


def _hint(launch: Row) -> str:
    disturbed = f", disturbed: {launch['disturbed']}" if launch["disturbed"] else ""
    return _text(f"seed {launch['seed']}{disturbed}")


def curves(analysis: Analysis) -> Iterator[Figure]:
    """Loss and metric over the epochs, the backends over each other: the mean over launches, from least to most."""
    epochs = analysis.run.epochs.merge(
        counted(analysis.run)[[*CASES, "repetition", "attempt"]], on=[*CASES, "repetition", "attempt"]
    )
    metrics = {one["workload"]: one["target"]["metric"] for one in analysis.run.description["workloads"]}
    for (workload, device), group in epochs.groupby(["workload", "device"], sort=False):
        names = varying(group)
        held = group["validation_metric"].notna().all()
        shown = {"train_loss": "training loss"}
        shown |= {"validation_metric": "validation "} if held else {"train_metric": "training "}
        for column, words in shown.items():
            words += "" if column == "train_loss" else metrics[workload]
            values = group[group[column].notna()]
            if values.empty:
                continue
            traces = []
            line = _lines(values, names)
            for _, case in values.groupby([*CASES], sort=False):
                row = case.iloc[0].to_dict()
                traces += _curve(case, column, row, label(row, names), line(row))
            yield Figure(
                f"{stem(workload)} on {device}: {words}",
                "The mean over launches at the end of each epoch; the band goes from the lowest to the highest launch.",
                traces,
                {
                    "xaxis": {"title": {"text": "epoch"}, "tickformat": "d"},
                    "yaxis": {"title": {"text": words}},
                },
            )


def _curve(case: pd.DataFrame, column: str, row: Row, name: str, line: dict[str, Any]) -> list[dict[str, Any]]:
    over = case.assign(value=case[column].astype(float)).groupby("epoch")["value"].agg(["mean", "min", "max", "size"])
    x, found = [int(epoch) + 1 for epoch in over.index], []
    if over["size"].max() > 1:
        found.append(
            {
                **_about(row),
                "type": "scatter",
                "mode": "lines",
                "x": [*x, *reversed(x)],
                "y": [*numbers(over["max"]), *reversed(numbers(over["min"]))],
                "fill": "toself",
                "fillcolor": _translucent(colour(row["backend"])),
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
                "legendgroup": name,
            }
        )
    found.append(
        {
            **_about(row),
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "legendgroup": name,
            "x": x,
            "y": numbers(over["mean"]),
            "line": line,
            "marker": {"symbol": SYMBOLS.get(row["backend"], "cross"), "size": 6},
            "hovertemplate": "epoch %{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
        }
    )
    return found


def phases(analysis: Analysis) -> Iterator[Figure]:
    """Setup, the cold epoch and a steady one side by side."""
    good = analysis.cases[analysis.cases["epoch_seconds"].notna()]
    for (workload, device, task), group in good.groupby(PLACE, sort=False):
        names = varying(group)
        what = ("first call", "median call") if task == "predict" else ("cold epoch", "steady epoch")
        words = [*reversed(what), "setup"]
        traces = []
        for row in group.to_dict("records"):
            values = [row["epoch_seconds"], row["cold_epoch_seconds"], row["setup_seconds"]]
            traces.append(
                {
                    **_about(row),
                    **_bar(row["backend"]),
                    "name": label(row, names),
                    "x": words,
                    "y": [_number(value) for value in values],
                    "error_y": _error(row, "epoch_seconds"),  # of the first bar alone
                    "hovertemplate": "%{x}: %{y:.4g} s<extra>%{fullData.name}</extra>",
                }
            )
        yield Figure(
            f"{stem(workload)} on {device}{_task(task)}",
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
            names = [name for name in varying(group) if name not in ("workload", "dataset", "samples", "epochs")]
            shown: set[str] = set()
            traces = []
            for row in group.to_dict("records"):
                name = label(row, names)
                traces.append(
                    {
                        **_about(row),
                        **_bar(row["backend"]),
                        "name": name,
                        "legendgroup": name,
                        "offsetgroup": name,
                        "showlegend": name not in shown,
                        "x": [_text(stem(row["workload"]))],
                        "y": [_number(row[column])],
                        "hovertemplate": "%{x}: %{y:.0f} MiB<extra>%{fullData.name}</extra>",
                    }
                )
                shown.add(name)
            yield Figure(
                f"Memory of the {words}: on {device}{_task(task)}",
                "The process's peak from the moment its data is ready, the framework and the training set included."
                if words == "host"
                else "The most that the framework took of the device at once.",
                traces,
                {"barmode": "group", "yaxis": {"title": {"text": "MiB"}, "rangemode": "tozero"}},
            )


def tracks(analysis: Analysis) -> Iterator[Figure]:
    """Seconds of an epoch by track: what Keras costs, and which knob gets it back."""
    good = analysis.cases[analysis.cases["epoch_seconds"].notna() & analysis.cases["task"].eq("train")]
    for _, group in good.groupby([name for name in CASES if name not in ("backend", "track")], sort=False):
        if group["track"].nunique() > 1:
            first, shown, traces = group.iloc[0], set[str](), []
            for row in group.to_dict("records"):
                traces.append(
                    {
                        **_about(row),
                        **_bar(row["backend"]),
                        "name": row["backend"],
                        "legendgroup": row["backend"],
                        "offsetgroup": row["backend"],
                        "showlegend": row["backend"] not in shown,
                        "x": [row["track"]],
                        "y": [row["epoch_seconds"]],
                        "error_y": _error(row, "epoch_seconds"),
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


def batches(analysis: Analysis) -> Iterator[Figure]:
    """Samples per second over the batch size."""
    good = analysis.cases[analysis.cases["samples_per_second"].notna()]
    for (workload, device, task), group in good.groupby(PLACE, sort=False):
        if group["batch_size"].nunique() < 2:
            continue
        names = [name for name in varying(group) if name not in ("batch_size", "samples")]
        fixed = [name for name in CASES if name not in ("batch_size", "samples")]
        traces = []
        line = _lines(group, names)
        for _, sweep in group.groupby(fixed, sort=False):
            ordered, row = sweep.sort_values("batch_size"), sweep.iloc[0].to_dict()
            traces.append(
                {
                    **_about(row),
                    **marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": label(row, names),
                    "x": numbers(ordered["batch_size"]),
                    "y": numbers(ordered["samples_per_second"]),
                    "line": line(row),
                    "hovertemplate": "batch %{x}: %{y:,.0f} a second<extra>%{fullData.name}</extra>",
                }
            )
        yield Figure(
            f"{stem(workload)} on {device}{_task(task)}",
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


def latencies(analysis: Analysis) -> Iterator[Figure]:
    """How long a call of inference takes: the median, and up to the 99th of a hundred calls."""
    called = analysis.cases[analysis.cases["task"].eq("predict") & analysis.cases["p50_seconds"].notna()]
    for (workload, device), group in called.groupby(["workload", "device"], sort=False):
        names = varying(group)
        traces = []
        for row in group.to_dict("records"):
            middle, high = 1000 * row["p50_seconds"], 1000 * row["p90_seconds"]
            last = high if missing(row["p99_seconds"]) else 1000 * row["p99_seconds"]
            traces.append(
                {
                    **_about(row),
                    **marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": [middle, high, last],
                    "y": [label(row, names)] * 3,
                    "line": {"color": colour(row["backend"]), "width": 2},
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


def _against(group: pd.DataFrame, kind: Any) -> str:
    opponents = [against.partition("=")[2] for against in group["against"].unique()]
    words = {"backend": "backends against", "track": "tracks against", "input": "inputs against"}
    return f"{words.get(kind, kind)} {' and '.join(opponents)}"


def _about(row: Row) -> dict[str, Any]:
    return {"meta": dict(facets(row))}


def marks(backend: str) -> dict[str, Any]:
    """A backend's marks: its colour, and a symbol for those who do not see it."""
    return {"marker": {"color": colour(backend), "symbol": SYMBOLS.get(backend, "cross"), "size": 8}}


def _bar(backend: str) -> dict[str, Any]:
    return {"type": "bar", "marker": {"color": colour(backend)}}


def _line(at: float, dash: str) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "rgba(128, 128, 128, 0.8)", "width": 1, "dash": dash},
    }


def _error(row: Row, name: str) -> dict[str, Any]:
    """A value's interval as an error bar; none where it has none."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if missing(low) or missing(high):
        return {"type": "data", "array": [], "visible": False}
    return {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]}


def bars(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """The intervals of a column as error bars; none where a value has none."""
    high, low = table[f"{name}_high"] - table[name], table[name] - table[f"{name}_low"]
    return {"type": "data", "symmetric": False, "array": numbers(high), "arrayminus": numbers(low), "width": 3}


def _lines(group: pd.DataFrame, names: Sequence[str]) -> Callable[[Row], dict[str, Any]]:
    """How a case's line is drawn: each backend's so wide that equal ones show, dashed by what else varies."""
    backends = list(dict.fromkeys(group["backend"]))
    others = list(dict.fromkeys(tuple(row[name] for name in names) for row in group.to_dict("records")))

    def line(row: Row) -> dict[str, Any]:
        dash = others.index(tuple(row[name] for name in names)) % len(DASHES)
        width = WIDTHS[min(backends.index(row["backend"]), len(WIDTHS) - 1)]
        return {"color": colour(row["backend"]), "dash": DASHES[dash], "width": width}

    return line


def varying(group: pd.DataFrame, names: Iterable[str] = CASES) -> list[str]:
    """The columns, besides workload and backend, in which the cases of a picture differ."""
    found = [name for name in names if name not in ("workload", "backend") and group[name].nunique() > 1]
    for size in ("samples", "epochs"):  # which go without saying where another column decides them
        others = [name for name in found if name != size]
        if size in found and others and group.groupby(others)[size].nunique().max() == 1:
            found = others
    return found


def label(row: Row, names: Sequence[str]) -> str:
    """The backend, and what else tells a case apart, as text for Plotly."""
    words = {"batch_size": f"batch {row['batch_size']}", "samples": f"{row['samples']} samples"}
    words |= {"epochs": f"{row['epochs']} epochs", "against": f"/ {str(row.get('against')).partition('=')[2]}"}
    return _text(" ".join([str(row["backend"]), *(words.get(name, str(row[name])) for name in names)]))


def _text(text: Any) -> str:
    """What a user's file may have named, as text: Plotly reads tags."""
    return html.escape(str(text), quote=False)


def _task(task: Any) -> str:
    return "" if task == "train" else f", {task}"


def _translucent(hexadecimal: str) -> str:
    parts = ", ".join(str(int(hexadecimal[at : at + 2], 16)) for at in (1, 3, 5))
    return f"rgba({parts}, 0.18)"


def numbers(values: Any) -> list[float | int | None]:
    """Numbers for JSON; None for what is missing."""
    return [_number(value) for value in values]


def _number(value: Any) -> float | int | None:
    """A number for JSON, with the digits that a picture can show."""
    if value is None or pd.isna(value) or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.5g}")
