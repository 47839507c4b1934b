"""The report of a run: what terminal and Markdown render of it, and the sections of its page with pictures."""

from __future__ import annotations

import shlex

from bench.analysis import Analysis
from bench.analysis.comparisons import TIME_MARGIN
from bench.analysis.frames import CASES, INTERVAL_LEVEL
from bench.contract.case import stem, title
from bench.contract.run_json import RunDescription
from bench.report.columns import Kind
from bench.report.parts import (
    devices,
    explain,
    figures,
    inputs,
    nodes,
    operations,
    parity,
    predict,
    targets,
    tracks,
    training,
    variants,
    verdicts,
)
from bench.report.rows import comparisons
from bench.report.text import number_of, significant
from bench.report.view import Page, Section, Table

LONG = (
    Kind.TRAINING,
    Kind.OPERATIONS,
    Kind.MEMORY,
    Kind.EXACT,
    Kind.ROUNDED,
)  # tables that a terminal has room for where all is asked for
FAMILIES = {"backend": "the reference", "track": "other tracks", "input": "an input that costs nothing"}
FAMILIES |= {
    "numerics": "float32",
    "batch": "the smallest batch",
    "workload": "another workload",
    "devices": "fewer devices",
}


def page(analysis: Analysis) -> Page:
    """The report of one run."""
    description = analysis.run.description
    tables = [*training.tables(analysis), *_optional_tables(analysis)]
    return Page(
        title=f"Run {description.id}",
        verdicts=[
            *(verdicts.verdicts(analysis) or parity.proved(analysis.parity)),
            *devices.verdicts(analysis),
            *devices.proved(analysis.parity),
            *verdicts.stops(analysis),
            *nodes.sentences(analysis),
            *explain.advice(analysis.explanation),
        ],
        remarks=[
            *verdicts.remarks(analysis),
            *operations.remarks(analysis.explanation),
            *parity.remarks(analysis.parity),
        ],
        problems=analysis.problems,
        tables=tables,
        facts=_facts(analysis),
        commands=_commands(analysis),
        snippets=tracks.snippets(analysis),
        place="these machines" if analysis.nodes else "this machine",
        brief=[
            *(variants.tables(analysis) or training.brief(analysis)),
            *(one for one in tables if one.kind not in (*LONG, Kind.VARIANTS)),
            *operations.brief(analysis.explanation),
        ],
    )


def sections(analysis: Analysis, page: Page) -> list[Section]:
    """What the page with pictures shows of a run; one table of all cases stands for the tables of training."""
    optional = [table for table in page.tables if table.kind != Kind.TRAINING]
    return [
        Section("How fast", [*figures.ratios(analysis)]),
        Section("Every launch", [*figures.launches(analysis)]),
        Section("What Keras costs", [*tracks.figures(analysis)]),
        Section("Batch sizes", [*tracks.batch_figures(analysis)]),
        Section("Latency of calls", [*predict.figures(analysis)]),
        Section("Learning", [*figures.curves(analysis)]),
        Section("Setup, cold and steady", [*figures.phases(analysis)]),
        Section("Memory", [*figures.memory(analysis)]),
        Section("Parity", grids=parity.grids(analysis.parity)),
        Section("Tables", tables=[*training.overview(analysis), *optional]),
    ]


def where(analysis: Analysis) -> str:
    """The machine and the time, in a line."""
    description = analysis.run.description
    machine = next(iter(description.nodes.values()), description.machine)
    gpus = ", ".join(machine.gpus) or "no GPU"
    count = number_of(len(description.nodes), "node, ", "nodes, the first of them ") if description.nodes else ""
    return f"{count}{machine.cpu}, {machine.logical_cpus} logical CPUs, {gpus}; {description.started or ''}"


def _optional_tables(analysis: Analysis) -> list[Table]:
    """The tables that only some runs have."""
    return [
        *explain.tables(analysis.explanation),
        *operations.tables(analysis.explanation),
        *explain.calls(analysis.explanation),
        *variants.tables(analysis),
        *devices.tables(analysis),
        *tracks.tables(analysis),
        *inputs.tables(analysis),
        *targets.tables(analysis),
        *nodes.tables(analysis),
        *predict.tables(analysis),
        *parity.tables(analysis.parity),
    ]


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    description = analysis.run.description
    facts = [*_machine(description), *_workloads(description), *_settings(analysis)]
    if description.ordered:
        facts.append(("precision", description.ordered.words))
    if analysis.spent:
        total = sum(analysis.spent.values()) if analysis.nodes else description.wall_seconds or 0.0
        parts = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in analysis.spent.items())
        side_by_side = f"; {total:.0f} s of all nodes together" if analysis.nodes else ""
        facts.append(("wall time", f"{description.wall_seconds or 0.0:.0f} s{side_by_side}: {parts}"))
    if len(analysis.comparisons.table):
        facts.append(("intervals", _intervals(analysis)))
    return facts


def _machine(description: RunDescription) -> list[tuple[str, str]]:
    """State, machine, and what its matrix products reach."""
    machine = description.machine
    size = f"{machine.logical_cpus} logical CPUs, {machine.memory_mib} MiB"
    facts = [
        ("state", f"{description.state}, started {description.started or ''}"),
        ("machine", f"{machine.cpu}, {size}, {machine.system}"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("flags", ", ".join(f"{name}={value}" for name, value in machine.flags.items()) or "none set"),
    ]
    if description.nodes:
        facts.append(("nodes", f"{len(description.nodes)}; the machine above started the run"))
    for device, speeds in (description.ceilings or {}).items():
        reached = ", ".join(f"{backend} {significant(speed / 1e9)}" for backend, speed in speeds.items())
        words = f"a large matrix product in float32, GFLOP/s: {reached}; shares are of the most"
        facts.append((f"ceiling on {device}", words))
    return facts


def _workloads(description: RunDescription) -> list[tuple[str, str]]:
    """What was adopted from a user's files, and what is to be known of each workload."""
    facts = [(stem(adopted.path), adopted.said) for adopted in description.adopted]
    for workload in description.workloads:
        name = stem(workload.workload)
        facts += [(name, note) for note in workload.notes]
        if workload.uncounted:
            facts.append((name, f"operations not counted, because of {', '.join(workload.uncounted)}"))
    return facts


def _intervals(analysis: Analysis) -> str:
    """At which levels the intervals are, and by which margins the verdicts."""
    kinds = [
        f"the {len(rows)} ratios against {against} at {rows[0]['level']:.2%} each"
        for kind, against in FAMILIES.items()
        if (rows := comparisons(analysis, kind))
    ]
    families = f"{', '.join(kinds)}, so that all hold together with 95 %, the differences likewise"
    margins = f"margins {TIME_MARGIN:.0%} of time and the target's own of its metric"
    return f"s/epoch at {INTERVAL_LEVEL:.0%}; {families}; {margins}"


def _settings(analysis: Analysis) -> list[tuple[str, str]]:
    """Versions and settings in force, as each backend's first ok launch read them back."""
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
