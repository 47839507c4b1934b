"""What a report says, in strings: the one view that terminal and Markdown render."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from bench.analysis import Analysis
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.contract.case import case_key, stem, title
from bench.contract.run_json import Target
from bench.report.parts import inputs, parity, predict, targets, tracks, verdicts
from bench.report.parts.verdicts import comparisons
from bench.report.text import (
    NOTHING,
    difference,
    disturbances,
    missing,
    number,
    ratio_level,
    significant,
    with_interval,
)
from bench.report.view import Page, Row, Table, facets

FAMILIES = {"backend": "the reference", "track": "other tracks", "input": "an input that costs nothing"}


def page(analysis: Analysis) -> Page:
    """The report of one run."""
    description = analysis.run.description
    return Page(
        title=f"Run {description.id}",
        verdicts=verdicts.verdicts(analysis) or parity.proved(analysis.parity),
        remarks=[*verdicts.remarks(analysis), *parity.remarks(analysis.parity)],
        problems=analysis.problems,
        tables=[*_training(analysis), *optional_tables(analysis)],
        facts=_facts(analysis),
        commands=_commands(analysis),
        snippets=tracks.snippets(analysis),
    )


def optional_tables(analysis: Analysis) -> list[Table]:
    """The tables of what only some runs ask for."""
    return [
        *tracks.tables(analysis),
        *inputs.tables(analysis),
        *targets.tables(analysis),
        *predict.tables(analysis),
        *parity.tables(analysis.parity),
    ]


def _training(analysis: Analysis) -> list[Table]:
    """A table per workload, device, batch size and track, with a row per backend."""
    key = [name for name in CASES if name != "backend"]
    targets = {workload.workload: workload.target for workload in analysis.run.description.workloads}
    attempted = {planned.case.key: planned.target_attempted for planned in analysis.run.description.plan}
    compared = {case_key(row): row for row in comparisons(analysis, "backend")}
    built = []
    for _, group in analysis.cases[analysis.cases["task"].eq("train")].groupby(key, sort=False):
        rows = group.to_dict("records")
        first = rows[0]
        target = targets[first["workload"]]
        notes = [_target_note(target, attempted[case_key(first)])]
        notes += [f"{row['backend']}: {row['status']}, {row['reason']}" for row in rows if row["status"] != "ok"]
        notes += [note for row in rows for note in _noise_notes(row)]
        built.append(
            Table(
                f"{stem(first['workload'])} on {first['device']}: {first['samples']:,} samples, "
                f"{first['epochs']} epochs, batch {first['batch_size']}, {first['numerics']}, track {first['track']}"
                + ("" if first["input"] == "arrays" else f", input {first['input']}"),
                [
                    "backend",
                    f"s/epoch [{INTERVAL_LEVEL:.0%}]",
                    "median s",
                    f"ratio to {analysis.run.description.reference}{ratio_level(compared.values(), 'backend')}",
                    "verdict",
                    "noise floor",
                    f"test {target.metric}",
                    "samples/s",
                    "GFLOP/s",
                    "cold epoch s",
                    "setup s",
                    "peak MiB",
                    f"{target.metric} difference",
                ],
                [_row(row, compared.get(case_key(row)), attempted[case_key(row)], target) for row in rows],
                notes,
                facets=[facets(row) for row in rows],
            )
        )
    return built


def overview(analysis: Analysis) -> Iterator[Table]:
    """Every case in one table, to be sorted and filtered: what all have in common stands in its heading."""
    targets = {workload.workload: workload.target for workload in analysis.run.description.workloads}
    attempted = {planned.case.key: planned.target_attempted for planned in analysis.run.description.plan}
    compared = {case_key(row): row for row in comparisons(analysis, "backend")}
    cases = analysis.cases
    if cases.empty:
        return
    shown = [name for name in CASES if name in ("workload", "backend") or cases[name].nunique() > 1]
    common = ", ".join(f"{name} {cases[name].iloc[0]}" for name in CASES if name not in shown)
    reference = analysis.run.description.reference
    columns = [
        *(name.replace("_", " ") for name in shown),
        "status",
        f"s/epoch or call [{INTERVAL_LEVEL:.0%}]",
        "median s",
        f"ratio to {reference}{ratio_level(compared.values(), 'backend')}",
        "verdict",
        "noise floor",
        "test metric",
        "samples/s",
        "GFLOP/s",
        "cold s",
        "setup s",
        "peak MiB",
        "metric difference",
    ]
    rows = cases.to_dict("records")
    cells = [
        [
            *(stem(row[name]) if name == "workload" else str(row[name]) for name in shown),
            row["status"],
            *_row(row, compared.get(case_key(row)), attempted[case_key(row)], targets[row["workload"]])[1:],
        ]
        for row in rows
    ]
    notes = [f"{title(row)}: {row['status']}, {row['reason']}" for row in rows if row["status"] != "ok"]
    notes += [f"{title(row)}: {note}" for row in rows for note in _noise_notes(row)]
    notes.append("✓ the target was reached, ✗ it was missed, * not attempted: samples or epochs were cut")
    yield Table(
        f"All cases: {common}" if common else "All cases",
        columns,
        cells,
        notes,
        names=len(shown),
        facets=[facets(row) for row in rows],
    )


def _row(case: Row, compared: Row | None, attempted: bool, target: Target) -> list[str]:
    metric = number(case["test_metric"], 4)
    if metric != NOTHING and target.value is not None:
        metric += (" ✓" if _reached(case["test_metric"], target) else " ✗") if attempted else " *"
    return [
        case["backend"],
        with_interval(case["epoch_seconds"], case["epoch_seconds_low"], case["epoch_seconds_high"]),
        significant(case["p50_seconds"]),
        with_interval(compared["ratio"], compared["ratio_low"], compared["ratio_high"]) if compared else NOTHING,
        compared["verdict"] if compared else NOTHING,
        significant(compared["noise_floor"]) if compared else NOTHING,
        metric,
        NOTHING if missing(case["samples_per_second"]) else f"{case['samples_per_second']:,.0f}",
        NOTHING if missing(case["flops_per_second"]) else _rate(case),
        significant(case["cold_epoch_seconds"]),
        significant(case["setup_seconds"]),
        number(case["peak_host_mib"], 0),
        f"{difference(compared)} {compared['metric_verdict'] if compared else ''}".rstrip(),
    ]


def _reached(value: float, target: Target) -> bool:
    return target.is_reached(value)


def _rate(case: Row) -> str:
    """Floating-point operations per second, in parentheses the share of what the machine reaches at best."""
    share = "" if missing(case["ceiling_share"]) else f" ({case['ceiling_share']:.0%})"
    return f"{significant(case['flops_per_second'] / 1e9)}{share}"


def _noise_notes(case: Row) -> Iterator[str]:
    """What a reader has to know of a case's launches: disturbed ones, and epochs that had not settled."""
    if not missing(case["epochs_used"]) and case["epochs_used"] < case["epochs"]:
        yield f"{case['backend']}: stopped early, after {case['epochs_used']:.1f} of {case['epochs']} epochs (mean)"
    yield from disturbances(case["backend"], case)
    if case["trend_verdict"] in ("getting faster", "getting slower"):
        trend = with_interval(case["trend"], case["trend_low"], case["trend_high"])
        advice = f"; with more epochs (--epochs {2 * case['epochs']}) one sees more of the steady state"
        yield (
            f"{case['backend']} had not settled: within a launch it is {case['trend_verdict']}, the later half of its "
            f"steady epochs takes {trend} times as long as the earlier"
            f"{advice if case['trend_verdict'] == 'getting faster' else ''}"
        )


