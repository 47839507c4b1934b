"""What a thousand nodes would change: a thousand repetitions on one node, on ten, on a thousand, while nodes die.

Time is counted in rounds: in a round each node that lives takes one repetition. A node that dies loses the repetition
that it is at, which another measures anew, and does not come back.

python -m bench.analysis.calibration.many_nodes prints the table of docs/results/calibration.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.calibration.node_intervals import LEVEL, Array, chosen
from bench.analysis.calibration.nodes import verdicts
from bench.analysis.statistics import level_at_look

WANTED = 1_000  # repetitions
NOISE = 0.14  # deviation of a log ratio: two launches of 0.1 each
LOOKS = 300  # rounds at most in which verdicts are looked at
RATIO = 1.1
PLACES, DIFFERENCES, DEATHS = (1, 10, 1_000), (0.0, 0.05), (0.0, 1 / 500, 1 / 50)


class Measured(NamedTuple):
    """Log ratios in the order of their rounds, the node and round of each, and how many were lost."""

    logs: Array
    nodes: npt.NDArray[np.int_]
    rounds: npt.NDArray[np.int_]
    lost: int


def measure(places: int, differ: float, dies: float, generator: np.random.Generator) -> Measured:
    """Rounds until as many repetitions are there as are wanted, or no node is left."""
    own, alive = np.log(RATIO) + generator.normal(0, differ, places), np.arange(places)
    taken: list[npt.NDArray[np.int_]] = []  # the nodes that lived through each round
    lost = done = 0
    while done < WANTED and len(alive):
        takes = alive[: WANTED - done]
        dead = generator.random(len(takes)) < dies
        taken.append(takes[~dead])
        done, lost = done + len(taken[-1]), lost + int(dead.sum())
        alive = np.setdiff1d(alive, takes[dead])
    nodes, rounds = np.concatenate(taken), np.repeat(np.arange(1, len(taken) + 1), [len(one) for one in taken])
    return Measured(own[nodes] + generator.normal(0, NOISE, len(nodes)), nodes, rounds, lost)


def _decided_in(found: Measured) -> float:
    """The round after which a verdict was sure; infinite where none was."""
    for number in range(1, min(int(found.rounds.max(initial=0)), LOOKS) + 1):
        count = int((found.rounds <= number).sum())
        if count < 3:
            continue
        limits = chosen(found.logs[None, :count], found.nodes[:count], float(level_at_look(LEVEL, count)))
        if np.any(verdicts(limits)):
            return number
    return float("inf")


def table(draws: int, seed: int = 0) -> pd.DataFrame:
    """A row for each number of nodes, difference between them and chance to die within a repetition."""
    return pd.DataFrame(list(_rows(draws, seed)))


def _rows(draws: int, seed: int) -> Iterator[dict[str, float]]:
    for places in PLACES:
        for differ in DIFFERENCES:
            for dies in DEATHS:
                generator = np.random.default_rng(seed)
                runs = [measure(places, differ, dies, generator) for _ in range(draws)]
                whole = [one for one in runs if len(one.logs) >= 3]
                limits = [chosen(one.logs[None], one.nodes) for one in whole]
                covered = [abs(float(one.centre[0]) - np.log(RATIO)) <= one.half[0] for one in limits]
                yield {
                    "nodes": places,
                    "differ": differ,
                    "dies": dies,
                    "repetitions": float(np.mean([len(one.logs) for one in runs])),
                    "lost": float(np.mean([one.lost for one in runs])),
                    "rounds": float(np.median([one.rounds.max(initial=0) for one in runs])),
                    "covers the kind": float(np.mean(covered)) if covered else np.nan,
                    "half width": float(np.median([np.exp(one.half[0]) - 1 for one in limits])) if limits else np.nan,
                    "rounds to a verdict": float(np.median([_decided_in(one) for one in runs])),
                }


if __name__ == "__main__":
    pd.set_option("display.width", 200)
    print(table(200).to_string(index=False, float_format="%.3f"))
