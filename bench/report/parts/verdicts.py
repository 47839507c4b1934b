"""What a run found, in sentences that follow from the rows of comparisons.csv: one verdict for each place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis import Analysis
from bench.analysis.comparisons import PER_SAMPLE, TIME_MARGIN, family
from bench.analysis.decided import is_asked, is_sure
from bench.analysis.frames import CASES
from bench.analysis.parity.compare import Parity
from bench.analysis.parity.recordings import LADDER
from bench.contract.case import case_key, devices_in_words, stem
from bench.report.rows import comparisons
from bench.report.text import (
    by_disturbance,
    difference,
    launches,
    missing,
    number_of,
    says_nothing,
    seeds,
    with_interval,
)
from bench.report.view import Row, Sentence, facets

# Other axes than backends, tracks and inputs, and what is compared along them.
AXES = {"numerics": "{numerics}", "batch": "batch {batch_size}", "workload": "{stem}", "variant": "{variant}"}
# What a call for each token, or what Keras costs: by the other track what `fit` is a multiple of.
COSTS = {
    "track=own": "model.predict for each token takes, as a multiple of the model's own generate(),",
    "track=native": "fit takes, as a multiple of the same network without Keras,",
}
PLACE = [name for name in CASES if name != "backend"]


def verdicts(analysis: Analysis) -> list[Sentence]:
    """A sentence for each place, which is a case without its backend; then one on what Keras costs there."""
    rows, several = comparisons(analysis, "backend"), varying(analysis)
    sentences = [
        Sentence(f"{where(group[0], several)}: {'; '.join(_clauses(group, analysis))}.", facets(group[0]))
        for group in _places(rows, PLACE)
        if group[0]["track"] in ("fit", "own") or not _has_fit(group[0], rows)
    ]
    costs = [row for row in comparisons(analysis, "track") if row["track"] == "fit" and row["against"] in COSTS]
    sentences += [
        Sentence(f"{where(group[0], several)}: {_cost(group)}.", facets(group[0], "workload", "device", "numerics"))
        for group in _places(costs, PLACE)
    ]
    return (
        sentences
        + [
            Sentence(f"{where(group[0], several)}: {_axis(group)}.", facets(group[0], "workload", "device"))
            for kind in AXES
            for group in _places(comparisons(analysis, kind), [*PLACE, "against"])
        ]
        + [
            Sentence(f"{where(group[0], several)}: {_limit(group, analysis)}.", facets(group[0], "workload", "device"))
            for group in _places([row for row in comparisons(analysis, "variant") if row["limit_verdict"]], PLACE)
        ]
    )


def stops(analysis: Analysis) -> Iterator[Sentence]:
    """Where a run stopped as soon as it was sure, and why it stopped elsewhere; nothing of any other run."""
    description, several = analysis.run.description, varying(analysis)
    if not description.until_decided:
        return
    varied = any(planned.case.variant for planned in description.plan)
    asked = [row for row in analysis.comparisons.table.to_dict("records") if is_asked(row, varied)]
    for group in _places(asked, ["workload", "device", "task", "batch_size", "numerics"]):
        by_end: dict[str, list[str]] = {}
        for row in group:
            by_end.setdefault(_end(row, description.launches), []).append(" against ".join(sides(row)))
        words = "; ".join(f"{end}: {', '.join(some)}" for end, some in by_end.items())
        yield Sentence(f"{where(group[0], several)}: {words}.", facets(group[0], "workload", "device"))


def remarks(analysis: Analysis) -> Iterator[Sentence]:
    """For each undecided comparison: how many launches or seeds would decide it."""
    metrics = {workload.workload: workload.target.metric for workload in analysis.run.description.workloads}
    several = varying(analysis)
    for row in analysis.comparisons.table.to_dict("records"):
        if row["verdict"] == "undecided":
            ratio = with_interval(row["ratio"], row["ratio_low"], row["ratio_high"])
            ours, theirs = sides(row)
            words = f"{ours} against {theirs} is undecided: ratio {ratio}; {launches(row)}"
            yield Sentence(f"{where(row, several)}: {words}.", facets(row))
    for row in analysis.comparisons.table.to_dict("records"):
        if row["metric_verdict"] == "undecided":
            ours, theirs = sides(row)
            metric = f"whether {ours} reaches the {metrics[row['workload']]} of {theirs} is undecided"
            yield Sentence(f"{where(row, several)}: {metric}: {difference(row)}; {seeds(row)}.", facets(row))


def _places(rows: Sequence[Row], names: Sequence[str]) -> Iterator[list[Row]]:
    """Rows in groups that agree in these columns, in the order in which groups begin."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from groups.values()


