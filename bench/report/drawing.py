"""How a picture is drawn, whatever it shows: colours and symbols, a case's name, intervals, numbers for JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from bench.analysis.frames import CASES
from bench.contract.case import devices_in_words
from bench.contract.catalog import facts_of_all
from bench.report.text import missing
from bench.report.view import Row, facets

# Backends' colours are from Okabe and Ito's palette for the colour-blind (2008), each at least 3 : 1 against the page's
# white and its black.
OTHERS = ("#8a7400", "#5a78c8", "#767676")  # for backends of old runs, which are gone
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")  # of what differs besides the backend
PICTURE = ("workload", "device", "task")  # what a picture shows one of each of
GREY = "rgba(128, 128, 128, 0.8)"  # of what is no backend's
WIDTHS = (6, 3.5, 1.5)  # of lines that may lie on each other


def colours() -> dict[str, str]:
    """Each backend's colour."""
    return {facts.name: facts.colour for facts in facts_of_all()}


def colour(backend: str) -> str:
    """A backend's colour, the same everywhere."""
    return colours().get(backend) or OTHERS[sum(backend.encode()) % len(OTHERS)]


def symbol(backend: str) -> str:
    """A backend's symbol, for those who do not see its colour."""
    return {facts.name: facts.symbol for facts in facts_of_all()}.get(backend, "cross")


def about(row: Row) -> dict[str, Any]:
    """What a trace is of, by which it is filtered."""
    return {"meta": dict(facets(row))}


def marks(backend: str) -> dict[str, Any]:
    """A backend's marks: its colour and its symbol."""
    return {"marker": {"color": colour(backend), "symbol": symbol(backend), "size": 8}}


def bar(backend: str) -> dict[str, Any]:
    """A bar in the backend's colour."""
    return {"type": "bar", "marker": {"color": colour(backend)}}


def counts(values: pd.Series) -> dict[str, Any]:
    """An axis of whole numbers; a few of them each have a tick, since Plotly would put some between."""
    return {"tickformat": "d", **({"dtick": 1} if values.max() - values.min() < 12 else {})}


def vertical(at: float, dash: str) -> dict[str, Any]:
    """A line from the bottom of a picture to its top."""
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": GREY, "width": 1, "dash": dash},
    }


def error(row: Row, name: str) -> dict[str, Any]:
    """A value's interval as an error bar; none where it has none."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if missing(low) or missing(high):
        return {"type": "data", "array": [], "visible": False}
    return {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]}


def errors(table: pd.DataFrame, name: str) -> dict[str, Any]:
    """The intervals of a column as error bars; none where a value has none."""
    high, low = table[f"{name}_high"] - table[name], table[name] - table[f"{name}_low"]
    return {"type": "data", "symmetric": False, "array": numbers(high), "arrayminus": numbers(low), "width": 3}


def lines(group: pd.DataFrame, names: Sequence[str]) -> Callable[[Row], dict[str, Any]]:
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
    varied = [name for name in names if name not in ("workload", "backend") and group[name].nunique() > 1]
    for size in ("samples", "epochs"):  # which go without saying where another column decides them
        others = [name for name in varied if name != size]
        if size in varied and others and group.groupby(others)[size].nunique().max() == 1:
            varied = others
    return varied


def label(row: Row, names: Sequence[str]) -> str:
    """The backend, and what else tells a case apart, as text for Plotly."""
    words = {"batch_size": f"batch {row['batch_size']}", "samples": f"{row['samples']} samples"}
    words |= {"device_count": f"on {devices_in_words(int(row.get('device_count', 1)))}"}
    words |= {"epochs": f"{row['epochs']} epochs", "against": f"/ {str(row.get('against')).partition('=')[2]}"}
    return text(" ".join([str(row["backend"]), *(words.get(name, str(row[name])) for name in names)]))


def text(words: Any) -> str:
    """What a user's file may have named, as text: Plotly reads tags."""
    return html.escape(str(words), quote=False)


def task(name: Any) -> str:
    """What is added to a title; training goes without saying."""
    return "" if name == "train" else f", {name}"


def translucent(hexadecimal: str) -> str:
    """A colour for a band behind lines."""
    parts = ", ".join(str(int(hexadecimal[at : at + 2], 16)) for at in (1, 3, 5))
    return f"rgba({parts}, 0.18)"


def numbers(values: Any) -> list[float | int | None]:
    """Numbers for JSON; None for what is missing."""
    return [plain(value) for value in values]


def plain(value: Any) -> float | int | None:
    """A number for JSON, with the digits that a picture can show."""
    if value is None or pd.isna(value) or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.5g}")
