"""Clusters whose truth is known: does an interval from launches on several nodes cover it, and does a verdict lie?

A repetition, in which the backends take turns, stays on one node. A node is faster or slower than others, which hits
all backends alike, and its ratio of two backends may be its own. So there are two truths: the ratio on a typical node
of the kind, and the mean over the nodes that were measured.

python -m bench.analysis.calibration.nodes prints the tables of docs/results/calibration.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.calibration.node_intervals import LEVEL, WAYS, Array, Drawn, Limits, by_node, chosen, pooled
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.statistics import level_at_look

LEAST, MOST = np.log(1 - TIME_MARGIN), np.log(1 + TIME_MARGIN)
TRUE_RATIOS = (1.0, 1.06, 1.2)  # equal, just beyond the margin, far beyond it
COMMON = 0.1  # standard deviation of what all launches of a repetition share, of logs
HEAVY = 3  # degrees of freedom of the heavy-tailed noise, scaled to the same deviation
NODES = (2, 3, 4, 8, 16, 50)
DIFFERENCES = (0.0, 0.02, 0.05, 0.1, 0.2)  # standard deviation of the logs of nodes' own ratios
NOISES = ((0.05, False), (0.1, False), (0.15, False), (0.1, True))  # of a launch, and whether its tails are heavy


class Cluster(NamedTuple):
    """Repetitions on each node, slowest node first, and the deviations of logs from which nodes and launches differ."""

    repetitions: tuple[int, ...]
    ratios: float = 0.0
    noise: float = 0.1
    heavy: bool = False
    speeds: float = 0.2


def shared(nodes: int, repetitions: int, even: bool = True) -> tuple[int, ...]:
    """So many repetitions a node; where not `even` the slowest takes one and the fastest nearly twice the mean."""
    counts = np.full(nodes, repetitions) if even else np.linspace(1, 2 * repetitions - 1, nodes).round()
    return tuple(int(count) for count in counts)


def draw(cluster: Cluster, draws: int, generator: np.random.Generator) -> Drawn:
    """Launches of two backends that are equal on a typical node."""
    nodes = np.repeat(np.arange(len(cluster.repetitions)), cluster.repetitions)
    shape = draws, len(cluster.repetitions)
    speeds = -np.sort(-generator.normal(0, cluster.speeds, shape), axis=1)
    own = generator.normal(0, cluster.ratios, shape)
    both = speeds[:, nodes] + generator.normal(0, COMMON, (draws, len(nodes)))
    sides = [both + _noise(cluster, both.shape, generator) for _ in range(2)]
    return Drawn(sides[0] + own[:, nodes], sides[1], nodes, own.mean(axis=1), speeds.mean(axis=1))


def _noise(cluster: Cluster, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    if not cluster.heavy:
        return generator.normal(0, cluster.noise, shape)
    found: Array = generator.standard_t(HEAVY, shape) * cluster.noise / np.sqrt(HEAVY / (HEAVY - 2))
    return found


def verdicts(limits: Limits) -> tuple[Any, Any, Any]:
    """Which intervals say slower, which faster, and which equivalent, as `statistics.time_verdict`."""
    low, high = limits.centre - limits.half, limits.centre + limits.half
    return low > MOST, high < LEAST, (low >= LEAST) & (high <= MOST)


def wrong(limits: Limits, truth: Any) -> npt.NDArray[np.bool_]:
    """Which verdicts contradict the true log ratio, see `simulation.table`."""
    slower, faster, equal = verdicts(limits)
    found: npt.NDArray[np.bool_] = (
        (slower & (truth <= MOST)) | (faster & (truth >= LEAST)) | (equal & ((truth > MOST) | (truth < LEAST)))
    )
    return found


def outcome(limits: Limits, measured: Array) -> dict[str, float]:
    """Coverage and false verdicts by both truths, the half width, and how often 1.2 times as long is called slower."""
    found = {
        "covers the kind": float((np.abs(limits.centre) <= limits.half).mean()),
        "covers those measured": float((np.abs(limits.centre - measured) <= limits.half).mean()),
        "half width": float(np.median(np.exp(limits.half) - 1)),
    }
    for name, truth in (("false of the kind", np.zeros_like(measured)), ("false of those measured", measured)):
        moved = [(np.log(ratio), limits._replace(centre=limits.centre + np.log(ratio))) for ratio in TRUE_RATIOS]
        found[name] = max(float(wrong(there, truth + ratio).mean()) for ratio, there in moved)
    found["1.2 slower"] = float((limits.centre + np.log(1.2) - limits.half > MOST).mean())
    return found


def clusters(nodes: Sequence[int] = NODES, differences: Sequence[float] = DIFFERENCES) -> Iterator[Cluster]:
    """Every cluster that is tried."""
    for count in nodes:
        plans = [shared(count, each) for each in (1, 2, 3, 5, 10)] + [
            shared(count, each, even=False) for each in (3, 5)
        ]
        for plan in plans:
            for difference in differences:
                yield from (Cluster(plan, difference, noise, heavy) for noise, heavy in NOISES)


def table(tried: Sequence[Cluster], draws: int, seed: int = 0) -> pd.DataFrame:
    """A row for each cluster and way."""
    rows = []
    for cluster in tried:
        drawn = draw(cluster, draws, np.random.default_rng(seed))
        about = {"nodes": len(cluster.repetitions), "differ": cluster.ratios, "of a node": max(cluster.repetitions)}
        rows += [{"way": name, **about, **outcome(way(drawn), drawn.measured)} for name, way in WAYS.items()]
    return pd.DataFrame(rows)


def times(draws: int, seed: int = 0) -> pd.DataFrame:
    """The same of one backend's seconds, in which nodes differ by their speeds."""
    rows = []
    ways = {"all launches": pooled, "nodes' means": by_node, "chosen": chosen}
    for count in NODES:
        for speeds in (0.0, 0.02, 0.05, 0.2, 0.5):
            for plan in [shared(count, 5), shared(count, 5, even=False)]:
                drawn = draw(Cluster(plan, speeds=speeds), draws, np.random.default_rng(seed))
                shown = [(name, way(drawn.ours, drawn.nodes)) for name, way in ways.items()]
                about = {"nodes": count, "speeds": speeds, "even": plan[0] > 1}
                rows += [{"way": name, **about, **outcome(found, drawn.speeds)} for name, found in shown]
    return pd.DataFrame(rows)