def _has_fit(row: Row, rows: Sequence[Row]) -> bool:
    """Whether track `fit`, which then speaks for all, was compared at this place too."""
    fit = {case_key({**row, "backend": other["backend"], "track": "fit"}) for other in rows}
    return any(case_key(other) in fit for other in rows)


def _clauses(rows: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """How long each backend takes, whether the metrics are the same, and what parity says."""
    reference = analysis.run.description.reference
    yield ", ".join(_time(row, reference) for row in rows)
    yield from _slowing(rows[0], analysis)
    if rows[0]["task"] == "train":
        yield from _metric(rows, analysis)
        if analysis.parity and rows[0]["device_count"] == 1:
            yield _parity(rows[0], analysis.parity)


def _slowing(place: Row, analysis: Analysis) -> Iterator[str]:
    """Which backends' epochs become slower within a launch, of which the fastest one says too little."""
    cases = analysis.cases
    here = cases[(cases[PLACE] == [place[name] for name in PLACE]).all(axis=1)]
    for case in here[here["trend_verdict"].eq("getting slower")].to_dict("records"):
        trend = with_interval(case["trend"], case["trend_low"], case["trend_high"])
        yield (
            f"on {case['backend']} epochs become slower, the later half of a launch takes {trend} times as long as the "
            "earlier, and what is compared is the fastest epoch"
        )


def _time(row: Row, reference: str) -> str:
    """One comparison in words; of a faster backend the inverse, which is how people say it."""
    who, ratio = row["backend"], with_interval(row["ratio"], row["ratio_low"], row["ratio_high"])
    if row["verdict"] == "slower":
        return f"{who} takes {ratio} times as long as {reference}"
    if row["verdict"] == "faster":
        inverse = with_interval(*(1 / row[name] for name in ("ratio", "ratio_high", "ratio_low")))
        return f"{who} is {inverse} times as fast as {reference}"
    if row["verdict"] == "equivalent":
        return f"{who} takes as long as {reference} within {TIME_MARGIN:.0%} (ratio {ratio})"
    if says_nothing(row):
        return f"{who} against {reference} is undecided (its launches lie too far apart to tell; {launches(row)})"
    why = f"; {disturbed}" if (disturbed := by_disturbance(row)) else ""
    return f"{who} against {reference} is undecided (ratio {ratio}{why})"


def _metric(rows: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """Which backends reach an equivalent metric, which a different one, and which are undecided."""
    workloads = {workload.workload: workload for workload in analysis.run.description.workloads}
    target = workloads[rows[0]["workload"]].target
    metric = target.metric
    by_verdict: dict[str, list[Row]] = {}
    for row in rows:
        by_verdict.setdefault(row["metric_verdict"], []).append(row)
    for row in by_verdict.get("different", []):
        yield f"the {metric} on {row['backend']} is different by {difference(row)}"
    margin = "within their margin" if missing(target.margin) else f"within {target.margin:g}"
    if len(by_verdict.get("equivalent", [])) == len(rows):
        yield f"the {metric} is equivalent {margin} on all"
    elif "equivalent" in by_verdict:
        yield f"the {metric} is equivalent {margin} on {_names(by_verdict['equivalent'])}"
    if "undecided" in by_verdict:
        yield f"whether the {metric} is equivalent {margin} is undecided on {_names(by_verdict['undecided'])}"


def _names(rows: Sequence[Row]) -> str:
    return " and ".join(str(row["backend"]) for row in rows)


def _parity(place: Row, parity: Parity) -> str:
    """What exact mode says of a workload's training with fit, in the variant of this place."""
    exact, workload = parity.exact, place["workload"]
    rows = exact[exact["workload"].eq(workload) & exact["track"].eq("fit")]
    rows = rows[rows["variant"].isin(["", place["variant"]])]
    if rows.empty:
        return "parity was not climbed"
    failed = rows[rows["passed"].eq(False)]
    known = [tuple(row) in parity.known for row in failed[LADDER].itertuples(index=False)]
    broken = failed[[not one for one in known]]
    if len(broken):
        first = broken.iloc[0]
        return f"parity is broken: {first['backend']} parts at {first['rung']} of {first['location']}"
    if len(failed):
        first = failed.iloc[0]
        return f"parity is not proved: {first['backend']} is inaccurate in a known way at {first['location']}"
    proved = {(ladder[1], ladder[-1]) for ladder in parity.proved if ladder[0] == workload}
    climbed = dict.fromkeys(rows[["backend", "variant"]].itertuples(index=False, name=None))
    whole, others = ([ladder[0] for ladder in climbed if (ladder in proved) is done] for done in (True, False))
    if not others:
        return "parity is proved in exact mode"
    ended = f"was not climbed to the end on {' and '.join(others)}"
    return f"parity is proved in exact mode on {' and '.join(whole)}, and {ended}" if whole else f"parity {ended}"


def _cost(rows: Sequence[Row]) -> str:
    """What Keras costs, on each backend."""
    parts = ", ".join(map(_on_backend, rows))
    if rows[0]["task"] == "predict":
        return f"model.predict takes, as a multiple of the exported function, {parts}"
    return f"{COSTS[rows[0]['against']]} {parts}"


def _axis(rows: Sequence[Row]) -> str:
    """How a batch size, numerics or a workload compares with another one, on each backend."""
    kind, _, other = rows[0]["against"].partition("=")
    ours, unit = AXES[kind].format_map({**rows[0], "stem": stem(rows[0]["workload"])}), _unit(kind)
    return f"{ours} takes{unit}, as a multiple of {_named(kind, other)}, {', '.join(map(_on_backend, rows))}"


def _limit(rows: Sequence[Row], analysis: Analysis) -> str:
    """Whether a variant is slower than the first by more than it may be, by backend."""
    by_verdict: dict[str, list[Row]] = {}
    for row in rows:
        by_verdict.setdefault(row["limit_verdict"], []).append(row)
    limit = f"{100 * (analysis.run.description.fail_slower or 0.0):.3g} %"
    found = ", ".join(f"{verdict} on {_names(some)}" for verdict, some in by_verdict.items())
    return f"the limit of {limit} by which {rows[0]['variant']} may be slower is {found}"


def _end(row: Row, most: int) -> str:
    """Why a comparison has as many repetitions as it has."""
    count = f"after {number_of(row['repetitions'], 'repetition', 'repetitions')}"
    if is_sure(row):
        return f"sure {count}"
    return f"not sure {count}, the most that were allowed" if row["repetitions"] >= most else f"not sure {count}"


def _unit(kind: str) -> str:
    return " a sample" if kind in PER_SAMPLE else ""


def _named(kind: str, other: str) -> str:
    return f"batch {other}" if kind == "batch" else other


def _on_backend(row: Row) -> str:
    verdict = "" if row["verdict"] in ("slower", "faster") else f" ({row['verdict']})"
    return f"{with_interval(row['ratio'], row['ratio_low'], row['ratio_high'])} on {row['backend']}{verdict}"


def sides(row: Row) -> tuple[str, str]:
    """What is compared with what, in words; track `fit` goes without saying among backends."""
    kind, _, other = row["against"].partition("=")
    if kind == "input":
        return f"{row['backend']} with {row['input']}", other
    if kind == "devices":
        return f"{row['backend']} on {devices_in_words(row['device_count'])}", devices_in_words(int(other))
    if kind in AXES:
        ours = AXES[kind].format_map({**row, "stem": stem(row["workload"])})
        return f"{row['backend']} with {ours}", _named(kind, other)
    if kind == "backend" and row["track"] == "fit":
        return row["backend"], other
    return f"{row['backend']} {row['track']}", f"{other} {row['track']}" if kind == "backend" else other


def varying(analysis: Analysis) -> dict[Any, dict[Any, int]]:
    """How many batch sizes, numerics, inputs, variants and numbers of devices each workload has, by its name."""
    by_name = analysis.cases.groupby(analysis.cases["workload"].map(stem))
    return by_name[["batch_size", "numerics", "input", "variant", "device_count"]].nunique().to_dict("index")


def where(row: Row, several: dict[Any, dict[Any, int]]) -> str:
    """Workload and device, with the batch size, numerics, input, variant and track where the run has several."""
    words = {"device_count": devices_in_words(row["device_count"])}
    words |= {"batch_size": f"batch {row['batch_size']}", "numerics": row["numerics"]}
    words |= {name: row[name] for name in ("input", "variant") if family(row["against"]) != name}
    shown = [text for name, text in words.items() if several[stem(row["workload"])][name] > 1]
    task = [] if row["task"] == "train" else [row["task"]]
    track = [] if row["track"] == "fit" or family(row["against"]) != "backend" else [f"track {row['track']}"]
    return ", ".join([f"{stem(row['workload'])} on {row['device']}", *task, *shown, *track])
