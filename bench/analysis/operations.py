"""Which layers and operations a step spends its time in: from the epoch that one process of each backend has traced."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.advice import PLACE, Advice, Launch
from bench.contract import catalog
from bench.contract.backend_facts import Cause
from bench.contract.operations import OTHER

ROW = ["layer", "kind", "phase", "operation", "seconds", "calls"]  # as a process writes it
COLUMNS = [*PLACE, "layer", "phase", "operation", "seconds", "share", "calls"]
NAMED = 3  # layers that a sentence names


class Traced(NamedTuple):
    """What is known of a trace besides its operations.

    seconds: of all operations of a step; on a CPU of all threads together.
    at_home: the share of them that has a layer, or is of the loss, the metrics or the update.
    cost: what the profiler makes of an epoch, as a multiple.
    file: the trace itself, below the run's folder `explain`.
    error: why there is none of all this.
    """

    workload: str
    device: str
    backend: str
    seconds: float = math.nan
    at_home: float = math.nan
    cost: float = math.nan
    steps: int = 0
    file: str = ""
    error: str = ""


class Operations(NamedTuple):
    """The rows of operations.csv, seconds and calls of a step; what is known of each trace; and what helps."""

    table: pd.DataFrame
    traces: list[Traced]
    advice: list[Advice]


def operations(launches: Sequence[Launch]) -> Operations:
    """What the traced epochs among these launches found."""
    frames: list[pd.DataFrame] = []
    traces: list[Traced] = []
    advice: list[Advice] = []
    for launch in launches:
        if not launch.get("operations"):
            continue
        place = (launch["workload"], launch["device"], launch["backend"])
        try:
            rows, traced = _read(place, launch["operations"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            rows, traced = None, Traced(*place, error=f"not readable ({type(error).__name__}: {error})")
        traces.append(traced)
        if rows is not None:
            frames.append(rows)
            advice += _advice(place, rows)
    table = pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)
    return Operations(table, traces, advice)


def _read(place: tuple[str, str, str], found: Mapping[str, Any]) -> tuple[pd.DataFrame | None, Traced]:
    if found["error"]:
        return None, Traced(*place, error=str(found["error"]))
    values = [[row[name] for name in ROW] for row in found["rows"]]
    rows = pd.DataFrame(values, columns=ROW).astype({"seconds": float, "calls": float})
    total = float(rows["seconds"].sum())
    rows = rows.assign(share=rows["seconds"] / total, **dict(zip(PLACE, place, strict=True)))
    at_home = float(rows.loc[rows["layer"] != OTHER, "share"].sum())
    cost = found["traced_seconds"] / found["plain_seconds"]
    return rows, Traced(*place, total, at_home, cost, int(found["steps"]), str(found["trace"]))


def _advice(place: tuple[str, str, str], rows: pd.DataFrame) -> Iterator[Advice]:
    """The known causes that take as much of a step here as makes them worth a sentence."""
    _, device, backend = place
    known = catalog.facts_of(backend).causes if backend in catalog.backend_names() else ()
    for cause in known:
        if cause.device != device:
            continue
        of_it = rows.loc[[_fits(cause, row) for row in rows.to_dict("records")]]
        share = float(of_it["share"].sum())
        if share >= cause.share:
            layers = list(dict.fromkeys(of_it.sort_values("seconds", ascending=False)["layer"]))
            where = ", ".join(layers[:NAMED]) + (f" and {len(layers) - NAMED} more" if layers[NAMED:] else "")
            text = f"{share:.0%} of what its operations take is {cause.what} ({where}): {cause.cure} ({cause.source})"
            yield Advice(*place, 1 - share, text)


def _fits(cause: Cause, row: Mapping[Any, Any]) -> bool:
    patterns = {"kind": cause.layers, "phase": cause.phase, "operation": cause.operations}
    return all(re.fullmatch(pattern, str(row[name])) for name, pattern in patterns.items())


def by_layer(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer and phase of a place: seconds, share, and the name of the dearest operation in it."""
    ordered = table.sort_values("seconds", ascending=False, kind="stable")
    grouped = ordered.groupby([*PLACE, "layer", "phase"], sort=False, dropna=False)
    return grouped.agg(
        seconds=("seconds", "sum"), share=("share", "sum"), operation=("operation", "first")
    ).reset_index()
