"""The columns of a report's tables. Each is one entry in COLUMNS: its heading, its cell, and the tables that have it.

The value comes from the analysis: a row has the columns of cases.csv, comparisons.csv or targets.csv by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bench.analysis.frames import INTERVAL_LEVEL
from bench.contract.case import TRAINING_TRACKS, stem, title
from bench.report import cells
from bench.report.cells import Cell
from bench.report.text import NOTHING, difference, waiting_share
from bench.report.view import Facets, Row, Table

LADDER_ERRORS = ("outputs", "gradients", "losses", "all steps", "predictions")  # rungs of exact mode that are shown


class Kind(StrEnum):
    """The tables whose columns stand here, by what a row is."""

    TRAINING = "training"  # a case of training, in the table of its place
    BRIEF = "brief"  # the same in a few columns, which fit a terminal
    CASES = "cases"  # any case, in one table of all
    PREDICT = "predict"  # a case of inference
    GENERATE = "generate"  # a case of generation
    TRACKS = "tracks"  # a backend: its case of each track, the ratios between them
    EXPLAIN = "explain"  # a part of a step: what it takes on each backend
    OPERATIONS = "operations"  # a layer and phase: what its operations take on each backend
    LAYERS = "layers"  # the same in a few words, which fit a terminal
    MEMORY = "memory"  # an epoch or calls in a row: what memory does over them on each backend
    TARGETS = "targets"  # a case with held-out samples
    INPUTS = "inputs"  # an input: the case of each backend
    DEVICES = "devices"  # a case on a number of devices, against the fewest
    VARIANTS = "variants"  # a case of a variant, against the first one
    BATCH_SIZES = "batch sizes"  # a batch size: the case of each backend
    NODES = "nodes"  # a node of a cluster: its ratio of each comparison
    TWO_RUNS = "two runs"  # a case that two runs have
    HISTORY = "history"  # a case of all runs: its last one
    RUNS = "runs"  # a run
    EXACT = "exact"  # a ladder of parity in exact mode
    ROUNDED = "rounded"  # a ladder of parity in other numerics
    ITSELF = "itself"  # a case that a calibration held against itself
    STRETCHES = "stretches"  # a case along a calibration's recording
    CANDIDATES = "candidates"  # a value of a launch and an interval, as a calibration tried them


@dataclass(frozen=True)
class Column:
    """A column of some tables.

    `heading` may hold {interval}, {reference}, {metric}, {level}, {native_level} and, in a table with the case of each
    backend, {backend}. `cell` makes text of a row, None where it has no such value. An `optional` column is left out of
    a table in which no row has one. The columns that tell a row from the others are its `name`, and stand first.
    """

    heading: str
    cell: Cell
    tables: tuple[Kind, ...]
    optional: bool = False
    name: bool = False


def table(
    kind: Kind,
    title: str,
    rows: Sequence[Row],
    *,
    notes: Sequence[str] = (),
    facets: Sequence[Facets] = (),
    names: Sequence[Column] = (),
    backends: Sequence[str] | None = None,
    words: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """A table of the columns that COLUMNS has for its kind, after `names`, those that follow from what a run varies.

    With `backends` the columns are repeated for each, and a row holds a case, or None, under each backend's name.
    `words` fill the headings.
    """
    chosen = [column for column in COLUMNS if kind in column.tables]
    if backends is not None:
        chosen = [_of_backend(column, backend) for backend in backends for column in chosen]
    shown = [(column, [column.cell(row) for row in rows]) for column in (*names, *chosen)]
    shown = [
        (column, texts) for column, texts in shown if not column.optional or any(text is not None for text in texts)
    ]
    filled = {"interval": f"{INTERVAL_LEVEL:.0%}", **words}
    return Table(
        title,
        [column.heading.format_map(filled) for column, _ in shown],
        [
            [NOTHING if text is None else text for text in row]
            for row in zip(*(texts for _, texts in shown), strict=True)
        ],
        list(notes),
        sum(column.name for column, _ in shown),
        facets,
        kind,
    )


def _of_backend(column: Column, backend: str) -> Column:
    """The column for one backend's case of each row."""

    def cell(row: Row) -> str | None:
        return column.cell(row[backend]) if row.get(backend) else None

    name = backend.replace("{", "{{").replace("}", "}}")  # which a run's file says, and is no word to fill in
    return Column(column.heading.replace("{backend}", name), cell, column.tables, column.optional)


def case_column(name: str) -> Column:
    """A column of a case itself, which names a row."""
    return Column(name.replace("_", " "), _workload if name == "workload" else cells.plain(name), (), name=True)


def _workload(row: Row) -> str:
    return stem(row["workload"])


