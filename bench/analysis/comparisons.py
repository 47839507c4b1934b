"""Each case against its opponents, the reference backend and other tracks: how much slower, is the metric the same?"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import pandas as pd

from bench.analysis import nodes, statistics
from bench.analysis.frames import CASES, Row, Run, counted
from bench.contract.case import OF_FILES, RESIDENT, Case, in_turns, stem
from bench.contract.run_json import RunDescription, Workload

TIME_MARGIN = 0.05
PER_SAMPLE = ("batch", "workload", "devices")  # families in which a sample's time is compared: epochs may be unlike
OTHER_TRAININGS = ("batch", "workload", "numerics")  # whose metric may differ, and is no reason for an exit status of 1
OTHER_FILES = tuple(f"variant={kind}" for kind in OF_FILES)  # nor is it of variants that train another file
SAME_PLACE = ("backend", "device", "numerics", "task", "track", "input", "device_count")
NO_TIMES: Row = dict.fromkeys(("ratio", "ratio_low", "ratio_high", "noise_floor"), math.nan)  # where they say nothing
NO_TIMES |= {"verdict": "", "limit_verdict": "", "ratio_launches": None, "disturbed": 0}
COLUMNS = [
    *CASES,
    "against",
    "ratio",
    "ratio_low",
    "ratio_high",
    "level",
    "verdict",
    "limit_verdict",
    "noise_floor",
    "metric_difference",
    "metric_low",
    "metric_high",
    "metric_verdict",
    "ratio_launches",
    "metric_seeds",
    "repetitions",
    "disturbed",
]
OF_NODES = ["nodes", "unit"]  # columns more where a run has nodes


class Comparisons(NamedTuple):
    """The rows of comparisons.csv, and in words which pairs could not be compared."""

    table: pd.DataFrame
    refused: list[str]


class Pair(NamedTuple):
    """A case and its opponent, `backend=…` or `track=…` in `against`, each with its counted launches.

    `level` is that of each interval of its family, for which all hold together with 95 %: one family are the pairs
    against the reference backend, another those against other tracks, others those against another input, numerics,
    batch size, workload or variant, since they answer different questions.
    """

    case: Case
    opponent: Case
    against: str
    ours: pd.DataFrame
    theirs: pd.DataFrame
    level: float


def compare(run: Run) -> Comparisons:
    """Compare every case that has an ok launch with its opponents, see `opponents`.

    Times are paired by repetition, metrics by seed. `ratio` is seconds / the opponent's seconds, of a sample where
    batch sizes or workloads are compared. Times and metrics are families of their own, see `Pair`. `ratio_launches` and
    `metric_seeds` say how many a verdict takes, the run's included. Where verdicts on times are looked at after each
    repetition, their intervals are as much wider as that takes; metrics decide nothing there, so theirs are not. A
    verdict on times that the undisturbed repetitions alone do not give is none; `disturbed` of the `repetitions` were.
    `limit_verdict` says of a variant whether it is slower than `--fail-slower` allows. `noise_floor` is the larger of
    both sides': how large a ratio launches give against themselves. A pair whose launches did not start from the same
    weights and batches is refused. Where a run has nodes, `unit` is what a ratio's interval takes as independent.
    """
    comparable, refused = pairs(run)
    columns = [*COLUMNS, *(OF_NODES if nodes.names(run) else [])]
    return Comparisons(pd.DataFrame(rows_of(run, comparable), columns=columns), refused)


def rows_of(run: Run, comparable: Sequence[Pair]) -> list[Row]:
    """A row of comparisons.csv for each pair, see `compare`."""
    workloads = run.description.by_workload()
    pilot_size = run.description.launches if run.description.ordered else None
    looked, limit = run.description.until_decided, run.description.fail_slower
    alike = not nodes.unlike(run)
    rows = []
    for pair in comparable:
        case, opponent, against, ours, theirs, level = pair
        ratios = ratios_of(pair)
        places = ours.set_index("repetition")["node"].reindex(ratios.index)
        pilot = None if pilot_size is None else ratios[ratios.index < pilot_size]
        at_look = statistics.level_at_look(level, len(ratios)) if looked else level
        ratio = nodes.interval(ratios, places, at_look, alike=alike, pilot=pilot)
        unit = nodes.unit(ratios, places, alike=alike)
        shown = ratios if unit == nodes.REPETITION else nodes.means_of(ratios, places)
        launches = statistics.repetitions_to_decide(
            shown, level, TIME_MARGIN, pilot if shown is ratios else None, looked=looked
        )
        row = compared(case, ours, theirs, against, level, workloads[case.workload])
        if case.batch_size != opponent.batch_size:
            row["metric_verdict"] = ""  # another batch is another training
        row |= time_columns(ratio, TIME_MARGIN, launches)
        row |= {"nodes": places.nunique(), "unit": unit}
        quiet = ratios[~ratios.index.isin(_disturbed(ours) | _disturbed(theirs))]
        row |= {"repetitions": len(ratios), "disturbed": len(ratios) - len(quiet)}
        alone = nodes.interval(quiet, places[quiet.index], at_look, alike=alike) if row["disturbed"] else ratio
        if statistics.time_verdict(alone, TIME_MARGIN) != row["verdict"]:
            row["verdict"] = "undecided"
        if limit is not None and family(against) == "variant":
            found = {statistics.limit_verdict(one, limit) for one in (ratio, alone)}
            row["limit_verdict"] = found.pop() if len(found) == 1 else "undecided"
        rows.append({**row, **NO_TIMES} if case.simulated else row)
    return rows


def ratios_of(pair: Pair) -> pd.Series:
    """The ratios of a pair within repetitions, of a sample where the epochs are not alike; by repetition."""
    ratios = statistics.paired_ratios(pair.ours, pair.theirs)
    if family(pair.against) in PER_SAMPLE:
        ratios *= float(pair.theirs["samples_per_epoch"].iloc[0]) / float(pair.ours["samples_per_epoch"].iloc[0])
    return ratios


def _disturbed(launches: pd.DataFrame) -> set[int]:
    """The repetitions in which one side was."""
    return set(launches.loc[launches["disturbed"] != "", "repetition"])


def opponents(case: Case, description: RunDescription) -> Iterator[tuple[str, Case]]:
    """What a case is held against: the reference backend's, and the tracks that say what its own costs.

    `native` for what Keras costs, and for `fit` also `tuned`, for what is left on the table; in task generate `own`,
    for what a call for each token costs. `shipped` trains other
    batches than they, so it is compared with the reference alone. An input is compared with one that costs nothing,
    numerics with float32, a batch size with the smallest, a workload with the one that `--against` names, and a
    variant with the first, several devices with the fewest. Devices that are parts of one CPU are compared in nothing
    else, and there in their metric alone.
    """
    if case.device_count > 1:
        yield from _fewer_devices(case, description)
    if case.simulated:
        return
    reference = description.reference
    if case.backend != reference:
        yield f"backend={reference}", replace(case, backend=reference)
    if case.task == "generate" and case.track != "own":
        yield "track=own", replace(case, track="own")
    elif case.track in ("fit", "on_batch", "call", "tuned", "loop"):
        yield "track=native", replace(case, track="native")
    if case.track == "fit":
        yield "track=tuned", replace(case, track="tuned")
    if case.track == "fit" and case.input != RESIDENT:
        yield f"input={RESIDENT}", replace(case, input=RESIDENT)
    if case.numerics != "float32" and case.track == "fit":
        yield "numerics=float32", replace(case, numerics="float32")
    alike = [
        planned.case
        for planned in description.plan
        if all(getattr(planned.case, name) == getattr(case, name) for name in SAME_PLACE)
    ]
    yield from _other_variant(case, alike)
    if case.track == "fit":
        yield from _other_trainings(case, alike, description.options.get("against"))


def _fewer_devices(case: Case, description: RunDescription) -> Iterator[tuple[str, Case]]:
    """The same on the fewest devices, with the same batch; where batches grow with the devices, with its share."""
    weak = description.options.get("scaling") == "weak"
    fewest = min(planned.case.device_count for planned in description.plan)
    batch_size = case.batch_size * fewest // case.device_count if weak else case.batch_size
    opponent = replace(case, device_count=fewest, batch_size=batch_size)
    if fewest < case.device_count and any(planned.case == opponent for planned in description.plan):
        yield f"devices={fewest}", opponent


def _other_variant(case: Case, alike: Sequence[Case]) -> Iterator[tuple[str, Case]]:
    """The variant that the others are compared with, which is the first."""
    first = next(one for one in alike if in_turns(one) == in_turns(case))
    if first.variant != case.variant:
        yield f"variant={first.variant}", first


def _other_trainings(case: Case, alike: Sequence[Case], wanted: str | None) -> Iterator[tuple[str, Case]]:
    """The same backend's with the smallest batch, and on the workload `wanted`, that others are compared with."""
    same = [one for one in alike if (one.workload, one.variant) == (case.workload, case.variant)]
    smallest = min(same, key=lambda one: one.batch_size)
    if case.task == "train" and smallest.batch_size < case.batch_size:
        yield f"batch={smallest.batch_size}", smallest
    if wanted in (None, case.workload):
        return
    others = [one for one in alike if (one.workload, one.variant) == (wanted, case.variant)]
    by_size = (sorted(some, key=lambda one: one.batch_size) for some in (same, others))
    for ours, theirs in zip(*by_size, strict=False):  # the smallest batch against the smallest, and so on
        if ours == case:
            yield f"workload={stem(theirs.workload)}", theirs


