"""The columns of a report's tables. Each is one entry in COLUMNS: its heading, its cell, and the tables that have it.

The value comes from the analysis: a row has the columns of cases.csv, comparisons.csv or targets.csv by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bench.analysis.frames import INTERVAL_LEVEL
from bench.contract.case import TRACKS, stem, title
from bench.report.text import NOTHING, difference, missing, number, significant, waiting_share, with_interval
from bench.report.view import Facets, Row, Table

Cell = Callable[[Row], str | None]


class Kind(StrEnum):
    """The tables whose columns stand here, by what a row is."""

    TRAINING = "training"  # a case of training, in the table of its place
    CASES = "cases"  # any case, in one table of all
    PREDICT = "predict"  # a case of inference
    TRACKS = "tracks"  # a backend: its case of each track, the ratios between them
    TARGETS = "targets"  # a case with held-out samples
    INPUTS = "inputs"  # an input: the case of each backend
    BATCH_SIZES = "batch sizes"  # a batch size: the case of each backend
    TWO_RUNS = "two runs"  # a case that two runs have
    HISTORY = "history"  # a case of all runs: the last of them


@dataclass(frozen=True)
class Column:
    """A column of some tables.

    `heading` may hold {interval}, {reference}, {metric}, {level}, {native_level} and, in a table with the case of each
    backend, {backend}. `cell` makes text of a row, None where it has no such value. An `optional` column is left out of
    a table in which no row has one.
    """

    heading: str
    cell: Cell
    tables: tuple[Kind, ...]
    optional: bool = False


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
    """A table of the columns that COLUMNS has for its kind.

    `names` are columns that come first and name a row, beside those of COLUMNS. With `backends` the columns are
    repeated for each, and a row holds a case, or None, under each backend's name. `words` fill the headings.
    """
    chosen = [column for column in COLUMNS if kind in column.tables]
    if backends is not None:
        chosen = [_of_backend(column, backend) for backend in backends for column in chosen]
    headings, cells = [], []
    for column in (*names, *chosen):
        texts = [column.cell(row) for row in rows]
        if not column.optional or any(text is not None for text in texts):
            headings.append(column.heading.format_map({"interval": f"{INTERVAL_LEVEL:.0%}", **words}))
            cells.append([NOTHING if text is None else text for text in texts])
    turned = [list(row) for row in zip(*cells, strict=True)]
    return Table(title, headings, turned, list(notes), len(names) or 1, facets, kind)


def _of_backend(column: Column, backend: str) -> Column:
    """The column for one backend's case of each row."""

    def cell(row: Row) -> str | None:
        return column.cell(row[backend]) if row.get(backend) else None

    name = backend.replace("{", "{{").replace("}", "}}")  # which a run's file says, and is no word to fill in
    return Column(column.heading.replace("{backend}", name), cell, column.tables, column.optional)


def case_column(name: str) -> Column:
    """A column of a case itself, which names a row."""
    return Column(name.replace("_", " "), lambda row: stem(row[name]) if name == "workload" else str(row[name]), ())


def called(case: Row) -> str:
    """The backend, and which of its functions a case of inference calls."""
    functions = {"fit": "model.predict", "loop": "compiled call", "native": "exported"}
    return f"{case['backend']}, {functions[case['track']]}"


def _plain(name: str) -> Cell:
    return lambda row: None if row.get(name) is None else str(row[name])


def _significant(name: str, factor: float = 1) -> Cell:
    return lambda row: None if missing(row.get(name)) else significant(factor * row[name])


def _with_interval(name: str, factor: float = 1) -> Cell:
    def cell(row: Row) -> str | None:
        if missing(row.get(name)):
            return None
        return with_interval(*(factor * row[key] for key in (name, f"{name}_low", f"{name}_high")))

    return cell


def _rounded(name: str, digits: int) -> Cell:
    return lambda row: None if missing(row.get(name)) else number(row[name], digits)


def _speed(row: Row) -> str | None:
    speed = row["samples_per_second"]
    return None if missing(speed) else f"{speed:,.0f}"


def _rate(row: Row) -> str | None:
    """Floating-point operations per second, in parentheses the share of what the machine reaches at best."""
    if missing(row["flops_per_second"]):
        return None
    share = "" if missing(row["ceiling_share"]) else f" ({row['ceiling_share']:.0%})"
    return f"{significant(row['flops_per_second'] / 1e9)}{share}"


def _metric(row: Row) -> str | None:
    """The metric on the test set, and whether it reaches the target."""
    value, target = row["test_metric"], row["target"]
    if missing(value):
        return None
    text = number(value, 4)
    if target["value"] is None:
        return text
    if not row["attempted"]:
        return f"{text} *"
    reached = value <= target["value"] if target.get("lower_is_better") else value >= target["value"]
    return f"{text} ✓" if reached else f"{text} ✗"


def _seconds_to_target(row: Row) -> str | None:
    return "missed" if row["reached"] < row["launches"] else _with_interval("seconds_to_target")(row)


def _track(name: str) -> Cell:
    """Seconds and memory of a track's case; a row holds it under the track's name."""

    def cell(row: Row) -> str | None:
        case = row.get(name)
        if case is None:
            return None
        seconds = _with_interval("epoch_seconds")(case)
        return NOTHING if seconds is None else f"{seconds}, {number(case['peak_host_mib'], 0)}"

    return cell