def looked_at(cluster: Cluster, most: int, draws: int, seed: int = 0) -> dict[str, float]:
    """Looks after each repetition, nodes in turns, until a verdict is sure or `most` are there (`--until decided`)."""
    drawn = draw(cluster, draws, np.random.default_rng(seed))
    order = np.argsort(np.concatenate([np.arange(count) for count in cluster.repetitions]), kind="stable")[:most]
    logs, nodes = (drawn.ours - drawn.theirs)[:, order], drawn.nodes[order]
    found: dict[str, float] = {}
    for ratio in TRUE_RATIOS:
        centre, half, stopped = np.zeros(draws), np.zeros(draws), np.full(draws, 0)
        for count in range(3, len(order) + 1):
            level = float(level_at_look(LEVEL, count))
            now = chosen(logs[:, :count] + np.log(ratio), nodes[:count], level)
            going = stopped == 0
            centre, half = np.where(going, now.centre, centre), np.where(going, now.half, half)
            sure = np.any(verdicts(now), axis=0)
            stopped = np.where(going & (sure | (count == len(order))), count, stopped)
        limits, truth = Limits(centre, half), np.log(ratio)
        for name, true in (("the kind", truth), ("those measured", drawn.measured + truth)):
            covered = float((np.abs(centre - true) <= half).mean())
            found[f"covers {name}"] = min(found.get(f"covers {name}", 1.0), covered)
            found[f"false of {name}"] = max(found.get(f"false of {name}", 0.0), float(wrong(limits, true).mean()))
        found[f"repetitions at {ratio}"] = float(stopped.mean())
    return found


def _worst(found: pd.DataFrame, name: str, of: str) -> pd.DataFrame:
    """By way and difference, over all other circumstances: the least of a coverage, the most of what is false."""
    how: Literal["min", "max", "median"] = (
        "min" if name.startswith("covers") else "max" if name.startswith("false") else "median"
    )
    return found.pivot_table(index=["way", of], columns="nodes", values=name, aggfunc=how, sort=False)


if __name__ == "__main__":
    pd.set_option("display.max_rows", None, "display.width", 200)
    for of, tables in (("differ", table(list(clusters()), 2_000)), ("speeds", times(2_000))):
        for name in ("covers the kind", "covers those measured", "false of the kind", "false of those measured"):
            print(f"{name}, worst:", _worst(tables, name, of).to_string(float_format="%.3f"), sep="\n")
        for name in ("half width", "1.2 slower"):
            print(f"{name}, median:", _worst(tables, name, of).to_string(float_format="%.3f"), sep="\n")
    looked = [
        {"nodes": count, "differ": differ, **looked_at(Cluster(shared(count, 24 // count), differ), 24, 2_000)}
        for count in (2, 3, 4, 8)
        for differ in DIFFERENCES
    ]
    print("looked at:", pd.DataFrame(looked).to_string(index=False, float_format="%.3f"), sep="\n")