def pairs(run: Run) -> tuple[list[Pair], list[str]]:
    """The cases that can be compared with an opponent, and in words why others cannot."""
    good = counted(run)
    groups = dict(iter(good.groupby(CASES, sort=False))) if len(good) else {}
    workloads = run.description.by_workload()
    comparable, refused = [], []
    for planned in run.description.plan:
        case = planned.case
        ours = groups.get(case.key)
        for against, opponent in opponents(case, run.description):
            theirs = groups.get(opponent.key)
            if ours is None or theirs is None:
                continue
            alike = _starts_alike(case, opponent, against)
            fault = _different_start(ours, theirs, workloads[case.workload].weights) if alike else None
            if fault:
                refused.append(f"{case.title} is not compared with {against}: {fault}")
            else:
                comparable.append((case, opponent, against, ours, theirs))
    sizes = Counter(family(against) for _, _, against, *_ in comparable)
    return [Pair(*sides, level=statistics.level_of(sizes[family(sides[2])])) for sides in comparable], refused


def _starts_alike(case: Case, opponent: Case, against: str) -> bool:
    """Whether both have to start from the same weights and see the same batches."""
    if family(against) == "devices":
        return case.batch_size == opponent.batch_size
    return family(against) not in PER_SAMPLE and not against.startswith(OTHER_FILES)


