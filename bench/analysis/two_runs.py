"""One run against another: has a case become slower, or does it reach another metric?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis import measured_on, nodes, statistics
from bench.analysis.comparisons import COLUMNS, compared, time_columns
from bench.analysis.frames import CASES, Run, counted
from bench.contract.case import CALLING, Case, stem, title
from bench.contract.record import DIFFERENCES

SAME = ["backend", "device", "task", "track"]  # these and the workload's name make two cases one; the rest may differ
SIZES = ["dataset", "samples", "epochs", "batch_size", "input"]
MACHINE = ["cpu", "logical_cpus", "usable_cpus", "gpus", "flags"]


class NotComparableError(Exception):
    """Two runs cannot be compared; the message says why and how to mend it."""


class TwoRuns(NamedTuple):
    """Rows as in comparisons.csv, the newer run's cases against the older's, and in words what else to know."""

    table: pd.DataFrame
    metrics: dict[str, str]
    margin: float
    allowed: list[str]
    left_out: list[str]
    problems: list[str]


def compare(newer: Run, older: Run, margin: float, across: Collection[str]) -> TwoRuns:
    """Compare every case that has ok launches in both; `ratio` is the newer run's seconds / the older's.

    Raises NotComparableError where no case is in both, where either is still being written, and where they differ in
    something of `DIFFERENCES` that `across` does not name.
    """
    for run in (older, newer):
        if run.description.state == "running":
            raise NotComparableError(f"{run.description.id} is still running; compare it when it has ended")
    pairs, left_out = _pairs(newer, older)
    if not pairs:
        raise NotComparableError(f"no case has ok launches in both {older.description.id} and {newer.description.id}")
    differences = dict.fromkeys(
        difference for ours, theirs in pairs for difference in _differences(newer, older, ours, theirs)
    )
    refused = [(kind, words) for kind, words in differences if kind not in across]
    if refused:
        kinds = ",".join(kind for kind in DIFFERENCES if kind in {kind for kind, _ in refused})
        words = "; ".join(words for _, words in refused)
        raise NotComparableError(f"not comparable: {words}; allow it with --across {kinds}")
    level = statistics.level_of(len(pairs))
    workloads = newer.description.by_workload()
    against = f"run={older.description.id}"
    rows = []
    for ours, theirs in pairs:
        case = Case(**{name: ours[name].iloc[0] for name in CASES})
        times = _times(newer, ours, theirs), _times(older, theirs, ours)  # not paired: the runs did not take turns
        ratio = statistics.ratio_interval(*times, level)
        launches = statistics.launches_to_decide(*times, level, margin)
        row = compared(case, ours, theirs, against, level, workloads[case.workload])
        rows.append({**row, **time_columns(ratio, margin, launches)})
    table = pd.DataFrame(rows, columns=COLUMNS)
    metrics = {name: workload.target.metric for name, workload in workloads.items()}
    return TwoRuns(table, metrics, margin, [words for _, words in differences], left_out, list(_problems(table)))


def _times(run: Run, case: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """The launches' values of a case from as many epochs as both cases have: the fastest of more would be faster.

    Of launches from several nodes each node has one value, since its launches share what it is.
    """
    if case["task"].iloc[0] in CALLING:
        return _by_node(case["epoch_seconds"].astype(float), case["node"])  # a median
    epochs = min(case["epochs"].iloc[0], other["epochs"].iloc[0])
    keys = [*CASES, "repetition", "attempt"]
    both = run.epochs.merge(case[[*keys, "node"]], on=keys)
    steady = both[~both["cold"].astype(bool) & (both["epoch"] < epochs)]
    launches = steady.groupby(["repetition", "attempt"])
    values = pd.Series([statistics.launch_value(list(launch["seconds"])) for _, launch in launches])
    return _by_node(values, launches["node"].first())


def _by_node(values: pd.Series, of_node: pd.Series) -> pd.Series:
    """The geometric mean of each node's values, where there are several nodes."""
    if of_node.nunique() < 2:
        return values
    return nodes.means_of(values, of_node)


def _pairs(newer: Run, older: Run) -> tuple[list[tuple[pd.DataFrame, pd.DataFrame]], list[str]]:
    """The ok launches of each case that is in both runs, and in words the cases that are not."""
    ours, theirs = _cases(newer), _cases(older)
    pairs, used, left_out = [], [], []
    for mine in ours:
        likely = [other for other in theirs if _name(other) == _name(mine)]
        # The case that is alike in every column, else the only one that is alike in the columns that make it one.
        exact = [other for other in likely if all(other[name].iloc[0] == mine[name].iloc[0] for name in CASES[1:])]
        partner = exact[0] if exact else likely[0] if len(likely) == 1 else None
        if partner is None:
            left_out.append(f"{_title(mine)} is only in {newer.description.id}")
        else:
            pairs.append((mine, partner))
            used.append(id(partner))
    left_out += [f"{_title(other)} is only in {older.description.id}" for other in theirs if id(other) not in used]
    return pairs, left_out


def _cases(run: Run) -> list[pd.DataFrame]:
    good = counted(run)
    return [group for _, group in good.groupby(CASES, sort=False)]


def _differences(newer: Run, older: Run, ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What is not alike besides the time, as (kind, words)."""
    for words in _machines(newer, older):
        yield "machine", f"machine: {words}"
    mine, other = ours["versions"].iloc[0] or {}, theirs["versions"].iloc[0] or {}
    for name in sorted({*mine, *other}):
        if mine.get(name) != other.get(name):
            yield "versions", f"versions: {name} {_text(other.get(name))} and {_text(mine.get(name))}"
    for kind, names in (("samples", SIZES), ("numerics", ["numerics"])):
        for name in names:
            if ours[name].iloc[0] != theirs[name].iloc[0]:
                yield kind, f"{_title(ours)}: {name} {theirs[name].iloc[0]} and {ours[name].iloc[0]}"
    both = ours.merge(theirs, on="seed", suffixes=("", "_older"))
    if both.empty:
        yield "weights", f"{_title(ours)}: no seed is in both"
    elif (both["weights_digest"] != both["weights_digest_older"]).any():
        yield "weights", f"{_title(ours)}: initial weights differ"


def _machines(newer: Run, older: Run) -> Iterator[str]:
    """In what the runs were not measured on the same, in words; nodes are machines too."""
    if nodes.names(newer) or nodes.names(older):
        yield from measured_on.differences(newer, older)
        alone, before = (_alone(run) for run in (newer, older))
        if alone != before:
            yield f"a launch had {before} and {alone}"
        return
    for name in MACHINE:
        mine, other = (run.description.machine.part(name) for run in (newer, older))
        if mine != other:
            yield f"{name} {_text(other)} and {_text(mine)}"


def _alone(run: Run) -> str:
    """What a launch of a run had to itself."""
    return "one GPU of its node to itself" if nodes.per_gpu(run) else "its whole machine"


def _problems(table: pd.DataFrame) -> Iterator[str]:
    """What makes the newer run worse: exit status 1."""
    for row in table.to_dict("records"):
        if row["verdict"] == "slower":
            yield f"{title(row)} has become slower"
        if row["metric_verdict"] == "different":
            yield f"{title(row)} reaches another metric"


def _name(case: pd.DataFrame) -> tuple[Any, ...]:
    return stem(case["workload"].iloc[0]), *(case[name].iloc[0] for name in SAME)


def _title(case: pd.DataFrame) -> str:
    return title(case.iloc[0])


def _text(value: Any) -> str:
    return "nothing" if value in (None, {}, ()) else str(list(value) if isinstance(value, tuple) else value)
