"""Samples and labels in memory, and the `.npz` file that launches read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.datasets import npz

Array = npt.NDArray[Any]
HELD_OUT = 10  # without a test part a tenth of the samples is it


class Samples(NamedTuple):
    """Arrays whose first axis counts samples; `x` is one, or several by the names of a model's inputs."""

    x: Array | dict[str, Array]
    y: Array

    def taken(self, order: Any) -> Samples:
        """Those samples alone."""
        x = {name: one[order] for name, one in self.x.items()} if isinstance(self.x, dict) else self.x[order]
        return Samples(x, self.y[order])

    def arrays(self, part: str) -> dict[str, Array]:
        """By the names that the file has them under; `part` is train or test."""
        return npz.named({f"x_{part}": self.x, f"y_{part}": self.y})


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """Training and test samples, drawn at random but each time the same, since files are often sorted by class."""
    order = np.random.default_rng(0).permutation(len(samples.y))
    held = max(len(order) // HELD_OUT, 1)
    return samples.taken(order[:-held]), samples.taken(order[-held:])


def write(target: Path, train: Samples, test: Samples | None, notes: list[str]) -> None:
    """Write the file whole or not at all; without test samples some are held out, which its note says."""
    if test is None:
        train, test = halves(train)
        notes = [*notes, f"a tenth of its samples, {len(test.y):,} drawn at random, are the test set"]
    npz.save(target, {**train.arrays("train"), **test.arrays("test"), "note": np.array("; ".join(notes))})