def family(against: str) -> str:
    """`backend`, `track`, `input`, `numerics`, `batch`, `workload`, `variant` or `devices`: which question it is."""
    return against.partition("=")[0]


def compared(
    case: Case,
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    against: str,
    level: float,
    workload: Workload,
) -> Row:
    """A row of comparisons.csv but for the ratio: the counted launches of a case against those of its opponent."""
    paired = ours.set_index("seed")["test_metric"].astype(float) - theirs.set_index("seed")["test_metric"].astype(float)
    values = paired.dropna()
    if workload.own_seed:
        values = values.iloc[:1]  # launches that draw alike say nothing of other draws, however little they differ
    margin = workload.target.margin
    has_metric = case.task == "train" and family(against) not in ("batch", "workload")
    counts = workload.target.metric.endswith("accuracy")  # of test samples, so it moves in steps
    resolution = 1 / workload.test_samples if counts else 0.0
    difference = statistics.difference_interval(values, level, resolution)
    return {
        **asdict(case),
        "against": against,
        "level": level,
        "noise_floor": max(nodes.noise_floor(side["epoch_seconds"], side["node"]) for side in (ours, theirs)),
        "metric_difference": difference.estimate,
        "metric_low": difference.low,
        "metric_high": difference.high,
        "metric_verdict": statistics.metric_verdict(difference, margin) if has_metric else "",
        "metric_seeds": statistics.seeds_to_decide(values, level, margin, resolution),
    }


def time_columns(ratio: statistics.Interval, margin: float, launches: int | None) -> Row:
    """The columns of a row that say how the times compare."""
    return {
        "ratio": ratio.estimate,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "verdict": statistics.time_verdict(ratio, margin),
        "limit_verdict": "",
        "ratio_launches": launches,
    }


def _different_start(ours: pd.DataFrame, theirs: pd.DataFrame, drawn: dict[str, str]) -> str | None:
    """What was not equal at the start of two cases' launches, or not drawn for the run, in words; None if all was."""
    start = ["seed", "backend", "weights_digest", "batches_digest", "parameters"]
    sides = [side[start].to_dict("records") for side in (ours, theirs)]
    for launch in itertools.chain(*sides):
        if launch["weights_digest"] != drawn.get(str(launch["seed"]), launch["weights_digest"]):
            return f"{launch['backend']} did not start seed {launch['seed']} from the weights drawn for the run"
    by_seed = {launch["seed"]: launch for launch in sides[1]}
    both = [(launch, by_seed[launch["seed"]]) for launch in sides[0] if launch["seed"] in by_seed]
    if not both:
        return "no seed has a launch on both sides"
    for name in start[2:]:
        for launch, opponent in both:
            if launch[name] != opponent[name]:
                return f"{name} differs for seed {launch['seed']}"
    return None
