"""What a report says of an explanation: the parts of a step side by side, why backends differ, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.analysis.advice import Advice
from bench.analysis.explain import FIXED, Explanation
from bench.analysis.memory import EPOCH, LEAK_MIB
from bench.contract.case import stem
from bench.contract.explain import PARTS
from bench.report.cells import plain
from bench.report.columns import Column, Kind, table
from bench.report.text import missing, number_of
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
    if explanation is None or explanation.table.empty:
        return
    for (workload, device), rows in explanation.table.groupby(["workload", "device"], sort=False):
        cells = {(row["part"], row["backend"]): row for row in rows.to_dict("records")}
        backends = list(dict.fromkeys(rows["backend"]))
        launches = number_of(int(rows["launches"].max()), "launch", "launches")
        parts = [part for part in ("step", *PARTS, *FIXED) if _is_there(part, cells, backends)]
        yield table(
            Kind.EXPLAIN,
            f"Where a step's time goes: {stem(workload)} on {device}, milliseconds",
            [
                {"part": HEADINGS.get(part, part), **{name: cells.get((part, name)) for name in backends}}
                for part in parts
            ],
            notes=[
                f"parts add up to the step; explain.csv has their intervals over {launches}",
                "besides: what an epoch or a fit costs that no step does; the first epoch compiles, and a last batch "
                "of another size, the first time",
            ],
            names=[Column("part", plain("part"), (), name=True)],
            backends=backends,
            facets=[facets({"workload": workload, "device": device}, "workload", "device")] * len(parts),
        )


def _is_there(part: str, cells: Mapping[tuple[Any, Any], Any], backends: list[str]) -> bool:
    found = [cells.get((part, name)) for name in backends]
    return any(row and not missing(row["seconds"]) and (row["seconds"] or part != "callbacks") for row in found)


def calls(explanation: Explanation | None) -> Iterator[Table]:
    """A table for each workload and device: calls in a row, what each takes and whether memory grows over them."""
    if explanation is None or explanation.memory.empty:
        return
    for (workload, device), rows in explanation.memory.groupby(["workload", "device"], sort=False):
        cells = {(row["over"], row["backend"]): row for row in rows.to_dict("records")}
        backends = list(dict.fromkeys(rows["backend"]))
        sizes = {row["over"]: row["batch_size"] for row in rows.to_dict("records")}
        yield table(
            Kind.MEMORY,
            f"Calls in a row, and memory over them: {stem(workload)} on {device}",
            [
                {"over": _over(over, size), **{name: cells.get((over, name)) for name in backends}}
                for over, size in sizes.items()
            ],
            notes=[
                "a call ends when its outputs are on the host; predict sets up a whole loop each time, and for a few "
                "samples predict_on_batch or model(x) does not",
                f"memory grows where its whole interval is above {LEAK_MIB:g} MiB an epoch, or a hundred calls",
            ],
            names=[Column("over", plain("over"), (), name=True)],
            backends=backends,
            facets=[facets({"workload": workload, "device": device}, "workload", "device")] * len(sizes),
        )


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
