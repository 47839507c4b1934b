"""What a report says, in strings: the one view that terminal and Markdown render."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from bench.analysis import Analysis
from bench.analysis.comparisons import TIME_MARGIN, family
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.record import case_key, stem, title
from bench.report import inference, inputs, parity, targets, tracks
from bench.report.view import (
    NOTHING,
    Page,
    Row,
    Table,
    difference,
    disturbances,
    launches,
    missing,
    number,
    seeds,
    significant,
    with_interval,
)

FAMILIES = {"backend": "the reference", "track": "other tracks", "input": "an input that costs nothing"}


def page(analysis: Analysis) -> Page:
    """The report of one run."""
    description = analysis.run.description
    return Page(
        title=f"Run {description['id']}",
        summary=_sentences(analysis) + parity.sentences(analysis.parity),
        problems=analysis.problems,
        tables=[
            *tracks.tables(analysis),
            *inputs.tables(analysis),
            *targets.tables(analysis),
            *_tables(analysis),
            *inference.tables(analysis),
            *parity.tables(analysis.parity),
        ],
        facts=_facts(analysis),
        commands=_commands(analysis),
        snippets=tracks.snippets(analysis),
    )


def _tables(analysis: Analysis) -> list[Table]:
    """Of training a table per workload, device, batch size and track, with a row per backend."""
    key = [name for name in CASES if name != "backend"]
    targets = {workload["workload"]: workload["target"] for workload in analysis.run.description["workloads"]}
    attempted = {case_key(planned["case"]): planned["target_attempted"] for planned in analysis.run.description["plan"]}
    compared = {case_key(row): row for row in _against(analysis, "backend")}
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
                f"{_name(first)} on {first['device']}: {first['samples']:,} samples, {first['epochs']} epochs, "
                f"batch {first['batch_size']}, {first['numerics']}, track {first['track']}"
                + ("" if first["input"] == "arrays" else f", input {first['input']}"),
                [
                    "backend",
                    f"s/epoch [{INTERVAL_LEVEL:.0%}]",
                    "median s",
                    f"ratio to {analysis.run.description['reference']}{_level(analysis)}",
                    "verdict",
                    "noise floor",
                    f"test {target['metric']}",
                    "samples/s",
                    "GFLOP/s",
                    "cold epoch s",
                    "setup s",
                    "peak MiB",
                    f"{target['metric']} difference",
                ],
                [_row(row, compared.get(case_key(row)), attempted[case_key(row)], target) for row in rows],
                notes,
            )
        )
    return built


def _row(case: Row, compared: Row | None, attempted: bool, target: Row) -> list[str]:
    metric = number(case["test_metric"], 4)
    if metric != NOTHING and target["value"] is not None:
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


def _reached(value: float, target: Row) -> bool:
    return bool(value <= target["value"] if target.get("lower_is_better") else value >= target["value"])


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


def _target_note(target: Row, attempted: bool) -> str:
    if target["value"] is None:
        return f"no target of {target['metric']} is declared"
    name = f"target {target['metric']} {target['value']}"
    if not attempted:
        return f"* {name} not attempted: it needs all samples and epochs"
    return f"{name} ({target['source']}): ✓ reached, ✗ missed, by the mean of the launches"


def _sentences(analysis: Analysis) -> list[str]:
    """The verdicts in words."""
    metrics = {one["workload"]: one["target"]["metric"] for one in analysis.run.description["workloads"]}
    said = []
    for row in _rows(analysis):
        ours, reference = _sides(row)
        what = f"{_where(row, analysis)}: {ours}"
        ratio = with_interval(row["ratio"], row["ratio_low"], row["ratio_high"])
        if row["verdict"] == "equivalent":
            said.append(f"{what} and {reference} take the same time within {TIME_MARGIN:.0%}: ratio {ratio}.")
        elif row["verdict"] != "undecided":
            said.append(f"{what} is {row['verdict']} than {reference}: it takes {ratio} times as long.")
        else:
            said.append(f"{what} against {reference} is undecided: ratio {ratio}; {launches(row)}.")
    return said + [
        f"{_where(row, analysis)}: whether {_sides(row)[0]} reaches the {metrics[row['workload']]} of "
        f"{_sides(row)[1]} is undecided: {difference(row)}; {seeds(row)}."
        for row in _rows(analysis)
        if row["metric_verdict"] == "undecided"
    ]


def _rows(analysis: Analysis) -> list[Row]:
    return [*analysis.comparisons.table.to_dict("records")]


def _against(analysis: Analysis, kind: str) -> list[Row]:
    """The comparisons of one family, see `FAMILIES`."""
    return [row for row in _rows(analysis) if family(row["against"]) == kind]


def _sides(row: Row) -> tuple[str, str]:
    """What is compared with what, in words; track `fit` goes without saying among backends."""
    kind, _, other = row["against"].partition("=")
    if kind == "input":
        return f"{row['backend']} with {row['input']}", other
    if kind == "backend" and row["track"] == "fit":
        return row["backend"], other
    return f"{row['backend']} {row['track']}", f"{other} {row['track']}" if kind == "backend" else other


def _where(row: Row, analysis: Analysis) -> str:
    """Workload and device, with the batch size, numerics and input where the run has several."""
    cases = analysis.cases[analysis.cases["workload"].eq(row["workload"])]
    words = {"batch_size": f"batch {row['batch_size']}", "numerics": row["numerics"]}
    words |= {"input": row["input"]} if family(row["against"]) != "input" else {}
    several = [text for name, text in words.items() if cases[name].nunique() > 1]
    task = [] if row["task"] == "train" else [row["task"]]
    return ", ".join([f"{_name(row)} on {row['device']}", *task, *several])


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    description = analysis.run.description
    machine = description["machine"]
    size = f"{machine['logical_cpus']} logical CPUs, {machine['memory_mib']} MiB"
    facts = [
        ("state", f"{description['state']}, started {description.get('started', '')}"),
        ("machine", f"{machine['cpu']}, {size}, {machine['system']}"),
        ("GPUs", ", ".join(machine["gpus"]) or "none"),
        ("flags", ", ".join(f"{name}={value}" for name, value in machine["flags"].items()) or "none set"),
    ]
    for device, speeds in description.get("ceilings", {}).items():
        reached = ", ".join(f"{backend} {significant(speed / 1e9)}" for backend, speed in speeds.items())
        words = f"a large matrix product in float32, GFLOP/s: {reached}; shares are of the most"
        facts.append((f"ceiling on {device}", words))
    facts += [(stem(one["path"]), one["said"]) for one in description.get("options", {}).get("adopted", [])]
    for workload in description["workloads"]:
        facts += [(_name(workload), note) for note in workload.get("notes", [])]
        if workload.get("uncounted"):
            facts.append(
                (f"{_name(workload)}", f"operations not counted, because of {', '.join(workload['uncounted'])}")
            )
    facts += _settings(analysis)
    if "ordered" in description:
        facts.append(("precision", description["ordered"]["words"]))
    if analysis.spent:
        total = sum(analysis.spent.values())
        parts = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in analysis.spent.items())
        facts.append(("wall time", f"{total:.0f} s: {parts}"))
    if len(analysis.comparisons.table):
        kinds = [
            f"the {len(rows)} ratios against {against} at {rows[0]['level']:.2%} each"
            for kind, against in FAMILIES.items()
            if (rows := _against(analysis, kind))
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


def _name(case: Row) -> str:
    return Path(case["workload"]).stem


def _level(analysis: Analysis) -> str:
    """The level of each ratio's interval, for the heading; nothing where nothing was compared."""
    rows = _against(analysis, "backend")
    return f" [{100 * rows[0]['level']:.4g}%]" if rows else ""
