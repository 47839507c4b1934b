"""Verdicts that are looked at after each repetition: how often are they wrong, and how soon are they there?

As `run --until decided` takes them, on recorded launches of one case held against themselves.

python -m bench.analysis.calibration.looking RUN… prints what ways to share the error among the looks come to, and
without a run the factors of `statistics.LOOKS_ALIKE`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from bench.analysis import frames, statistics
from bench.analysis.calibration.calibrate import halves, steady
from bench.analysis.calibration.rules import LEVEL, OURS, Array
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.frames import CASES
from bench.contract.case import FIRST_LOOK

MOST = 12  # repetitions
CHUNK = 20_000  # series that are drawn at a time
FACTORS = (1.0, 1.03, 1.1, 1.2, 1.5, 2.0)
Limit = Callable[[float, int], float]  # half of an interval of that level after so many repetitions, in standard errors


class Way(NamedTuple):
    """A way to look: the most repetitions, the limit of each look, and the repetitions before the first one."""

    most: int
    limit: Limit
    first: int = FIRST_LOOK


def shared(share: Callable[[int], float]) -> Limit:
    """Student's limit where the look after so many repetitions has this share of the error."""
    return lambda level, count: _student(1 - (1 - level) * share(count), count)


def own(level: float, count: int) -> float:
    """Student's limit with the shares of `statistics.level_at_look`."""
    return _student(float(statistics.level_at_look(level, count)), count)


def mixture(prior: float) -> Limit:
    """The limit of a confidence sequence, which holds at every look however many follow.

    The t statistic's likelihood ratio, mixed over effects with a normal prior of precision `prior`, is a martingale
    under the null hypothesis; Ville's inequality bounds how often it ever exceeds 1 / error (Lai 1976; Wang and Ramdas,
    Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance, 2024).
    """

    def limit(level: float, count: int) -> float:
        exceeded = (math.sqrt((count + prior) / prior) / (1 - level)) ** (2 / count)
        rest = 1 - exceeded * prior / (count + prior)
        return math.sqrt((exceeded - 1) / rest * (count - 1)) if rest > 0 else math.inf

    return limit


@cache  # there are few, and each is asked for in every draw
def _student(level: float, count: int) -> float:
    return float(stats.t.ppf(0.5 + level / 2, count - 1))


OWN, ONCE, NAIVE = (
    "as it is: 2 / (n (n - 1)), looks alike",
    "five launches, looked at once",
    "looked at each time, nothing shared",
)
WAYS = {
    OWN: Way(MOST, own),
    ONCE: Way(5, _student, first=5),
    NAIVE: Way(MOST, _student),
    "2 / (n (n - 1)), Bonferroni": Way(MOST, shared(lambda count: 2 / (count * (count - 1)))),
    "equal shares": Way(MOST, shared(lambda _: 1 / (MOST - FIRST_LOOK + 1))),
    "halved each time": Way(MOST, shared(lambda count: 0.5 ** (count - FIRST_LOOK + 1))),
    "confidence sequence": Way(MOST, mixture(0.01)),
}


def looks_alike(
    errors: Sequence[float], looks: int = 200, series: int = 1_000_000, seed: int = 0
) -> dict[float, float]:
    """How many times its share of each error a look may have so that all looks together spend it.

    From series of normal draws, since t does not depend on their mean and spread.
    """
    generator, counts, least = np.random.default_rng(seed), np.arange(1, looks + 1), []
    later = counts[FIRST_LOOK - 1 :]
    for begun in range(0, series, CHUNK):
        drawn = generator.standard_normal((min(CHUNK, series - begun), looks))
        means = np.cumsum(drawn, axis=1) / counts
        squares = np.cumsum(drawn**2, axis=1) - counts * means**2
        t = means[:, FIRST_LOOK - 1 :] / np.sqrt(squares[:, FIRST_LOOK - 1 :] / ((later - 1) * later))
        least.append((2 * stats.t.sf(np.abs(t), later - 1) * later * (later - 1) / (FIRST_LOOK - 1)).min(axis=1))
    found = np.quantile(np.concatenate(least), errors)
    return dict(zip(errors, map(float, found / np.asarray(errors)), strict=True))


class Outcome(NamedTuple):
    """How looking ended: the verdict, the repetitions that it took, and whether the last interval covered the truth."""

    verdict: str
    repetitions: int
    covered: bool


def looked_at(ratios: Array, truth: float, way: Way, level: float = LEVEL) -> Outcome:
    """Look at ratios in their order, until a verdict is sure or no more may follow."""
    logs = np.log(ratios[: way.most])
    counts = np.arange(1, len(logs) + 1)
    means = np.cumsum(logs) / counts
    squares = np.cumsum(logs**2) - counts * means**2
    for count in range(way.first, len(logs) + 1):
        deviation = np.sqrt(max(squares[count - 1], 0.0) / (count - 1))
        half = way.limit(level, count) * deviation / np.sqrt(count)
        interval = statistics.Interval(*(float(np.exp(means[count - 1] + side)) for side in (0, -half, half)))
        verdict = statistics.time_verdict(interval, TIME_MARGIN)
        if verdict != "undecided" or count == len(logs):
            return Outcome(verdict, count, interval.low <= truth <= interval.high)
    return Outcome("undecided", len(logs), True)


def table(
    cases: dict[tuple[Any, ...], Array], draws: int, level: float = LEVEL, ways: dict[str, Way] | None = None
) -> pd.DataFrame:
    """A row for each case, way and factor by which one side's times are multiplied.

    `wrong` counts verdicts that contradict the truth; `decided` are those that say it; `repetitions` is the mean, and
    `covered` how often the interval with which looking ended has the truth in it.
    """
    rows = []
    for key, seconds in cases.items():
        values = np.array([OURS.keep(launch) for launch in seconds])
        most = min(MOST, len(values) // 2)
        pairs = [values[ours] / values[theirs] for ours, theirs in halves(len(values), most, draws)]
        for name, way in (ways or WAYS).items():
            for factor in FACTORS:
                outcomes = [looked_at(ratios * factor, factor, way, level) for ratios in pairs]
                rows.append({**dict(zip(CASES, key, strict=True)), "way": name, **_summary(outcomes, factor)})
    return pd.DataFrame(rows)


def _summary(outcomes: list[Outcome], factor: float) -> dict[str, Any]:
    right = "slower" if factor > 1 + TIME_MARGIN else "equivalent"
    return {
        "factor": factor,
        "wrong": np.mean([one.verdict not in (right, "undecided") for one in outcomes]),
        "decided": np.mean([one.verdict == right for one in outcomes]),
        "repetitions": np.mean([one.repetitions for one in outcomes]),
        "covered": np.mean([one.covered for one in outcomes]),
    }


def _recorded(paths: list[str]) -> Iterator[dict[tuple[Any, ...], Array]]:
    for path in paths:
        epochs = pd.read_csv(path) if path.endswith((".csv", ".gz")) else frames.load(Path(path)).epochs
        yield steady(epochs.assign(variant=epochs.get("variant", "")).fillna({"variant": ""}))


if __name__ == "__main__":
    if not sys.argv[1:]:
        print(looks_alike(list(statistics.LOOKS_ALIKE)))
    pd.set_option("display.width", 200)
    for level in (LEVEL, statistics.level_of(4)) if sys.argv[1:] else ():
        found = pd.concat([table(cases, 1_000, level) for cases in _recorded(sys.argv[1:])])
        mean = found.groupby(["way", "factor"], sort=False)[["wrong", "decided", "repetitions", "covered"]].mean()
        print(f"level {level:.4f}", mean.to_string(float_format="%.3f"), sep="\n")
