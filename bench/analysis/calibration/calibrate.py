"""Are the verdicts right? Launches of one case held against themselves, slow-downs of known size, other suites' rules.

An A/A comparison takes 2n launches in a row, pairs neighbours, and lets a coin say which of a pair is on which side, as
if two equal backends had taken turns. Whatever the machine did meanwhile, the true ratio is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.analysis.calibration.candidates import INTERVALS, VALUES, launch_values
from bench.analysis.calibration.rules import LEVEL, OURS, RULES, Array, Rule, our_interval
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.frames import CASES, Row, Run, counted
from bench.analysis.statistics import Interval
from bench.contract.case import title

LAUNCHES = (3, 5, 6, 10, 15, 20, 30)
SLOWDOWNS = (1.03, 1.05, 1.10, 1.20)
DRAWS = 1_000
LEAST = 12  # launches of a case: two sides of six


class TooFewLaunchesError(Exception):
    """A run has too few launches to hold them against themselves; the message says how many and how to mend it."""


class Calibration(NamedTuple):
    """What a run of many launches shows of the statistics; each a DataFrame, see the functions that make them."""

    run: str
    candidates: pd.DataFrame
    same: pd.DataFrame
    stretches: pd.DataFrame
    power: pd.DataFrame
    planted: pd.DataFrame
    problems: list[str]


def calibrate(run: Run, draws: int = DRAWS) -> Calibration:
    """All tables from the counted launches of a run; raises TooFewLaunchesError where no case has `LEAST`."""
    launches = counted(run)
    most = launches.groupby(CASES).size().max() if len(run.launches) else 0
    if not most >= LEAST:
        raise TooFewLaunchesError(
            f"{run.description.id} has {0 if most != most else most:.0f} ok launches of a case, and a calibration "
            f"takes {LEAST} at least; " + ("; ".join(problems(run)) or "give --launches")
        )
    keys = [*CASES, "repetition", "attempt"]
    epochs = run.epochs.merge(launches[keys], on=keys)
    cases = steady(epochs)
    groups = launches.groupby(CASES, sort=False)
    walls: dict[Any, float] = {key: float(group["wall_seconds"].astype(float).mean()) for key, group in groups}
    return Calibration(
        run.description.id,
        candidates(epochs, draws),
        same_against_same(cases, walls, draws),
        stretches(epochs, run.description.reference),
        power(cases, draws=draws),
        planted(epochs, draws=draws),
        problems(run),
    )


def problems(run: Run) -> list[str]:
    """In words, what a calibration that went well would not have."""
    bad = run.launches[run.launches["status"] != "ok"]
    found = [f"{title(row)}: {row['status']}, {row['reason']}" for row in bad.to_dict("records")]
    if run.description.state != "finished":
        found.append(f"the run is {run.description.state}; go on with --resume {run.description.id}")
    return [*dict.fromkeys(found), *run.warnings]


def steady(epochs: pd.DataFrame) -> dict[tuple[Any, ...], Array]:
    """The steady seconds of each case as launches × epochs, in the order of the repetitions."""
    cases = {}
    for key, group in epochs[~epochs["cold"].astype(bool)].groupby(CASES, sort=False):
        table = group.pivot_table(index=["repetition", "attempt"], columns="epoch", values="seconds")
        cases[key] = table.to_numpy(dtype=float)
    return cases


def halves(count: int, launches: int, draws: int) -> Iterator[tuple[Any, Any]]:
    """Indices of two sides with so many launches each, drawn out of `count` in the order of time."""
    generator = np.random.default_rng(launches)
    for _ in range(draws):
        begin = generator.integers(0, count - 2 * launches + 1)
        pairs = begin + np.arange(2 * launches).reshape(-1, 2)
        turned = generator.integers(0, 2, launches)
        yield pairs[np.arange(launches), turned], pairs[np.arange(launches), 1 - turned]


def candidates(epochs: pd.DataFrame, draws: int, launches: int = LEAST // 2) -> pd.DataFrame:
    """Every way to make a launch's value with every interval, a row each and case.

    `spread` is the standard deviation of the logs of a case's values, `paired_spread` that of the logs of ratios
    between neighbours in time, over √2; `coverage` and `half_width` are those of A/A comparisons of so many launches.
    """
    rows = []
    for key, group in epochs.groupby(CASES, sort=False):
        values = launch_values(group)
        if len(values) < 2 * launches:
            continue
        for name in VALUES:
            seconds = values[name].to_numpy(dtype=float)
            logs = np.log(seconds)
            sides = list(halves(len(seconds), launches, draws))
            for interval, function in INTERVALS.items():
                intervals = [function(seconds[ours], seconds[theirs], LEVEL) for ours, theirs in sides]
                rows.append(
                    {
                        **dict(zip(CASES, key, strict=True)),
                        "value": name,
                        "interval": interval,
                        "launches": launches,
                        "spread": logs.std(ddof=1),
                        "paired_spread": np.diff(logs).std(ddof=1) / np.sqrt(2),
                        **_coverage(intervals),
                    }
                )
    return pd.DataFrame(rows)


def same_against_same(
    cases: dict[tuple[Any, ...], Array], walls: dict[tuple[Any, ...], float], draws: int
) -> pd.DataFrame:
    """Our own comparison, each case against itself: a row per case and number of launches a side.

    `minutes` is the machine time of both sides. `coverage_apart` and `false_apart` are those of launches in a row
    against as many that follow them, which is what `compare` does with two runs; these comparisons overlap.
    """
    rows = []
    for key, seconds in cases.items():
        values = np.array([OURS.keep(launch) for launch in seconds])
        for launches in _numbers(len(values)):
            intervals = [
                our_interval(values[ours], values[theirs]) for ours, theirs in halves(len(values), launches, draws)
            ]
            apart = [
                statistics.ratio_interval(
                    values[begin : begin + launches], values[begin + launches : begin + 2 * launches], LEVEL
                )
                for begin in range(len(values) - 2 * launches + 1)
            ]
            rows.append(
                {
                    **dict(zip(CASES, key, strict=True)),
                    "launches": launches,
                    "minutes": 2 * launches * walls[key] / 60,
                    **_coverage(intervals),
                    "false": _share(intervals, ("slower", "faster")),
                    "equivalent": _share(intervals, ("equivalent",)),
                    "coverage_apart": _covered(apart, 1.0),
                    "false_apart": _share(apart, ("slower", "faster")),
                }
            )
    return pd.DataFrame(rows)


def stretches(epochs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Real ratios, from repetitions in a row: does the interval of a stretch cover the ratio of the whole recording?

    Here no coin makes the sides alike: what follows one another in time may depend on it. A row per case, held against
    the reference backend's, and number of launches. `autocorrelation` is that of the log ratios of neighbouring
    repetitions, `autocorrelation_launches` that of the case's own log values. Stretches overlap and are part of the
    whole, so `coverage` rests on few and is a little too high.
    """
    steady_epochs = epochs[~epochs["cold"].astype(bool)]
    values: dict[Any, pd.Series] = {
        key: group.groupby("repetition")["seconds"].agg(statistics.launch_value)
        for key, group in steady_epochs.groupby(CASES, sort=False)
    }
    backend, samples = CASES.index("backend"), CASES.index("samples")
    rows = []
    for key, ours in values.items():
        against = [other for other in values if other[0] == key[0] and other[backend] == reference]
        theirs = min(against, key=lambda other: other[samples], default=key)
        if theirs == key:
            continue
        ratios = statistics.paired_ratios(*(side.reset_index(name="epoch_seconds") for side in (ours, values[theirs])))
        logs = np.log(ratios.to_numpy())
        for launches in _numbers(len(logs)):
            intervals = [
                statistics.paired_interval(ratios.to_numpy()[begin : begin + launches], LEVEL)
                for begin in range(len(logs) - launches + 1)
            ]
            rows.append(
                {
                    **dict(zip(CASES, key, strict=True)),
                    "launches": launches,
                    "stretches": len(intervals),
                    "ratio": float(np.exp(logs.mean())),
                    "deviation": logs.std(ddof=1),
                    "autocorrelation": _autocorrelation(logs),
                    "autocorrelation_launches": _autocorrelation(np.log(ours.to_numpy())),
                    "coverage": _covered(intervals, np.exp(logs.mean())),
                }
            )
    return pd.DataFrame(rows)


