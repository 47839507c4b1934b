"""What a report says of several devices: throughput and efficiency over their number, and whether all is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.analysis.parity.compare import Parity
from bench.analysis.parity.devices import ALIKE, EQUAL, EXCUSED, UNFINISHED
from bench.contract.case import case_key, devices_in_words, stem
from bench.report.columns import Kind, case_column, table
from bench.report.rows import case_rows, comparisons, resolved_of
from bench.report.text import missing, ratio_level, with_interval
from bench.report.view import Row, Sentence, Table, facets

PLACE = [name for name in CASES if name not in ("backend", "device_count", "batch_size")]
SAID = {
    EQUAL: "compute what 1 does, in exact mode",
    ALIKE: "compute something else than 1 in a known way, and alike",
    EXCUSED: "compute something else than 1 in a known way, and nothing is proved",
    UNFINISHED: "were not climbed to the end",
}
FAKES = (
    "the devices of a CPU are fakes that share its cores: they show whether the result is the same, and say nothing "
    "about speed"
)


def tables(analysis: Analysis) -> list[Table]:
    """A table for each place in which cases were trained on several devices, the backends one after the other."""
    rows = case_rows(analysis, "devices")
    places = analysis.cases.groupby(PLACE, sort=False)
    groups = [[rows[number] for number in place.index] for _, place in places]
    return [_table(group, analysis) for group in groups if any(row["device_count"] > 1 for row in group)]


def _table(place: Sequence[Row], analysis: Analysis) -> Table:
    order = list(dict.fromkeys(row["backend"] for row in place))
    rows = sorted(place, key=lambda row: (order.index(row["backend"]), row["device_count"], row["batch_size"]))
    first, level = rows[0], ratio_level(comparisons(analysis, "devices"), "devices")
    shared = [{**row, **efficiency(row), "parity": _parity(row, analysis.parity)} for row in rows]
    batches = len({row["batch_size"] for row in rows}) > 1
    return table(
        Kind.DEVICES,
        f"Devices: {stem(first['workload'])} on {first['device']}, {first['numerics']}, track {first['track']}"
        + ("" if batches else f", batch {first['batch_size']} shared by all")
        + (f", {first['variant']}" if first["variant"] else ""),
        shared,
        notes=list(_notes(rows, analysis)),
        facets=[facets(row) for row in rows],
        names=[case_column(name) for name in ("backend", "device_count", *(["batch_size"] if batches else []))],
        words={"level": level, "metric": first["target"].metric},
    )


def efficiency(row: Row) -> dict[str, float]:
    """Throughput of N devices over N times that of one, with its interval; nothing where times were not compared."""
    if missing(row.get("ratio")):
        return {}
    times = row["device_count"] / int(str(row["against"]).partition("=")[2])
    ends = {"efficiency": "ratio", "efficiency_low": "ratio_high", "efficiency_high": "ratio_low"}
    return {name: 1 / (times * row[of]) if row[of] else float("inf") for name, of in ends.items()}


def verdicts(analysis: Analysis) -> Iterator[Sentence]:
    """For each place how efficient several devices are, on each backend; of a CPU's that nobody can say so."""
    places: dict[tuple[Any, ...], list[Row]] = {}
    for row in comparisons(analysis, "devices"):
        places.setdefault((*(row[name] for name in PLACE), row["device_count"], row["against"]), []).append(row)
    for rows in places.values():
        first = rows[0]
        variant = f", {first['variant']}" if first["variant"] else ""
        where = f"{stem(first['workload'])} on {first['device']}{variant}"
        words = devices_in_words(first["device_count"])
        if first["device"] == "cpu":
            yield Sentence(f"{where}, {words}: {FAKES}.", facets(first, "workload", "device"))
            continue
        few = devices_in_words(int(first["against"].partition("=")[2]))
        said = ", ".join(f"{with_interval(*efficiency(row).values())} on {row['backend']}" for row in rows)
        yield Sentence(
            f"{where}: the efficiency of {words} against {few} (throughput, as a share of so many times as much) is "
            f"{said}.",
            facets(first, "workload", "device"),
        )


def proved(parity: Parity | None) -> Iterator[Sentence]:
    """For each workload and backend, on how many devices the same is computed as on one."""
    if parity is None:
        return
    found: dict[tuple[str, str, str], list[str]] = {}
    for (workload, backend, device, variant, count), outcome in parity.on_several.items():
        words = SAID.get(outcome, outcome.replace("parts at", "part from 1 device at"))
        ladder = f"{backend} on {count}" + (f" with {variant}" if variant else "")
        found.setdefault((workload, device, words), []).append(ladder)
    for (workload, device, words), who in found.items():
        of = {"workload": stem(workload), "device": device}
        yield Sentence(f"{stem(workload)} on {device}, several devices {words}: {', '.join(who)}.", of)


def _parity(row: Row, parity: Parity | None) -> str | None:
    """How a ladder on so many devices ended."""
    if parity is None:
        return None
    ladder = row["workload"], row["backend"], row["device"]
    return next(
        (
            outcome
            for place, outcome in parity.on_several.items()
            if place[:3] == ladder and place[3] in ("", row["variant"]) and place[4] == row["device_count"]
        ),
        None,
    )


def _notes(rows: Sequence[Row], analysis: Analysis) -> Iterator[str]:
    """What has to be known of a place: fakes, what makes rows unlike, who holds what, and what nobody measured."""
    if rows[0]["device"] == "cpu":
        yield FAKES
    for row in rows:
        if row["status"] != "ok":
            yield f"{row['backend']}, {devices_in_words(row['device_count'])}: {row['status']}, {row['reason']}"
    resolved = resolved_of(analysis)
    for row in rows:
        here = resolved.get(case_key(row), {})
        who = f"{row['backend']}, {devices_in_words(row['device_count'])}"
        one = next((other for other in rows if other["backend"] == row["backend"]), row)
        before = resolved.get(case_key(one), {}).get("jit_compile")
        if here and before is not None and here.get("jit_compile") != before:
            fewest = devices_in_words(one["device_count"])
            yield (
                f"{who}: jit_compile is {here.get('jit_compile')}, on {fewest} it is {before}: the two are unlike in "
                "more than their devices"
            )
        if here.get("devices"):
            by = f"; gradients averaged by {here['averaged_by']}" if here.get("averaged_by") else ""
            held = ", ".join(map(str, here["devices"]))
            yield f"{who}: each holds the weights and had its share of a batch: {held}{by}"
        if here.get("unlike"):
            yield f"{who}: the devices disagree on {', '.join(map(str, here['unlike']))}; the metric is the first one's"
    several = [row for row in rows if row["device_count"] > 1 and row["status"] == "ok"]
    unknown = [row["backend"] for row in several if missing(row["exchange_share"])]
    if unknown:
        yield (
            f"exchange of gradients: not measured on {' and '.join(dict.fromkeys(unknown))}, where it does not stand "
            "apart from computing them"
        )
    if several:
        yield (
            "input: what bringing an epoch's batches to the devices takes by itself, as a share of an epoch; in a "
            "training some of it overlaps with computing. Exchange: of fit, waiting for the slowest device included"
        )
