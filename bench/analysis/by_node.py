"""What each node of a run measured, beside what all of them say together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import NamedTuple

import pandas as pd

from bench.analysis import nodes, statistics
from bench.analysis.comparisons import pairs, ratios_of
from bench.analysis.frames import CASES, Row, Run

COLUMNS = [*CASES, "against", "node", "repetitions", "ratio", "ratio_low", "ratio_high", "level", "difference"]
FACTS = ["node", "cpu", "gpus", "launches", "by_gpu", "disturbed", "not_counted"]


class ByNode(NamedTuple):
    """The rows of nodes.csv, a row per node, and what the nodes do not have in common.

    `apart` are the comparisons in which nodes differ beyond chance, each with its rows: all their tests together call
    nodes that are alike different in 5 % of runs.
    """

    table: pd.DataFrame
    nodes: pd.DataFrame
    unlike: list[str]
    apart: list[pd.DataFrame]


def by_node(run: Run) -> ByNode | None:
    """Each node's ratios, and its launches; None of a local run.

    A row of the table is a comparison on a node, `difference` how likely nodes that are alike differ as much in it by
    chance; of nodes a row has the number of its launches that count, where several were there at once also on each GPU,
    that were disturbed, and that do not count: those without a result, and those whose repetition was measured anew.
    """
    if not nodes.names(run):
        return None
    table = pd.DataFrame(list(_ratios(run)), columns=COLUMNS)
    groups = [group for _, group in table.groupby([*CASES, "against"], sort=False)]
    tested = sum(group["difference"].notna().any() for group in groups)
    apart = [group for group in groups if group["difference"].iloc[0] < nodes.DIFFERENT / max(tested, 1)]
    return ByNode(table, pd.DataFrame(list(_facts(run)), columns=FACTS), nodes.unlike(run), apart)


def _ratios(run: Run) -> Iterator[Row]:
    comparable, _ = pairs(run)
    for pair in comparable:
        ratios = ratios_of(pair)
        places = pair.ours.set_index("repetition")["node"].reindex(ratios.index)
        shared = {**asdict(pair.case), "against": pair.against, "level": pair.level}
        shared["difference"] = nodes.difference(ratios, places)
        for name in nodes.names(run):
            here = ratios[places == name]
            limits = dict(
                zip(("ratio", "ratio_low", "ratio_high"), statistics.paired_interval(here, pair.level), strict=True)
            )
            if len(here):
                yield {**shared, "node": name, "repetitions": len(here), **limits}


def _facts(run: Run) -> Iterator[Row]:
    for name in nodes.names(run):
        launches, machine = run.launches[run.launches["node"] == name], run.description.nodes.get(name)
        yield {
            "node": name,
            "cpu": machine.cpu if machine else "",
            "gpus": ", ".join(machine.gpus) or "none" if machine else "",
            "launches": int(launches["counted"].sum()),
            "by_gpu": _by_gpu(launches),
            "disturbed": int((launches["disturbed"] != "").sum()),
            "not_counted": int((~launches["counted"].astype(bool)).sum()),
        }


def _by_gpu(launches: pd.DataFrame) -> str | None:
    """How many launches count on each GPU, in words; None where they had the node to themselves."""
    on_gpus = launches[launches["gpu"] != ""]
    counts = on_gpus.groupby("gpu")["counted"].sum()
    return ", ".join(f"{gpu}: {counts[gpu]}" for gpu in sorted(counts.index, key=int)) or None