def power(cases: dict[tuple[Any, ...], Array], rules: Sequence[Rule] = (), draws: int = DRAWS) -> pd.DataFrame:
    """How often each rule calls a side slower whose times were multiplied: a row per case, rule, launches and factor.

    All rules get the same launches, hence the same machine time. keras.io's and pytest-benchmark's start one process a
    side and give it more epochs instead, which are those of more launches here: better than what they get. pyperf
    starts twenty.

    Factor 1 counts `slower` and `faster`, both of which are false. A rule that is often wrong sees much, so
    `called_alike` gives each rule the limit of its score that 5 % of the comparisons of equal sides exceed: no user
    knows that limit, but with it all rules are wrong equally often.
    """
    rows = []
    for key, seconds in cases.items():
        for rule in rules or RULES:
            kept = np.array([rule.keep(launch) for launch in seconds])
            for launches in (1, *_numbers(len(seconds))):
                sides = [(kept[ours], kept[theirs]) for ours, theirs in halves(len(seconds), launches, draws)]
                scores = {
                    factor: np.array([rule.score(ours * factor, theirs) for ours, theirs in sides])
                    for factor in (1.0, *SLOWDOWNS)
                }
                scores[1.0] = np.abs(scores[1.0])  # where nothing differs either direction is false
                limit = np.quantile(scores[1.0], LEVEL)
                for factor, score in scores.items():
                    wanted = ("slower", "faster") if factor == 1 else ("slower",)
                    row = {
                        "rule": rule.title,
                        "launches": launches,
                        "factor": factor,
                        "called": np.mean([rule.verdict(ours * factor, theirs) in wanted for ours, theirs in sides]),
                        "called_alike": np.mean(score > limit),
                    }
                    rows.append({**dict(zip(CASES, key, strict=True)), **row})
    return pd.DataFrame(rows)


