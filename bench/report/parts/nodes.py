"""What a report says of the nodes of a cluster: a table of them with the ratios of each, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.nodes import ENOUGH, NODE, per_gpu
from bench.contract.case import case_key
from bench.report import cells
from bench.report.columns import Column, Kind, table
from bench.report.parts.verdicts import sides, varying, where
from bench.report.text import number_of, with_interval
from bench.report.view import Row, Sentence, Table, facets

MOST = 20  # rows, in which a reader can still find one
ALL = "all"
NAMES = (
    Column("node", cells.plain("node"), (), name=True),
    Column("CPU", cells.plain("cpu"), ()),
    Column("GPUs", cells.plain("gpus"), ()),
    Column("launches", cells.plain("launches"), ()),
    Column("by GPU", cells.plain("by_gpu"), (), optional=True),
    Column("disturbed", cells.plain("disturbed"), ()),
    Column("not counted", cells.plain("not_counted"), ()),
)


def tables(analysis: Analysis) -> list[Table]:
    """The nodes of a run, each with its own ratios below those of all; none of a local run."""
    found = analysis.nodes
    if found is None:
        return []
    labels = _labels(analysis)
    rows: dict[str, dict[Any, Any]] = {row["node"]: row for row in found.nodes.to_dict("records")}
    for row in found.table.to_dict("records"):
        rows[row["node"]][labels[case_key(row), row["against"]]] = row
    counts = {name: sum(row[name] for row in rows.values()) for name in ("launches", "disturbed", "not_counted")}
    compared = analysis.comparisons.table.to_dict("records")
    of_all = {labels[case_key(row), row["against"]]: row for row in compared}
    shown = [*rows.values()][:MOST]
    return [
        table(
            Kind.NODES,
            f"Nodes: {number_of(len(rows), 'machine', 'machines')}; how many times as long, on each",
            [{"node": ALL, **counts, **of_all}, *shown],
            notes=list(_notes({name: row["unit"] for name, row in of_all.items()}, len(rows))),
            names=NAMES,
            backends=list(of_all),
        )
    ]


def sentences(analysis: Analysis) -> Iterator[Sentence]:
    """What ratios are about, what the nodes do not have in common, and where they differ beyond chance."""
    found = analysis.nodes
    if found is None:
        return
    compared = analysis.comparisons.table
    if len(compared):
        yield Sentence(f"Measured on {number_of(len(found.nodes), 'node', 'nodes')}: {_about(compared['unit'])}.")
    if per_gpu(analysis.run):
        yield Sentence(
            "A launch had one GPU of its node and a part of the CPUs, while others ran on its other GPUs and shared "
            "memory and buses with it. Repetitions on several GPUs of a node count as that node's."
        )
    if found.unlike:
        yield Sentence(
            f"The nodes are unlike: {'. '.join(found.unlike)}. So a ratio is about a node of such a mixture."
        )
    counts = varying(analysis)
    for group in found.apart:
        rows = group.sort_values("ratio").to_dict("records")
        least, most = rows[0], rows[-1]
        ours, theirs = sides(least)
        yield Sentence(
            f"{where(least, counts)}: on {least['node']} {ours} takes {_ratio(least)} times as long as {theirs}, on "
            f"{most['node']} {_ratio(most)}: these nodes are not alike.",
            facets(least),
        )


def _ratio(row: Row) -> str:
    return with_interval(row["ratio"], row["ratio_low"], row["ratio_high"])


def _labels(analysis: Analysis) -> dict[tuple[Any, str], str]:
    """What a comparison is called in a heading: with its place where there are several."""
    counts = varying(analysis)
    rows = analysis.comparisons.table.to_dict("records")
    places = {where(row, counts) for row in rows}
    return {
        (case_key(row), row["against"]): (f"{where(row, counts)}: " if len(places) > 1 else "") + " / ".join(sides(row))
        for row in rows
    }


def _notes(units: Mapping[str, str], nodes: int) -> Iterator[str]:
    """What the intervals are about, where it is not the same of all, and which rows are left out."""
    of_kind, alone = ([name for name, unit in units.items() if (unit == NODE) is kind] for kind in (True, False))
    if of_kind and alone:
        yield f"about any node of their kind: {', '.join(of_kind)}; about these nodes alone: {', '.join(alone)}"
    if of_kind:
        yield "an interval about any node takes each as one value: more nodes make it narrower, more launches hardly do"
    yield (
        "an interval of one node is about that node alone; not counted: launches without a result, and those of "
        "repetitions that were measured anew, as where a node was lost"
    )
    if nodes > MOST:
        yield f"{number_of(nodes - MOST, 'node more stands', 'nodes more stand')} in nodes.csv and node_ratios.csv"


def _about(units: pd.Series) -> str:
    """What the ratios of a run are about."""
    if units.eq(NODE).all():
        return "each counts as one value, and a ratio is about any node of their kind"
    alone = f"fewer than {ENOUGH} say little of others, and a ratio is about these alone"
    return f"{alone}, or where they differ about any node of their kind" if units.eq(NODE).any() else alone
