"""What the report says of inputs: a table input × backend, and how much of an epoch is waiting for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.contract.case import RESIDENT, case_key, stem
from bench.report.text import NOTHING, missing, ratio_level, with_interval
from bench.report.view import Row, Table, facets


def tables(analysis: Analysis) -> list[Table]:
    """A table for each workload, device, batch size and numerics of which several inputs were measured."""
    fit = analysis.cases[analysis.cases["track"].eq("fit") & analysis.cases["task"].eq("train")]
    groups = fit.groupby([name for name in CASES if name not in ("backend", "input")], sort=False)
    return [_table(analysis, group) for _, group in groups if group["input"].nunique() > 1]


def _table(analysis: Analysis, group: pd.DataFrame) -> Table:
    rows = group.to_dict("records")
    first = rows[0]
    table = analysis.comparisons.table
    compared = {case_key(row): row for row in table[table["against"] == f"input={RESIDENT}"].to_dict("records")}
    backends = list(dict.fromkeys(group["backend"]))
    cells = []
    for handed in dict.fromkeys(group["input"]):
        by_backend = {row["backend"]: row for row in rows if row["input"] == handed}
        cells.append([handed, *(cell for name in backends for cell in _cells(by_backend.get(name), compared))])
    level = ratio_level(compared.values(), "input")
    return Table(
        f"Inputs: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}",
        [
            "input",
            *(
                column
                for name in backends
                for column in (f"{name} s/epoch [{INTERVAL_LEVEL:.0%}]", f"waiting for input{level}")
            ),
        ],
        cells,
        list(_notes(rows)),
        facets=[facets(first, "workload", "device", "numerics")] * len(cells),
    )


def _cells(case: Row | None, compared: Mapping[Any, Any]) -> list[str]:
    """Seconds of an epoch, and which share of it goes into the input."""
    if case is None or missing(case["epoch_seconds"]):
        return [NOTHING, NOTHING]
    seconds = with_interval(case["epoch_seconds"], case["epoch_seconds_low"], case["epoch_seconds_high"])
    return [seconds, share(compared.get(case_key(case)))]


def share(row: Row | None) -> str:
    """1 − 1 / ratio, where the ratio is to an epoch whose input costs nothing, with its interval, in percent."""
    if row is None or missing(row["ratio"]):
        return NOTHING
    low, high = (_share(row[name]) for name in ("ratio_low", "ratio_high"))
    interval = "" if missing(row["ratio_low"]) else f" [{low:.0f}, {high:.0f}]".replace("-inf", "−∞")
    return f"{_share(row['ratio']):.0f}{interval} %"


def _share(ratio: float) -> float:
    """In percent; of the limits that few launches leave, 0 and infinity, too."""
    return 100 * (1 - 1 / ratio) if ratio else -math.inf


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        f"{RESIDENT}: every batch lies on the device before training begins; what an epoch takes longer with another "
        "input is waiting for it. A share below 0 is noise, or an input that overlaps with computing"
    )
    for row in rows:
        if row["status"] != "ok":
            yield f"{row['backend']}, {row['input']}: {row['status']}, {row['reason']}"
