"""What a report says of cases: a table of each place of training, with a row per backend, and one of all cases."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis import Analysis
from bench.analysis.frames import CASES
from bench.analysis.parity.compare import Parity
from bench.analysis.parity.recordings import LADDER
from bench.contract.case import devices_in_words, stem, title
from bench.contract.run_json import Target
from bench.report.columns import Kind, case_column, table
from bench.report.rows import case_rows, comparisons
from bench.report.text import disturbances, missing, ratio_level, with_interval
from bench.report.view import Row, Table, facets


def tables(analysis: Analysis) -> list[Table]:
    """A table per workload, device, batch size and track, with a row per backend."""
    key = [name for name in CASES if name != "backend"]
    words, rows = _words(analysis), case_rows(analysis, "backend")
    places = analysis.cases[analysis.cases["task"].eq("train")].groupby(key, sort=False)
    return [_place([rows[number] for number in place.index], words) for _, place in places]


def _place(rows: list[Row], words: dict[str, str]) -> Table:
    """The table of one place: cases that differ in their backend alone."""
    first = rows[0]
    notes = [_target_note(first["target"], first["attempted"])]
    notes += [f"{row['backend']}: {row['status']}, {row['reason']}" for row in rows if row["status"] != "ok"]
    return table(
        Kind.TRAINING,
        _title(first),
        rows,
        notes=[*notes, *(note for row in rows for note in _noise_notes(row))],
        facets=[facets(row) for row in rows],
        words={**words, "metric": first["target"].metric},
    )


def brief(analysis: Analysis) -> list[Table]:
    """The same places in a few columns: how long, how sure, and whether it is the same computation."""
    words, rows = _words(analysis), case_rows(analysis, "backend")
    training = analysis.cases[analysis.cases["task"].eq("train")]
    tables = []
    for _, place in training.groupby([name for name in CASES if name != "backend"], sort=False):
        here = [{**rows[number], "parity": _parity(rows[number], analysis.parity)} for number in place.index]
        target = here[0]["target"]
        marks = [] if target.value is None else [f"target {target.value:g}: ✓ reached, ✗ missed, * not attempted"]
        notes = marks + [f"{row['backend']}: {row['status']}, {row['reason']}" for row in here if row["status"] != "ok"]
        tables.append(table(Kind.BRIEF, _title(here[0]), here, notes=notes, words={**words, "metric": target.metric}))
    return tables


def _parity(row: Row, parity: Parity | None) -> str | None:
    """What exact mode says of a backend's training with fit, in a word."""
    if parity is None or row.get("device_count", 1) > 1:  # which has a table of its own
        return None
    climbed = parity.exact[parity.exact["track"].eq("fit") & parity.exact["workload"].eq(row["workload"])]
    mine = climbed[climbed["backend"].eq(row["backend"]) & climbed["device"].eq(row["device"])]
    mine = mine[mine["variant"].isin(["", row["variant"]])]
    if mine.empty:
        return None
    failed = mine[mine["passed"].eq(False)]
    if len(failed):
        known = all(tuple(ladder) in parity.known for ladder in failed[LADDER].itertuples(index=False))
        return "inaccurate" if known else "parts"
    proved = {(*ladder[:3], ladder[-1]) for ladder in parity.proved}
    here = row["workload"], row["backend"], row["device"]
    return "proved" if {(*here, ""), (*here, row["variant"])} & proved else None


def _title(first: Row) -> str:
    return (
        f"{stem(first['workload'])} on {first['device']}: {first['samples']:,} samples, "
        f"{first['epochs']} epochs, batch {first['batch_size']}, {first['numerics']}, track {first['track']}"
        + ("" if first["input"] == "arrays" else f", input {first['input']}")
        + (f", {devices_in_words(first['device_count'])}" if first["device_count"] > 1 else "")
        + (f", {first['variant']}" if first["variant"] else "")
    )


def overview(analysis: Analysis) -> Iterator[Table]:
    """Every case in one table, to be sorted and filtered: what all have in common stands in its heading."""
    cases = analysis.cases
    if cases.empty:
        return
    shown = [name for name in CASES if name in ("workload", "backend") or cases[name].nunique() > 1]
    common = ", ".join(f"{name} {cases[name].iloc[0]}" for name in CASES if name not in shown)
    rows = case_rows(analysis, "backend")
    notes = [f"{title(row)}: {row['status']}, {row['reason']}" for row in rows if row["status"] != "ok"]
    notes += [f"{title(row)}: {note}" for row in rows for note in _noise_notes(row)]
    notes.append("✓ the target was reached, ✗ it was missed, * not attempted: samples or epochs were cut")
    yield table(
        Kind.CASES,
        f"All cases: {common}" if common else "All cases",
        rows,
        notes=notes,
        facets=[facets(row) for row in rows],
        names=[case_column(name) for name in shown],
        words={**_words(analysis), "metric": "metric"},
    )


def _words(analysis: Analysis) -> dict[str, str]:
    """The words that fill the headings of both kinds of tables."""
    level = ratio_level(comparisons(analysis, "backend"), "backend")
    return {"reference": analysis.run.description.reference, "level": level}


def _noise_notes(case: Row) -> Iterator[str]:
    """What a reader has to know of a case's launches: disturbed ones, and epochs that had not settled."""
    if not missing(case["epochs_used"]) and case["epochs_used"] < case["epochs"]:
        yield f"{case['backend']}: stopped early, after {case['epochs_used']:.1f} of {case['epochs']} epochs (mean)"
    if not missing(case["span_epochs"]) and case["span_epochs"] > 1:
        together = f"{case['span_epochs']:.0f} of them are timed as one"
        yield f"{case['backend']}: its epochs are so short that up to {together}"
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
