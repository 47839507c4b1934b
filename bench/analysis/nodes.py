"""Launches from several nodes of a cluster: what repeats, a repetition or a node, and are the nodes alike?

A repetition stays on one node, so a ratio within it compares no two machines. But nodes may differ in the ratio, and
then ten repetitions on one of them say less than one on each of ten. Repetitions on several GPUs of a node are that
node's all the same: they share its host, and are no machines of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from bench.analysis import statistics
from bench.analysis.frames import Run, counted
from bench.analysis.statistics import Interval
from bench.contract.launch_record import place_name

# From so many nodes on their means alone give an interval no wider than that of three nodes' repetitions, and it is
# about other nodes too (docs/results/calibration.md).
ENOUGH = 4
DIFFERENT = 0.05  # error with which nodes that are alike are taken for different
FEW = 4  # nodes that are named in a sentence
NODE, REPETITION = "node", "repetition"  # what an interval takes as independent


def interval(
    values: pd.Series, nodes: pd.Series, level: float, *, alike: bool = True, pilot: pd.Series | None = None
) -> Interval:
    """The geometric mean of ratios or times over nodes, with a t interval on the log scale over what repeats.

    Where nodes repeat (see `unit`) it is about any node of their kind: each has one value, its geometric mean. Where
    repetitions do, it is about these nodes alone: how they differ is no part of it. On a single node this is
    `statistics.paired_interval`, with its `pilot`. `nodes` has the node of each value; `alike` is whether they are
    machines of one kind.
    """
    if nodes.nunique() < 2:
        return statistics.paired_interval(values, level, pilot)
    means = means_of(values, nodes)
    if unit(values, nodes, alike=alike) == NODE:
        return statistics.mean_interval(means, level)
    logs, count = _logs(values).groupby(nodes.to_numpy()), len(means)
    free = len(values) - count
    variance = float((logs.var(ddof=0) * logs.size()).sum()) / free * float((1 / logs.size()).sum()) / count**2
    half = float(stats.t.ppf(0.5 + level / 2, free)) * np.sqrt(variance)
    return statistics.around(float(np.log(means).mean()), half if half > 0 else np.nan)


def means_of(values: pd.Series, nodes: pd.Series) -> pd.Series:
    """The geometric mean of each node's values."""
    means = _logs(values).groupby(nodes.to_numpy()).mean()
    return pd.Series(np.exp(means), means.index)


def _logs(values: pd.Series) -> pd.Series:
    return pd.Series(np.log(values.astype(float)), values.index)


def unit(values: pd.Series, nodes: pd.Series, *, alike: bool = True) -> str:
    """Whether an interval takes nodes or repetitions as independent.

    Nodes, where there are enough of them to say something of their kind. Of fewer the repetitions, unless the nodes are
    unlike or differ in what is measured: then a mean over them would be of no machine.
    """
    count = nodes.nunique()
    if count < 2:
        return REPETITION
    if not alike or count >= ENOUGH or count == len(values) or difference(values, nodes) < DIFFERENT:
        return NODE
    return REPETITION


def difference(values: pd.Series, nodes: pd.Series) -> float:
    """How likely nodes that are alike differ as much by chance (F test of the logs).

    NaN where that cannot be told: of a single node, and where none has two values.
    """
    logs = np.log(values.astype(float).to_numpy())
    groups = pd.Series(logs).groupby(nodes.to_numpy())
    count, free = groups.ngroups, len(logs) - groups.ngroups
    if count < 2 or not free:
        return np.nan
    means = groups.transform("mean").to_numpy()
    between, within = float(((means - logs.mean()) ** 2).sum()), float(((logs - means) ** 2).sum())
    if not within:
        return 0.0 if between else 1.0
    return float(stats.f.sf(between / (count - 1) / (within / free), count - 1, free))


def noise_floor(seconds: pd.Series, nodes: pd.Series) -> float:
    """As `statistics.noise_floor`, of launches less what their nodes differ by; NaN where no node has two."""
    count, total = nodes.nunique(), len(seconds)
    if count < 2:
        return statistics.noise_floor(seconds)
    if count == total:
        return np.nan
    logs = _logs(seconds)
    left = logs - logs.groupby(nodes.to_numpy()).transform("mean")
    # What is left of each node varies less than its launches do: by what its mean has taken with it.
    return statistics.noise_floor(np.exp(left * np.sqrt(total / (total - count))))


def names(run: Run) -> list[str]:
    """The nodes of a run, as run.json has them and then as launches do; none of a local run."""
    return [name for name in dict.fromkeys([*run.description.nodes, *run.launches["node"]]) if name]


def kinds(run: Run) -> dict[str, dict[str, str]]:
    """The kind of each node on which launches were ok, by its name; of a run without any such launch, of all nodes.

    One that run.json does not describe has no facts.
    """
    good = set(counted(run)["node"])
    used = [name for name in names(run) if name in good] or names(run)
    machines = run.description.nodes
    return {name: machines[name].kind if name in machines else {} for name in used}


def unlike(run: Run) -> list[str]:
    """What the nodes on which launches were ok do not have in common, in words; nothing where they are of one kind.

    Nor GPUs, where several of a node had a launch at once.
    """
    good = counted(run)
    launched = set(zip(good["node"], good["gpu"], strict=True))
    cards = {
        place_name(name, card.index): card.kind
        for name, machine in run.description.nodes.items()
        for card in machine.cards
        if (name, str(card.index)) in launched
    }
    described = {name: kind for name, kind in kinds(run).items() if kind}
    return [*apart(described), *apart(cards), *_versions_apart(good)]


def per_gpu(run: Run) -> bool:
    """Whether launches had a GPU of their node each, beside others on its other GPUs."""
    return bool((run.launches["gpu"] != "").any())


def _versions_apart(good: pd.DataFrame) -> Iterator[str]:
    for (backend, _), launches in good.groupby(["backend", "variant"], sort=False):
        first = launches.drop_duplicates("node")
        if len(first) > 1:
            of_node = {name: found or {} for name, found in zip(first["node"], first["versions"], strict=True)}
            yield from (f"{backend}: {words}" for words in apart(of_node))


def apart(facts: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Of facts by node those that are not the same on all, with who has what."""
    for fact in dict.fromkeys(fact for of_node in facts.values() for fact in of_node):
        who: dict[str, list[str]] = {}
        for node, of_node in facts.items():
            who.setdefault(of_node.get(fact, "unknown"), []).append(node)
        if len(who) > 1:
            yield f"{fact} {'; '.join(f'{value} on {_listed(some)}' for value, some in who.items())}"


def _listed(some: Sequence[str]) -> str:
    """Names, of which there may be a thousand."""
    return ", ".join(some) if len(some) <= FEW else f"{', '.join(some[:FEW])} and {len(some) - FEW} others"
