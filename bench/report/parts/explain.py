"""What a report says of an explanation: the parts of a step side by side, why backends differ, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from bench.analysis.advice import PLACE, Advice
from bench.analysis.explain import FIXED, Explanation
from bench.analysis.memory import DEVICE, EPOCH, HOST, LEAK_MIB
from bench.contract.case import stem
from bench.contract.explain import PARTS
from bench.report.cells import plain
from bench.report.columns import Column, Kind, table
from bench.report.text import number_of
from bench.report.view import Sentence, Table, facets

HEADINGS = {
    "step": "a step",
    "input": "waiting for input",
    "optimizer": "optimizer beyond SGD",
    "per step": "work per step",
    "per sample": "work per sample",
    "an epoch": "an epoch besides",
    "a fit": "a fit besides",
    "the first epoch": "the first epoch more",
    "a partial batch": "a partial batch more",
}


def tables(explanation: Explanation | None) -> Iterator[Table]:
    """A table for each workload and device: a row for each part, a column for each backend."""
    for rows in _places(explanation and explanation.table):
        launches = number_of(int(rows["launches"].max()), "launch", "launches")
        parts = [part for part in ("step", *PARTS, *FIXED) if _is_there(part, rows)]
        yield _side_by_side(
            Kind.EXPLAIN,
            "Where a step's time goes: {place}, milliseconds",
            rows,
            {part: HEADINGS.get(part, part) for part in parts},
            f"parts add up to the step; explain.csv has their intervals over {launches}",
            "besides: what an epoch or a fit costs that no step does; the first epoch compiles, and a last batch "
            "of another size, the first time",
        )


def calls(explanation: Explanation | None) -> Iterator[Table]:
    """A table for each workload and device: calls in a row, what each takes and whether memory grows over them."""
    for rows in _places(explanation and explanation.memory):
        yield _calls(rows[rows["memory"] == HOST], "memory")
        if (on_device := rows[rows["memory"] == DEVICE]).size:
            yield _calls(on_device, "the device's memory")


def _calls(rows: pd.DataFrame, memory: str) -> Table:
    """Calls in a row and what they do to the host's memory or the device's, `memory` in words."""
    return _side_by_side(
        Kind.MEMORY,
        f"Calls in a row, and {memory} over them: {{place}}",
        rows,
        {row["over"]: _over(row["over"], row["batch_size"]) for row in rows.to_dict("records")},
        "a call ends when its outputs are on the host; predict sets up a whole loop each time, and for a few "
        "samples predict_on_batch or model(x) does not",
        f"memory grows where its whole interval is above {LEAK_MIB:g} MiB an epoch, or a hundred calls",
    )


def _places(frame: pd.DataFrame | None) -> Iterator[pd.DataFrame]:
    """The rows of each workload and device."""
    if frame is not None and not frame.empty:
        yield from (rows for _, rows in frame.groupby(["workload", "device"], sort=False))


def _side_by_side(kind: Kind, title: str, rows: pd.DataFrame, headings: Mapping[str, str], *notes: str) -> Table:
    """A row for each heading, by the value that it stands for in the column after the place; a column a backend."""
    of = rows.columns[len(PLACE)]
    cells = {(row[of], row["backend"]): row for row in rows.to_dict("records")}
    backends = list(dict.fromkeys(rows["backend"]))
    place = rows.iloc[0]
    return table(
        kind,
        title.format(place=f"{stem(place['workload'])} on {place['device']}"),
        [{of: heading, **{name: cells.get((value, name)) for name in backends}} for value, heading in headings.items()],
        notes=list(notes),
        names=[Column(of, plain(of), (), name=True)],
        backends=backends,
        facets=[facets(place, "workload", "device")] * len(headings),
    )


def _is_there(part: str, rows: pd.DataFrame) -> bool:
    seconds = rows.loc[rows["part"].eq(part), "seconds"].dropna()
    return bool(len(seconds)) and (part != "callbacks" or bool(seconds.any()))


def _over(name: str, batch_size: int) -> str:
    return "an epoch" if name == EPOCH else f"{name}, {number_of(batch_size, 'sample', 'samples')}"


def advice(explanation: Explanation | None) -> list[Sentence]:
    """Why each slower backend is slower, and what makes it faster."""
    if explanation is None:
        return []
    why = [_sentence(one, "why") for one in explanation.reasons]
    what = [_sentence(one, "what to do") for one in explanation.advice]
    return why + what


def _sentence(one: Advice, about: str) -> Sentence:
    text = f"{about}: {stem(one.workload)} on {one.device}, {one.backend}: {one.text}."
    return Sentence(text, facets(one._asdict(), "workload", "device"))
