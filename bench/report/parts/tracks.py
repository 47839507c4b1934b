"""What a report says of the tracks: what Keras costs, which knob gets it back, and throughput over batch sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from bench.analysis import Analysis
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.analysis.tuning import Choice
from bench.contract.backend_facts import InputFacts
from bench.contract.case import TRAINING_TRACKS, case_key, stem
from bench.contract.catalog import facts_of_all
from bench.contract.tuning import LEAST_ROUNDS, knob_words
from bench.report import drawing
from bench.report.columns import Kind, case_column, table
from bench.report.rows import Compared, compared
from bench.report.text import missing, ratio_level, with_interval
from bench.report.view import Figure, Row, Table, facets

MEMORY = """\
# First of all: keep freed memory instead of giving it back to the kernel (glibc; M_MMAP_MAX, M_TRIM_THRESHOLD).
import ctypes
ctypes.CDLL(None).mallopt(-4, 0), ctypes.CDLL(None).mallopt(-1, 2**31 - 1)
"""
BATCHES = """\
class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, index):
        batch = slice(index * self.size, (index + 1) * self.size)
        return self.x[batch], self.y[batch]

"""
INPUTS = {  # that every backend has
    "arrays": InputFacts("x, y, batch_size={batch}", ""),
    "PyDataset": InputFacts("Batches(x, y, {batch})", BATCHES),
}


def tables(analysis: Analysis) -> list[Table]:
    """A table backend × track for each workload, device and batch size, then one of throughput over batch sizes."""
    cases = analysis.cases[analysis.cases["input"].eq("arrays") & analysis.cases["task"].eq("train")]
    by_track = cases.groupby([name for name in CASES if name not in ("backend", "track")], sort=False)
    by_batch_size = cases.groupby([name for name in CASES if name not in ("backend", "batch_size")], sort=False)
    comparisons = compared(analysis)
    return [
        *(_tracks(analysis, group, comparisons) for _, group in by_track if group["track"].nunique() > 1),
        *(_batch_sizes(group) for _, group in by_batch_size if group["batch_size"].nunique() > 1),
    ]


def _tracks(analysis: Analysis, group: pd.DataFrame, comparisons: Compared) -> Table:
    """Seconds and memory of each track, and the ratios of tracks, a row per backend."""
    cases = group.to_dict("records")
    first = cases[0]
    rows: dict[str, dict[Any, Any]] = {case["backend"]: {"backend": case["backend"]} for case in cases}
    for case in cases:
        opponents = (f"track={track}" for track in TRAINING_TRACKS)
        ratios = {(case["track"], name): comparisons.get((case_key(case), name)) for name in opponents}
        rows[case["backend"]] |= {case["track"]: case, **ratios}
    return table(
        Kind.TRACKS,
        f"What Keras costs: {stem(first['workload'])} on {first['device']}, batch {first['batch_size']}"
        + ("" if first["numerics"] == "float32" else f", {first['numerics']}"),
        list(rows.values()),
        notes=[_what_stands_there(comparisons), *_knob_notes(cases, analysis.choices, comparisons)],
        facets=[facets(first, "workload", "device", "numerics")] * len(rows),
    )


def _what_stands_there(comparisons: Compared) -> str:
    level = ratio_level(comparisons.values(), "track")
    ratios = f"; ratios{level} are paired by repetition" if level else ""
    return f"each track: seconds per epoch [{INTERVAL_LEVEL:.0%}], peak MiB of the process{ratios}"


def _knob_notes(rows: Iterable[Row], choices: Iterable[Choice], comparisons: Compared) -> Iterator[str]:
    """A sentence per backend and track: which knobs were changed, what they brought, which were not available."""
    cases = {case_key(row): row for row in rows}
    for choice in choices:
        if choice.case.key in cases:
            fit = case_key({**cases[choice.case.key], "track": "fit"})
            yield _sentence(choice, comparisons.get((fit, "track=tuned")) if choice.case.track == "tuned" else None)


def _sentence(choice: Choice, measured: Row | None) -> str:
    """`measured` is fit / tuned in the launches: where that has an interval, it is told, and no gain beside it."""
    who = f"{choice.case.backend} {choice.case.track}"
    tried = f"{choice.tried} configurations"
    if choice.changed:
        changed = ", ".join(f"{name}={choice.knobs[name]}" for name in choice.changed)
        said = f"{who}: of {tried}, the choice is {changed}{_brought(choice, measured)}"
    else:
        undecided = choice.disturbed and choice.rounds < LEAST_ROUNDS
        why = f" (undecided: {choice.disturbed} rounds were disturbed)" if undecided else ""
        said = f"{who}: no difference seen{why}: none of {tried} beat the default ({knob_words(choice.knobs)})"
    without = [f"{value}: {reason}" for value, reason in choice.without.items()]
    return f"{said}; not available: {'; '.join(without)}" if without else said


def _brought(choice: Choice, measured: Row | None) -> str:
    """What changed knobs gained, from the launches where these can say it."""
    if measured is not None and not missing(measured["ratio_low"]):
        told = with_interval(measured["ratio"], measured["ratio_low"], measured["ratio_high"])
        seen = "" if measured["ratio_low"] > 1 else ", so no gain was seen there"
        return f"; in the launches fit takes {told} times as long{seen}"
    if not choice.default_works:
        return "; the default does not work"
    if missing(choice.ratio.low):
        return "; an earlier version chose it from single passes, and did not measure what it gains"
    rounds = f"{choice.rounds} rounds in turns" + (f", {choice.disturbed} more disturbed" if choice.disturbed else "")
    return f"; a step of the search took {with_interval(*choice.ratio)} times as long as with the default ({rounds})"


def _batch_sizes(group: pd.DataFrame) -> Table:
    """Samples per second, a row per batch size."""
    first = group.iloc[0]
    good = group[group["samples_per_second"].notna()]
    rows: dict[int, dict[str, Any]] = {}
    for case in good.to_dict("records"):
        rows.setdefault(case["batch_size"], {"batch_size": case["batch_size"]})[case["backend"]] = case
    return table(
        Kind.BATCH_SIZES,
        f"Samples per second by batch size: {stem(first['workload'])} on {first['device']}, track {first['track']}",
        list(rows.values()),
        facets=[facets(first)] * len(rows),
        names=[case_column("batch_size")],
        backends=list(dict.fromkeys(good["backend"])),
    )


def snippets(analysis: Analysis) -> list[tuple[str, str]]:
    """For each search of track `tuned`, its case's title and the best call of fit as code to paste."""
    return [(choice.case.title, _call(choice)) for choice in analysis.choices if choice.case.track == "tuned"]