def _target_note(target: Target, attempted: bool) -> str:
    if target.value is None:
        return f"no target of {target.metric} is declared"
    name = f"target {target.metric} {target.value}"
    if not attempted:
        return f"* {name} not attempted: it needs all samples and epochs"
    return f"{name} ({target.source}): ✓ reached, ✗ missed, by the mean of the launches"


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    description = analysis.run.description
    machine = description.machine
    size = f"{machine.logical_cpus} logical CPUs, {machine.memory_mib} MiB"
    facts = [
        ("state", f"{description.state}, started {description.started or ''}"),
        ("machine", f"{machine.cpu}, {size}, {machine.system}"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("flags", ", ".join(f"{name}={value}" for name, value in machine.flags.items()) or "none set"),
    ]
    for device, speeds in (description.ceilings or {}).items():
        reached = ", ".join(f"{backend} {significant(speed / 1e9)}" for backend, speed in speeds.items())
        words = f"a large matrix product in float32, GFLOP/s: {reached}; shares are of the most"
        facts.append((f"ceiling on {device}", words))
    facts += [(stem(one.path), one.said) for one in description.adopted]
    for workload in description.workloads:
        facts += [(stem(workload.workload), note) for note in workload.notes]
        if workload.uncounted:
            facts.append(
                (stem(workload.workload), f"operations not counted, because of {', '.join(workload.uncounted)}")
            )
    facts += _settings(analysis)
    if description.ordered:
        facts.append(("precision", description.ordered.words))
    if analysis.spent:
        total = description.wall_seconds or 0.0
        parts = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in analysis.spent.items())
        facts.append(("wall time", f"{total:.0f} s: {parts}"))
    if len(analysis.comparisons.table):
        kinds = [
            f"the {len(rows)} ratios against {against} at {rows[0]['level']:.2%} each"
            for kind, against in FAMILIES.items()
            if (rows := comparisons(analysis, kind))
        ]
        families = f"{', '.join(kinds)}, so that all hold together with 95 %, the differences likewise"
        margins = f"margins {TIME_MARGIN:.0%} of time and the target's own of its metric"
        facts.append(("intervals", f"s/epoch at {INTERVAL_LEVEL:.0%}; {families}; {margins}"))
    return facts


def _settings(analysis: Analysis) -> list[tuple[str, str]]:
    """Versions and what was in force, as each backend's first ok launch read it back."""
    good = analysis.run.launches[analysis.run.launches["status"] == "ok"]
    said = []
    for (backend, device, task, track), group in good.groupby(["backend", "device", "task", "track"], sort=False):
        launch = group.iloc[0]
        words = [f"{name} {version}" for name, version in launch["versions"].items()]
        words += [f"{name} {value}" for name, value in launch["resolved"].items() if name not in ("device", "flags")]
        words += [f"{name} {value}" for name, value in launch["resolved"].get("flags", {}).items()]
        what = track if task == "train" else f"{task} {track}"
        said.append((f"{backend} on {device}, {what}", ", ".join(words)))
    return said


def _commands(analysis: Analysis) -> list[tuple[str, str]]:
    """For each case, the command of its first launch, to be typed in the project's folder."""
    launches = analysis.run.launches
    first = (
        launches[launches["command"].map(bool).astype(bool)]
        .groupby(CASES, sort=False)
        .first(skipna=False)
        .reset_index()
    )
    return [(title(row), shlex.join(row["command"])) for row in first.to_dict("records")]