def planted(epochs: pd.DataFrame, rules: Sequence[Rule] = (), draws: int = DRAWS) -> pd.DataFrame:
    """How often each rule calls a case slower that trained on more batches, against launches that it took turns with.

    A row per pair of cases that differ in nothing else, rule and number of launches; `batches` is the ratio of the
    batches, `ratio` that of the times.
    """
    rows: list[Row] = []
    steady_epochs = epochs[~epochs["cold"].astype(bool)]
    for key, group in steady_epochs.groupby([name for name in CASES if name != "samples"], sort=False):
        samples = sorted(group["samples"].unique())
        if len(samples) != 2:
            continue
        tables = [
            group[group["samples"] == size].pivot_table(index="repetition", columns="epoch", values="seconds")
            for size in samples
        ]
        both = tables[0].index.intersection(tables[1].index)
        for rule in rules or RULES:
            plain, slow = (
                np.array([rule.keep(launch) for launch in table.loc[both].to_numpy(float)]) for table in tables
            )
            ratio = float(np.exp(np.log(slow).mean() - np.log(plain).mean()))
            for launches in (number for number in (1, *LAUNCHES) if number <= len(both)):
                generator = np.random.default_rng(launches)
                chosen = (np.sort(generator.choice(len(both), launches, replace=False)) for _ in range(draws))
                called = np.mean([rule.verdict(slow[some], plain[some]) == "slower" for some in chosen])
                row = {"rule": rule.title, "launches": launches, "batches": samples[1] / samples[0], "ratio": ratio}
                rows.append(
                    {
                        **dict(zip([name for name in CASES if name != "samples"], key, strict=True)),
                        **row,
                        "called": called,
                    }
                )
    return pd.DataFrame(rows)


def _coverage(intervals: Sequence[Interval]) -> dict[str, float]:
    return {
        "coverage": _covered(intervals, 1.0),
        "half_width": float(np.median([np.sqrt(interval.high / interval.low) - 1 for interval in intervals])),
    }


def _covered(intervals: Sequence[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def _share(intervals: Sequence[Interval], verdicts: Sequence[str]) -> float:
    return float(np.mean([statistics.time_verdict(interval, TIME_MARGIN) in verdicts for interval in intervals]))


def _autocorrelation(values: Array) -> float:
    return float(np.corrcoef(values[:-1], values[1:])[0, 1])


def _numbers(count: int) -> list[int]:
    return [launches for launches in LAUNCHES if 2 * launches <= count]