def _call(choice: Choice) -> str:
    knobs = choice.knobs
    how = "".join(f", {name}={knobs[name]!r}" for name in ("jit_compile", "steps_per_execution"))
    handed = _pasted(knobs["input"])
    call = handed.call.format(batch=choice.case.batch_size)
    return (
        (MEMORY if knobs["malloc"] == "keep" else "")
        + handed.before
        + f"model.compile(optimizer=…, loss=…, metrics=[…]{how})\n"
        + f"model.fit({call}, epochs={choice.case.epochs}, shuffle=False, verbose=0)"
    )


def _pasted(kind: str) -> InputFacts:
    own = {name: one for facts in facts_of_all() for name, one in facts.inputs.items()}
    return {**INPUTS, **own}[kind]


def figures(analysis: Analysis) -> Iterator[Figure]:
    """Seconds of an epoch by track: what Keras costs, and which knob gets it back."""
    good = analysis.cases[analysis.cases["epoch_seconds"].notna() & analysis.cases["task"].eq("train")]
    for _, group in good.groupby([name for name in CASES if name not in ("backend", "track")], sort=False):
        if group["track"].nunique() > 1:
            first, shown, traces = group.iloc[0], set[str](), []
            for row in group.to_dict("records"):
                traces.append(
                    {
                        **drawing.about(row),
                        **drawing.bar(row["backend"]),
                        "name": row["backend"],
                        "legendgroup": row["backend"],
                        "offsetgroup": row["backend"],
                        "showlegend": row["backend"] not in shown,
                        "x": [row["track"]],
                        "y": [row["epoch_seconds"]],
                        "error_y": drawing.error(row, "epoch_seconds"),
                        "hovertemplate": "%{x}: %{y:.4g} s<extra>%{fullData.name}</extra>",
                    }
                )
                shown.add(row["backend"])
            yield Figure(
                f"{stem(first['workload'])} on {first['device']}, batch {first['batch_size']}, {first['numerics']}",
                f"Seconds of an epoch by track, with their intervals [{INTERVAL_LEVEL:.0%}]; native is the same "
                "network without Keras.",
                traces,
                {"barmode": "group", "yaxis": {"title": {"text": "seconds per epoch"}, "rangemode": "tozero"}},
            )


def batch_figures(analysis: Analysis) -> Iterator[Figure]:
    """Samples per second over the batch size."""
    good = analysis.cases[analysis.cases["samples_per_second"].notna()]
    for (workload, device, task), group in good.groupby([*drawing.PICTURE], sort=False):
        if group["batch_size"].nunique() < 2:
            continue
        names = [name for name in drawing.varying(group) if name not in ("batch_size", "samples")]
        fixed = [name for name in CASES if name not in ("batch_size", "samples")]
        traces = []
        line = drawing.lines(group, names)
        for _, sweep in group.groupby(fixed, sort=False):
            ordered, row = sweep.sort_values("batch_size"), sweep.iloc[0].to_dict()
            traces.append(
                {
                    **drawing.about(row),
                    **drawing.marks(row["backend"]),
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": drawing.label(row, names),
                    "x": drawing.numbers(ordered["batch_size"]),
                    "y": drawing.numbers(ordered["samples_per_second"]),
                    "line": line(row),
                    "hovertemplate": "batch %{x}: %{y:,.0f} a second<extra>%{fullData.name}</extra>",
                }
            )
        yield Figure(
            f"{stem(workload)} on {device}{drawing.task(task)}",
            "Samples per second over the batch size, both axes logarithmic.",
            traces,
            {
                "xaxis": {
                    "type": "log",
                    "title": {"text": "batch size"},
                    "tickvals": sorted(map(int, group["batch_size"].unique())),
                },
                "yaxis": {"type": "log", "title": {"text": "samples per second"}, "tickformat": "~s"},
            },
        )
