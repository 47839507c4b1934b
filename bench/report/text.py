"""How numbers become text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.nodes import NODE
from bench.analysis.statistics import MOST_SEEDS, Interval, time_verdict
from bench.report.view import Row

NOTHING = "–"
WIDE = 10.0  # an interval's upper limit over its lower one
SMALLEST, LARGEST = 1e-5, 1e7  # of numbers that are written out


def ratio_level(rows: Iterable[Row], against: str) -> str:
    """The level of these ratios' intervals as a heading says it, ` [98.75%]`; empty where none has such an opponent.

    `against` is how the opponent begins: `backend`, `track=native`.
    """
    return next((f" [{100 * row['level']:.4g}%]" for row in rows if str(row["against"]).startswith(against)), "")


def missing(value: Any) -> bool:
    """Whether a value is no number that can be shown: None, NaN or infinite."""
    return value is None or pd.isna(value) or not math.isfinite(value)


def number(value: Any, digits: int) -> str:
    """A number with so many digits after the point, a dash where it is missing."""
    return NOTHING if missing(value) else f"{value:.{digits}f}"


def significant(value: Any) -> str:
    """A number with three significant digits, a dash where it is missing; launches do not repeat more digits."""
    if missing(value):
        return NOTHING
    if value and not SMALLEST <= abs(value) < LARGEST:  # the limits of two launches that are far apart, say
        return f"{value:.2e}"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(digits, 0)}f}"


def _interval(low: Any, high: Any) -> str:
    if missing(low) or pd.isna(high):
        return ""
    return "[too wide]" if low > 0 and high / low > WIDE**3 else f"[{significant(low)}, {_limit(high)}]"


def _limit(high: Any) -> str:
    """An interval's upper limit; with few launches and a high level it is infinite."""
    return "∞" if high == math.inf else significant(high)


def says_nothing(row: Row) -> bool:
    """Whether a ratio's interval is so wide that not even its order of magnitude is known."""
    low, high = row["ratio_low"], row["ratio_high"]
    return not missing(low) and (not low or high / low > WIDE)


def with_interval(value: Any, low: Any, high: Any) -> str:
    """A value with its interval from `low` to `high`, `1.57 [1.41, 1.74]`; without it where a limit is missing."""
    return f"{significant(value)} {_interval(low, high)}".rstrip()


def difference(compared: Row) -> str:
    """A metric's difference with its interval, both signed; a row that was compared with nothing has none."""
    if missing(compared.get("metric_difference")):
        return NOTHING
    low, high = compared["metric_low"], compared["metric_high"]
    interval = "" if missing(low) else f" [{low:+.4f}, {high:+.4f}]"
    return f"{compared['metric_difference']:+.4f}{interval}"


def waiting_share(row: Row) -> str:
    """How much of an epoch is waiting for its input, in percent with its interval.

    That is 1 − 1 / ratio, where the ratio is to an epoch whose input costs nothing.
    """
    if missing(row.get("ratio")):
        return NOTHING
    low, high = (_share(row[name]) for name in ("ratio_low", "ratio_high"))
    interval = "" if missing(row["ratio_low"]) else f" [{low:.0f}, {high:.0f}]".replace("-inf", "−∞")
    return f"{_share(row['ratio']):.0f}{interval} %"


def _share(ratio: float) -> float:
    """1 − 1 / ratio in percent, also for a ratio of 0 or infinity, which few launches leave as limits."""
    return 100 * (1 - 1 / ratio) if ratio else -math.inf


def disturbances(who: str, case: Row) -> Iterator[str]:
    """A sentence on how many launches of a case were disturbed; none where no launch was. `who` names the case."""
    if case["disturbed"]:
        anew = f"{case['replaced']} of its repetitions were measured anew" if case["replaced"] else "none measured anew"
        disturbed = number_of(case["disturbed"], "launch was", "launches were")
        yield f"{who}: {disturbed} disturbed, {anew}; their records have the gauges"


def number_of(count: int, one: str, more: str) -> str:
    """A number with its noun: `one` for 1, `more` for any other."""
    return f"{count:,} {one if count == 1 else more}"


def launches(row: Row) -> str:
    """Why a comparison of times is undecided, or how many launches would decide it, in words."""
    if disturbed := by_disturbance(row):
        return disturbed
    if missing(row["ratio_low"]):
        return "a single launch, or launches that all took exactly as long, give no interval"
    what = "nodes" if row.get("unit") == NODE else "launches"
    if missing(row["ratio_launches"]):
        return f"even {MOST_SEEDS:,} {what} would not decide it, if mean and spread stay as they are"
    if what == "nodes":
        return f"about {row['ratio_launches']:.0f} nodes decide it, if mean and spread stay as they are"
    return f"about {row['ratio_launches']:.0f} launches of each decide it, if mean and spread stay as they are"


def by_disturbance(row: Row) -> str:
    """Why a comparison is undecided though its interval says otherwise; empty where that is not so."""
    interval = Interval(row["ratio"], row["ratio_low"], row["ratio_high"])
    if not row.get("disturbed") or time_verdict(interval, TIME_MARGIN) == "undecided":
        return ""
    return (
        f"{row['disturbed']} of its {row['repetitions']} repetitions were disturbed, and the others alone do not "
        "decide it; measure on a quieter machine or with more launches"
    )


def seeds(row: Row) -> str:
    """How many seeds would decide an undecided comparison of metrics, in words."""
    if missing(row["metric_low"]):
        return "a single seed gives no interval" if not missing(row["metric_difference"]) else "no seed is in both"
    if missing(row["metric_seeds"]):
        return f"even {MOST_SEEDS:,} seeds would not decide it, if mean and spread stay as they are"
    return f"about {row['metric_seeds']:.0f} seeds in all (--launches) decide it, if mean and spread stay as they are"
