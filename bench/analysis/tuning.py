"""Which knob mattered: what a search for the best knobs of a track shows, beyond the configuration it chose."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.frames import CASES, Run
from bench.contract.case import Case
from bench.contract.tuning import changed_knobs
from bench.contract.tuning_rows import Knobs


class Choice(NamedTuple):
    """The outcome of the search for one case.

    `gains` has for each changed knob how many times as long a step takes with that knob back at its default and
    the others as chosen; NaN where that was not tried. `gain` is the same for all of them at once. `without` says of
    values that could not be had why. All of it rests on a search's few steps; the launches are the measurement.
    """

    case: Case
    knobs: Knobs
    default: Knobs
    gain: float
    gains: dict[str, float]
    without: dict[str, str]
    tried: int


def choices(run: Run) -> list[Choice]:
    """The outcome of each search of the run that found a configuration that works, in the plan's order."""
    groups = dict(iter(run.tuning.groupby(CASES, sort=False))) if len(run.tuning) else {}
    planned = [one.case.key for one in run.description.plan]
    return [_choice(groups[key]) for key in planned if key in groups and groups[key]["chosen"].any()]


def _choice(rows: pd.DataFrame) -> Choice:
    """From the rows of one search, of which the first is the default."""
    records = rows.to_dict("records")
    default, chosen = records[0]["knobs"], next(row for row in records if row["chosen"])
    seconds = {_key(row["knobs"]): row["step_seconds"] for row in records if row["status"] == "ok"}

    def slower(knobs: Knobs) -> float:
        return float(seconds.get(_key(knobs), math.nan)) / float(chosen["step_seconds"])

    without = {}
    for row in records:
        alone = changed_knobs(row["knobs"], default)
        if row["status"] != "ok" and len(alone) <= 1:  # of combinations, what each knob did alone says it
            without[", ".join(f"{name}={row['knobs'][name]}" for name in alone) or "the default"] = row["reason"]
    changed = changed_knobs(chosen["knobs"], default)
    return Choice(
        case=Case(**{name: records[0][name] for name in CASES}),
        knobs=chosen["knobs"],
        default=default,
        gain=slower(default),
        gains={name: slower({**chosen["knobs"], name: default[name]}) for name in changed},
        without=without,
        tried=len(seconds),
    )


def _key(knobs: Knobs) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(knobs.items()))