COLUMNS = (
    Column("backend", cells.plain("backend"), (Kind.TRAINING, Kind.BRIEF, Kind.TARGETS, Kind.TRACKS), name=True),
    Column("backend, what is called", cells.called, (Kind.PREDICT, Kind.GENERATE), name=True),
    Column("case", title, (Kind.TWO_RUNS, Kind.HISTORY), name=True),
    Column("samples", cells.plain("samples"), (Kind.HISTORY,)),
    Column("epochs", cells.plain("epochs"), (Kind.HISTORY,)),
    Column("runs", cells.plain("runs"), (Kind.HISTORY,)),
    Column("status", cells.plain("status"), (Kind.CASES,)),
    # Seconds of an epoch, of a call, until the target.
    Column("s/epoch [{interval}]", cells.interval("epoch_seconds"), (Kind.TRAINING, Kind.DEVICES)),
    Column("seconds [{interval}]", cells.interval("epoch_seconds"), (Kind.VARIANTS,)),
    Column("s/epoch", cells.three_digits("epoch_seconds"), (Kind.BRIEF,)),
    Column("s/epoch or call [{interval}]", cells.interval("epoch_seconds"), (Kind.CASES,)),
    Column("ms a call [{interval}]", cells.interval("epoch_seconds", 1000), (Kind.PREDICT,)),
    Column("ms a token [{interval}]", cells.interval("epoch_seconds", 1000), (Kind.GENERATE,)),
    Column("last s/epoch [{interval}]", cells.interval("epoch_seconds"), (Kind.HISTORY,)),
    Column("{backend} s/epoch [{interval}]", cells.interval("epoch_seconds"), (Kind.INPUTS,)),
    Column("median s", cells.three_digits("p50_seconds"), (Kind.TRAINING, Kind.CASES)),
    Column("reached by", lambda row: f"{row['reached']} of {row['launches']} launches", (Kind.TARGETS,)),
    Column("epochs", cells.rounded("epochs_to_target", 1), (Kind.TARGETS,)),
    Column("seconds [{interval}]", cells.seconds_to_target, (Kind.TARGETS,)),
    # Each track of a backend, and what Keras costs, what `fit` leaves on the table, what is left of it.
    *(Column(track, cells.track_seconds(track), (Kind.TRACKS,), optional=True) for track in TRAINING_TRACKS),
    Column("Keras overhead (fit / native)", cells.track_ratio("fit", "track=native"), (Kind.TRACKS,), optional=True),
    Column("left on the table (fit / tuned)", cells.track_ratio("fit", "track=tuned"), (Kind.TRACKS,), optional=True),
    Column("tuned / native", cells.track_ratio("tuned", "track=native"), (Kind.TRACKS,), optional=True),
    Column("loop / native", cells.track_ratio("loop", "track=native"), (Kind.TRACKS,), optional=True),
    # How the times compare.
    Column(
        "ratio to {reference}{level}",
        cells.interval("ratio"),
        (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.GENERATE, Kind.TARGETS, Kind.VARIANTS),
    ),
    Column("ratio to {reference}", cells.interval("ratio"), (Kind.BRIEF,), optional=True),
    Column("ratio{level}", cells.interval("ratio"), (Kind.TWO_RUNS,)),
    Column("{backend}", cells.interval("ratio"), (Kind.NODES,)),
    Column("last ratio", cells.interval("ratio"), (Kind.HISTORY,)),
    Column("waiting for input{level}", waiting_share, (Kind.INPUTS,)),
    Column(
        "verdict",
        cells.plain("verdict"),
        (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.GENERATE, Kind.TWO_RUNS, Kind.VARIANTS),
    ),
    Column("ratio to exported{native_level}", cells.interval("native_ratio"), (Kind.PREDICT,)),
    Column("ratio to generate(){own_level}", cells.interval("own_ratio"), (Kind.GENERATE,), optional=True),
    Column("verdict", cells.plain("verdict"), (Kind.BRIEF,), optional=True),
    Column("noise floor", cells.three_digits("noise_floor"), (Kind.TRAINING, Kind.CASES, Kind.TWO_RUNS)),
    Column("test {metric}", cells.test_metric, (Kind.TRAINING, Kind.CASES)),
    Column("efficiency{level}", cells.interval("efficiency"), (Kind.DEVICES,), optional=True),
    Column("{metric}", cells.test_metric, (Kind.BRIEF, Kind.VARIANTS, Kind.DEVICES)),
    Column("parity", lambda row: row["parity"], (Kind.BRIEF,), optional=True),
    Column("against 1 in exact mode", lambda row: row["parity"], (Kind.DEVICES,), optional=True),
    Column("exchange", cells.share("exchange_share"), (Kind.DEVICES,), optional=True),
    Column("input", cells.share("input_share"), (Kind.DEVICES,), optional=True),
    Column("metric difference", difference, (Kind.TWO_RUNS,)),
    Column("metric", cells.plain("metric_verdict"), (Kind.TWO_RUNS,)),
    # Latency, speed, what comes before the steady part, memory.
    Column("p50 ms", cells.three_digits("p50_seconds", 1000), (Kind.PREDICT, Kind.GENERATE)),
    Column("p90 ms", cells.three_digits("p90_seconds", 1000), (Kind.PREDICT, Kind.GENERATE)),
    Column("p99 ms", cells.three_digits("p99_seconds", 1000), (Kind.PREDICT,)),
    Column("samples/s", cells.samples_per_second, (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.DEVICES)),
    Column("tokens/s", cells.three_digits("samples_per_second"), (Kind.GENERATE,)),
    Column("first token ms", cells.three_digits("first_token_seconds", 1000), (Kind.GENERATE,)),
    Column("{backend}", cells.samples_per_second, (Kind.BATCH_SIZES,)),
    Column("{backend}", cells.part, (Kind.EXPLAIN, Kind.LAYERS)),
    Column("{backend}", cells.operations, (Kind.OPERATIONS,)),
    Column("{backend}", cells.memory, (Kind.MEMORY,)),
    Column("GFLOP/s", cells.rate, (Kind.TRAINING, Kind.CASES)),
    Column("callbacks s/epoch", cells.if_any("callback_seconds"), (Kind.TRAINING, Kind.CASES), optional=True),
    Column("cold epoch s", cells.three_digits("cold_epoch_seconds"), (Kind.TRAINING,)),
    Column("cold s", cells.three_digits("cold_epoch_seconds"), (Kind.CASES,)),
    Column("first call s", cells.three_digits("cold_epoch_seconds"), (Kind.PREDICT, Kind.GENERATE)),
    Column("setup s", cells.three_digits("setup_seconds"), (Kind.TRAINING, Kind.CASES, Kind.PREDICT)),
    Column("peak MiB", cells.rounded("peak_host_mib", 0), (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.GENERATE)),
    Column(
        "{metric} difference",
        lambda row: f"{difference(row)} {row.get('metric_verdict', '')}".rstrip(),
        (Kind.TRAINING, Kind.CASES),
    ),
    Column("slowest / fastest run", cells.three_digits("slowest_by_fastest"), (Kind.HISTORY,)),
    Column("last run", cells.plain("run"), (Kind.HISTORY,)),
    # All runs.
    Column("run", cells.plain("run"), (Kind.RUNS,), name=True),
    Column("started", cells.plain("started"), (Kind.RUNS,)),
    Column("state", cells.plain("state"), (Kind.RUNS,)),
    Column("cases", cells.plain("cases"), (Kind.RUNS,)),
    Column("machine", cells.plain("machine"), (Kind.HISTORY, Kind.RUNS)),
    # Parity: largest errors of a ladder's rungs.
    Column("workload", _workload, (Kind.EXACT, Kind.ROUNDED), name=True),
    Column("backend", lambda row: f"{row['backend']} {row['device']}", (Kind.EXACT, Kind.ROUNDED), name=True),
    Column("track", cells.ladder_track, (Kind.EXACT,), name=True),
    Column("numerics", cells.plain("numerics"), (Kind.ROUNDED,), name=True),
    Column("parity", cells.plain("parity"), (Kind.EXACT,)),
    *(Column(rung, cells.formatted(rung, ".0e"), (Kind.EXACT,)) for rung in LADDER_ERRORS),
    Column("classes that differ", cells.formatted("classes", ".0f"), (Kind.EXACT,)),
    Column("test metric", cells.ladder_metric, (Kind.EXACT,)),
    *(
        Column(rung, cells.accuracy(rung), (Kind.ROUNDED,))
        for rung in ("outputs", "gradients", "loss", "losses", "typical")
    ),
    # Calibration: how often verdicts and intervals are right.
    Column("case", lambda row: f"{title(row)} {row['samples']}", (Kind.ITSELF, Kind.STRETCHES), name=True),
    Column("launches a side", cells.plain("launches"), (Kind.ITSELF,)),
    Column("minutes", cells.formatted("minutes", ".1f"), (Kind.ITSELF,)),
    Column("value of a launch", cells.plain("value"), (Kind.CANDIDATES,), name=True),
    Column("interval", cells.plain("interval"), (Kind.CANDIDATES,)),
    Column("spread", cells.formatted("spread", ".3f"), (Kind.CANDIDATES,)),
    Column("paired spread", cells.formatted("paired_spread", ".3f"), (Kind.CANDIDATES,)),
    Column("covers 1", cells.formatted("coverage", ".1%"), (Kind.ITSELF, Kind.CANDIDATES)),
    Column("half width", cells.formatted("half_width", ".1%", "±"), (Kind.ITSELF, Kind.CANDIDATES)),
    Column("false verdicts", cells.formatted("false", ".1%"), (Kind.ITSELF,)),
    Column("equivalent", cells.formatted("equivalent", ".1%"), (Kind.ITSELF,)),
    Column("apart: covers 1", cells.formatted("coverage_apart", ".1%"), (Kind.ITSELF,)),
    Column("apart: false", cells.formatted("false_apart", ".1%"), (Kind.ITSELF,)),
    Column("ratio", cells.three_digits("ratio"), (Kind.STRETCHES,)),
    Column("deviation of logs", cells.formatted("deviation", ".2f"), (Kind.STRETCHES,)),
    Column("autocorrelation", cells.formatted("autocorrelation", ".2f"), (Kind.STRETCHES,)),
    Column("of launches", cells.formatted("autocorrelation_launches", ".2f"), (Kind.STRETCHES,)),
    Column("covers that of the whole", cells.plain("covered"), (Kind.STRETCHES,)),
)
