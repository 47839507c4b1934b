"""Which knob mattered: what a search for the best knobs of a track shows, beyond the configuration it chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.frames import CASES, Run
from bench.analysis.statistics import Interval, level_of, paired_interval
from bench.contract.case import Case
from bench.contract.tuning import FINAL_COLUMNS, changed_knobs
from bench.contract.tuning_rows import Knobs


class Choice(NamedTuple):
    """The outcome of the search for one case.

    `ratio` is how many times as long a step took with the chosen knobs as with the default, over `rounds` in which both
    took turns; NaN where the default was chosen or does not work. `disturbed` rounds came besides, and do not count.
    `changed` are the knobs that are not at their default. `without` says of values that could not be had why. All of it
    rests on a few steps; the launches are the measurement.
    """

    case: Case
    knobs: Knobs
    changed: list[str]
    default_works: bool
    ratio: Interval
    rounds: int
    disturbed: int
    without: dict[str, str]
    tried: int


def ratios(rounds: Sequence[Sequence[float]], looks: int) -> list[Interval]:
    """How many times as long each candidate takes as the default, from rounds of seconds with the default's first.

    The intervals hold together with 95 %, those of all `looks` at growing numbers of rounds too. Their limits are NaN
    where there is a single round, or no spread.
    """
    seconds = np.asarray(rounds, dtype=float)
    level = level_of(looks * (seconds.shape[1] - 1))
    return [paired_interval(column / seconds[:, 0], level) for column in seconds[:, 1:].T]


def choices(run: Run) -> list[Choice]:
    """The outcome of each search of the run that found a configuration that works, in the plan's order."""
    groups = dict(iter(run.tuning.groupby(CASES, sort=False))) if len(run.tuning) else {}
    planned = [one.case.key for one in run.description.plan]
    return [_choice(groups[key]) for key in planned if key in groups and groups[key]["chosen"].any()]


def _choice(rows: pd.DataFrame) -> Choice:
    """From the rows of one search, of which the first is the default."""
    records = rows.to_dict("records")
    default, chosen = records[0]["knobs"], next(row for row in records if row["chosen"])
    without = {}
    for row in records:
        alone = changed_knobs(row["knobs"], default)
        if row["status"] != "ok" and len(alone) <= 1:  # of combinations, what each knob did alone says it
            without[", ".join(f"{name}={row['knobs'][name]}" for name in alone) or "the default"] = row["reason"]
    return Choice(
        case=Case(**{name: records[0][name] for name in CASES}),
        knobs=chosen["knobs"],
        changed=changed_knobs(chosen["knobs"], default),
        default_works=records[0]["status"] == "ok",
        ratio=Interval(*(float(chosen[name]) for name in FINAL_COLUMNS)),
        rounds=int(chosen["rounds"]),
        disturbed=int(chosen["disturbed"]),
        without=without,
        tried=sum(row["status"] == "ok" for row in records),
    )
