"""What stands in the cells of a report's tables: functions from a row of the analysis to text, None for no value."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from bench.report.text import NOTHING, missing, number, significant, with_interval
from bench.report.view import Row

Cell = Callable[[Row], str | None]
LONGEST_NAME = 24  # characters of an operation's name


def plain(name: str) -> Cell:
    """A word or a whole number as it is."""
    return lambda row: None if row.get(name) is None else str(row[name])


def formatted(name: str, form: str, before: str = "") -> Cell:
    """A number by a format specification, also one that is not finite; `before` stands in front of it."""
    return lambda row: f"{before}{row[name]:{form}}" if name in row else None


def rounded(name: str, digits: int) -> Cell:
    """A number with so many digits after the point."""
    return lambda row: None if missing(row.get(name)) else number(row[name], digits)


def three_digits(name: str, factor: float = 1) -> Cell:
    """Three significant digits of a number times `factor`."""
    return lambda row: None if missing(row.get(name)) else significant(factor * row[name])


def share(name: str) -> Cell:
    """A fraction in percent."""
    return lambda row: None if missing(row.get(name)) else f"{row[name]:.1%}"


def if_any(name: str) -> Cell:
    """Three significant digits of a number above 0."""
    return lambda row: significant(row[name]) if not missing(row.get(name)) and row[name] > 0 else None


def interval(name: str, factor: float = 1) -> Cell:
    """A number times `factor` with its interval, whose limits end in `_low` and `_high`."""

    def cell(row: Row) -> str | None:
        if missing(row.get(name)):
            return None
        return with_interval(*(factor * row[key] for key in (name, f"{name}_low", f"{name}_high")))

    return cell


def called(case: Row) -> str:
    """The backend, and which of its functions a case of inference or generation calls."""
    functions = {
        "fit": "model.predict",
        "on_batch": "predict_on_batch",
        "call": "model(x)",
        "own": "generate()",
        "loop": "compiled call",
        "native": "exported",
    }
    return f"{case['backend']}, {functions[case['track']]}"


def part(row: Row) -> str | None:
    """The milliseconds of a part of a step, in parentheses its share of the step."""
    if missing(row["seconds"]):
        return None
    share = "" if missing(row["share"]) else f" ({row['share']:.0%})"
    return f"{1e3 * row['seconds']:.3g}{share}"


def operations(row: Row) -> str | None:
    """The milliseconds of a layer's operations, their share of all, and the name of the dearest."""
    name = str(row["operation"]).removeprefix("aten::").removeprefix("_Mkl")
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return f"{part(row)} {short}".rstrip()


def memory(row: Row) -> str | None:
    """The milliseconds of a call, where it is one, and whether memory grows, in MiB."""
    took = "" if missing(row["seconds"]) else f"{1e3 * row['seconds']:.3g} ms, "
    grown = f" by {row['mib']:.2g} MiB" if row["verdict"] == "grows" else ""
    return f"{took}{row['verdict']}{grown}"


def samples_per_second(case: Row) -> str | None:
    """Samples per second in whole numbers."""
    speed = case["samples_per_second"]
    return None if missing(speed) else f"{speed:,.0f}"


def rate(case: Row) -> str | None:
    """GFLOP/s, in parentheses the share of the machine's fastest matrix product."""
    if missing(case["flops_per_second"]):
        return None
    share = "" if missing(case["ceiling_share"]) else f" ({case['ceiling_share']:.0%})"
    if share and case["ceiling_share"] > 1:
        share = " (above it)"  # a convolution may take fewer operations than are counted
    return f"{significant(case['flops_per_second'] / 1e9)}{share}"


def test_metric(case: Row) -> str | None:
    """The metric on the test set, and whether it reaches the target."""
    value, target = case["test_metric"], case["target"]
    if missing(value):
        return None
    text = number(value, 4)
    if target.value is None:
        return text
    if not case["attempted"]:
        return f"{text} *"
    reached = value <= target.value if target.lower_is_better else value >= target.value
    return f"{text} ✓" if reached else f"{text} ✗"


def seconds_to_target(case: Row) -> str | None:
    """Seconds with their interval; a case one of whose launches missed the target has none."""
    return "missed" if case["reached"] < case["launches"] else interval("seconds_to_target")(case)


def track_seconds(name: str) -> Cell:
    """Seconds and memory of a track's case, which a row holds under the track's name."""

    def cell(row: Row) -> str | None:
        case = row.get(name)
        if case is None:
            return None
        seconds = interval("epoch_seconds")(case)
        return NOTHING if seconds is None else f"{seconds}, {number(case['peak_host_mib'], 0)}"

    return cell


def track_ratio(track: str, against: str) -> Cell:
    """The ratio of two tracks, whose comparison a row holds under both names."""

    def cell(row: Row) -> str | None:
        comparison = row.get((track, against))
        return None if comparison is None else interval("ratio")(comparison) or NOTHING

    return cell


def ladder_track(ladder: Row) -> str:
    """A ladder's track, and its optimizer where that is not the workload's own."""
    return str(ladder["track"]) + ("" if ladder["optimizer"] == "own" else f", {ladder['optimizer']}")


def ladder_metric(ladder: Row) -> str | None:
    """The metric of the first seed, and whether it is the reference's to the last digit, for every seed."""
    if "metric_value" not in ladder:
        return None
    return f"{ladder['metric_value']:.4f} " + (
        "equal" if ladder["metric_equal"] else f"not {ladder['metric_golden']:.4f}"
    )


def accuracy(name: str) -> Cell:
    """An error in units of rounding."""
    return lambda row: None if row.get(name) is None or pd.isna(row[name]) else f"{row[name]:.3g}"