def _track_ratio(track: str, against: str) -> Cell:
    """The ratio of two tracks; a row holds the comparison under both."""

    def cell(row: Row) -> str | None:
        compared = row.get((track, against))
        return None if compared is None else _with_interval("ratio")(compared) or NOTHING

    return cell


COLUMNS = (
    Column("backend", _plain("backend"), (Kind.TRAINING, Kind.TARGETS, Kind.TRACKS)),
    Column("backend, what is called", called, (Kind.PREDICT,)),
    Column("case", title, (Kind.TWO_RUNS, Kind.HISTORY)),
    Column("samples", _plain("samples"), (Kind.HISTORY,)),
    Column("epochs", _plain("epochs"), (Kind.HISTORY,)),
    Column("runs", _plain("runs"), (Kind.HISTORY,)),
    Column("status", _plain("status"), (Kind.CASES,)),
    # Seconds of an epoch, of a call, until the target.
    Column("s/epoch [{interval}]", _with_interval("epoch_seconds"), (Kind.TRAINING,)),
    Column("s/epoch or call [{interval}]", _with_interval("epoch_seconds"), (Kind.CASES,)),
    Column("ms a call [{interval}]", _with_interval("epoch_seconds", 1000), (Kind.PREDICT,)),
    Column("last s/epoch [{interval}]", _with_interval("epoch_seconds"), (Kind.HISTORY,)),
    Column("{backend} s/epoch [{interval}]", _with_interval("epoch_seconds"), (Kind.INPUTS,)),
    Column("median s", _significant("p50_seconds"), (Kind.TRAINING, Kind.CASES)),
    Column("reached by", lambda row: f"{row['reached']} of {row['launches']} launches", (Kind.TARGETS,)),
    Column("epochs", _rounded("epochs_to_target", 1), (Kind.TARGETS,)),
    Column("seconds [{interval}]", _seconds_to_target, (Kind.TARGETS,)),
    # Each track of a backend, and what Keras costs, what `fit` leaves on the table, what is left of it.
    *(Column(track, _track(track), (Kind.TRACKS,), optional=True) for track in TRACKS),
    Column("Keras overhead (fit / native)", _track_ratio("fit", "track=native"), (Kind.TRACKS,), optional=True),
    Column("left on the table (fit / tuned)", _track_ratio("fit", "track=tuned"), (Kind.TRACKS,), optional=True),
    Column("tuned / native", _track_ratio("tuned", "track=native"), (Kind.TRACKS,), optional=True),
    Column("loop / native", _track_ratio("loop", "track=native"), (Kind.TRACKS,), optional=True),
    # How the times compare.
    Column(
        "ratio to {reference}{level}",
        _with_interval("ratio"),
        (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.TARGETS),
    ),
    Column("ratio{level}", _with_interval("ratio"), (Kind.TWO_RUNS,)),
    Column("last ratio", _with_interval("ratio"), (Kind.HISTORY,)),
    Column("waiting for input{level}", waiting_share, (Kind.INPUTS,)),
    Column("verdict", _plain("verdict"), (Kind.TRAINING, Kind.CASES, Kind.PREDICT, Kind.TWO_RUNS)),
    Column("ratio to exported{native_level}", _with_interval("native_ratio"), (Kind.PREDICT,)),
    Column("noise floor", _significant("noise_floor"), (Kind.TRAINING, Kind.CASES, Kind.TWO_RUNS)),
    Column("test {metric}", _metric, (Kind.TRAINING, Kind.CASES)),
    Column("metric difference", difference, (Kind.TWO_RUNS,)),
    Column("metric", _plain("metric_verdict"), (Kind.TWO_RUNS,)),
    # Latency, speed, what comes before the steady part, memory.
    Column("p50 ms", _significant("p50_seconds", 1000), (Kind.PREDICT,)),
    Column("p90 ms", _significant("p90_seconds", 1000), (Kind.PREDICT,)),
    Column("p99 ms", _significant("p99_seconds", 1000), (Kind.PREDICT,)),
    Column("samples/s", _speed, (Kind.TRAINING, Kind.CASES, Kind.PREDICT)),
    Column("{backend}", _speed, (Kind.BATCH_SIZES,)),
    Column("GFLOP/s", _rate, (Kind.TRAINING, Kind.CASES)),
    Column("cold epoch s", _significant("cold_epoch_seconds"), (Kind.TRAINING,)),
    Column("cold s", _significant("cold_epoch_seconds"), (Kind.CASES,)),
    Column("first call s", _significant("cold_epoch_seconds"), (Kind.PREDICT,)),
    Column("setup s", _significant("setup_seconds"), (Kind.TRAINING, Kind.CASES, Kind.PREDICT)),
    Column("peak MiB", _rounded("peak_host_mib", 0), (Kind.TRAINING, Kind.CASES, Kind.PREDICT)),
    Column(
        "{metric} difference",
        lambda row: f"{difference(row)} {row.get('metric_verdict', '')}".rstrip(),
        (Kind.TRAINING, Kind.CASES),
    ),
    Column("slowest / fastest run", _significant("slowest_by_fastest"), (Kind.HISTORY,)),
    Column("last run", _plain("run"), (Kind.HISTORY,)),
    Column("machine", _plain("machine"), (Kind.HISTORY,)),
)
