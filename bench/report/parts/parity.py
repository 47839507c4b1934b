"""What a report says of parity: do the backends agree in exact mode, and whose rounded arithmetic is closest to it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from bench.analysis.parity.compare import Parity
from bench.analysis.parity.distances import RUNGS
from bench.analysis.parity.recordings import LADDER
from bench.analysis.parity.rounded import Crossing
from bench.contract.case import stem
from bench.contract.parity import EXACT, LADDER_BATCH, ROUNDED_STEPS
from bench.report.columns import LADDER_ERRORS, Kind, table
from bench.report.text import missing
from bench.report.view import Cell, Grid, Ladder, Row, Sentence, Table, facets


def tables(parity: Parity | None) -> list[Table]:
    """One table for exact mode, one for the other numerics; none where nothing was climbed."""
    if parity is None:
        return []
    return [*_exact(parity), *_rounded(parity)]


def _exact(parity: Parity) -> Iterator[Table]:
    if parity.exact.empty:
        return
    ladders = list(parity.exact.groupby(LADDER, sort=False))
    reference, seeds = parity.exact["reference"].iloc[0], f", {parity.seeds} seeds" if parity.seeds > 1 else ""
    yield table(
        Kind.EXACT,
        f"Parity with {reference} in exact mode (float64): {parity.steps} steps of batch {LADDER_BATCH}{seeds}",
        [_ladder(rows, key in parity.proved, key in parity.known) for key, rows in ladders],
        notes=[
            "largest relative error of any layer's output, gradient, step's loss, weight after the steps, and "
            "output on the test set; tolerances " + ", ".join(f"{name} {RUNGS[name]:.0e}" for name in LADDER_ERRORS)
        ],
        facets=[facets(rows.iloc[0], "workload", "device", "track") for _, rows in ladders],
    )


def _ladder(rows: pd.DataFrame, proved: bool, known: bool) -> Row:
    """The columns of a ladder, the largest error of each rung under its name, and how it ended."""
    first, metric = rows.iloc[0], rows[rows["rung"].eq("metric")]
    failed = rows[rows["passed"].eq(False)]
    parts = "known inaccuracy" if known else "" if failed.empty else f"parts at {failed.iloc[0]['rung']}"
    verdict = "proved" if proved else parts or "not climbed to the end"
    ladder = {**rows.groupby("rung")["error"].max().to_dict(), **first.to_dict(), "parity": verdict}
    if len(metric):
        values = metric.iloc[0]
        ladder |= {"metric_value": values["value"], "metric_golden": values["reference_value"]}
        ladder["metric_equal"] = bool(metric["passed"].all())
    return ladder


def _rounded(parity: Parity) -> Iterator[Table]:
    rows = parity.accuracies().reset_index().to_dict("records")
    if rows:
        yield table(
            Kind.ROUNDED,
            "Rounded arithmetic against exact mode: largest error in units of its rounding",
            rows,
            notes=[
                f"losses: of the first {min(parity.steps, ROUNDED_STEPS)} steps; typical: geometric mean over "
                "layers and gradients; less is better",
                *_crossed(parity),
            ],
            facets=[facets(row, "workload", "device", "numerics") for row in rows],
        )


def _crossed(parity: Parity) -> Iterator[str]:
    """A sentence for each ladder whose gradients cannot be judged: rounding decided which outputs a relu let pass."""
    ladders: dict[tuple[str, ...], list[Crossing]] = {}
    for crossing in parity.crossings:
        ladders.setdefault((crossing.workload, crossing.backend, crossing.device, crossing.numerics), []).append(
            crossing
        )
    for (workload, backend, device, numerics), crossed in ladders.items():
        first = crossed[0]
        outputs = f"{first.elements} output{'s' if first.elements > 1 else ''} of {first.location}"
        more = "" if len(crossed) == 1 else f", and so on in {len(crossed)} layers and seeds"
        yield (
            f"{stem(workload)}, {backend} {device} {numerics}: {outputs} (seed {first.seed}{more}) fell on the other "
            "side of zero than in exact mode, where gradients and losses jump; such gradients are not in typical"
        )


def grids(parity: Parity | None) -> list[Grid]:
    """A grid for each workload: the largest error of each rung of a ladder, green or red, and where a ladder failed."""
    if parity is None or parity.table.empty:
        return []
    return [_grid(stem(workload), rows, parity) for workload, rows in parity.table.groupby("workload", sort=False)]


def _grid(workload: str, rows: pd.DataFrame, parity: Parity) -> Grid:
    rungs = [rung for rung in RUNGS if rung in set(rows["rung"])]
    ladders, said = [], []
    for key, ladder in rows.groupby(LADDER, sort=False):
        first = ladder.iloc[0]
        name = f"{first['backend']} {first['device']} {first['numerics']} {first['track']}"
        cells = [_cell(ladder[ladder["rung"] == rung]) for rung in rungs]
        ladders.append(Ladder(name, facets(first, "workload", "device", "track"), cells))
        failed = ladder[ladder["passed"].eq(False)]
        if len(failed):
            worst = failed.iloc[0]
            said.append(
                f"{name} parts from {worst['reference']} at {worst['rung']}: {worst['location']}, error "
                f"{worst['error']:.1e}, tolerance {worst['tolerance']:.1e}"
            )
        elif first["numerics"] == EXACT and key not in parity.proved:
            said.append(f"{name} was not climbed to the end")
    return Grid(f"{workload}: against {rows['reference'].iloc[0]} in exact mode", rungs, ladders, said)


def _cell(rows: pd.DataFrame) -> Cell:
    """A rung: its largest error over locations and seeds, or that of the first location which failed."""
    if rows.empty:
        return Cell("empty", "", "not climbed in this numerics")
    failed = rows[rows["passed"].eq(False)]
    row = failed.iloc[0] if len(failed) else rows.sort_values("error", kind="stable").iloc[-1]
    state = "failed" if len(failed) else "passed" if rows["passed"].notna().all() else "measured"
    tolerance = "" if missing(row["tolerance"]) else f", tolerance {row['tolerance']:.1e}"
    count = row["rung"] == "classes"
    text = f"{row['error']:.0f}" if count or not row["error"] else f"{row['error']:.0e}"
    return Cell(state, text, f"{row['rung']} of {row['location']}: error {row['error']:.2g}{tolerance}")


def proved(parity: Parity | None) -> list[Sentence]:
    """For each workload, which backends are proved to compute the same in exact mode."""
    if parity is None:
        return []
    workloads = parity.exact.groupby("workload", sort=False)
    return [said for _, rows in workloads for said in _backends(rows, parity)]


def remarks(parity: Parity | None) -> list[Sentence]:
    """For each workload, which tracks are proved to compute the same, and whose rounded arithmetic is most accurate."""
    if parity is None:
        return []
    known = [Sentence(text.removeprefix("parity: ")) for text in parity.remarks]
    return [said for rows in _whole(parity) for said in _tracks(rows)] + [*_most_accurate(parity)] + known


def _whole(parity: Parity) -> Iterator[pd.DataFrame]:
    """For each workload whose exact ladders all agree, its rows."""
    for _, rows in parity.exact.groupby("workload", sort=False):
        if all(key in parity.proved for key, _ in rows.groupby(LADDER, sort=False)):
            yield rows


def _backends(rows: pd.DataFrame, parity: Parity) -> Iterator[Sentence]:
    """Those of a workload's backends of which no ladder failed or ended early."""
    workload, reference = stem(rows["workload"].iloc[0]), rows["reference"].iloc[0]
    climbed = rows[rows["track"].eq("fit") & rows["backend"].ne(reference)].groupby("backend", sort=False)
    agree = [
        str(name) for name, of in climbed if all(key in parity.proved for key, _ in of.groupby(LADDER, sort=False))
    ]
    if agree:
        yield Sentence(
            f"{workload}: {_compute(agree)} what {reference} computes, in exact mode on every rung of "
            f"{parity.steps} steps.",
            {"workload": workload},
        )


def _compute(names: Iterable[str]) -> str:
    """One or several names as the subject of a sentence, and its verb."""
    named = list(names)
    return f"{' and '.join(named)} {'computes' if len(named) == 1 else 'compute'}"


def _tracks(rows: pd.DataFrame) -> Iterator[Sentence]:
    workload = stem(rows["workload"].iloc[0])
    tracks = rows[rows["track"].ne("fit")]["track"].unique()
    if len(tracks):
        yield Sentence(
            f"{workload}: track {_compute(tracks)} what fit does, on every backend in "
            f"exact mode{' (native with SGD)' if 'native' in tracks else ''}.",
            {"workload": workload},
        )


def _most_accurate(parity: Parity) -> Iterator[Sentence]:
    table = parity.accuracies().reset_index()
    for (workload, device, numerics), rows in table.groupby(["workload", "device", "numerics"], sort=False):
        ordered = rows[rows["typical"].notna()].sort_values("typical")
        if len(ordered) > 1:
            least = ordered["typical"].iloc[0]
            errors = ", ".join(f"{row.backend} {row.typical / least:.2f}" for row in ordered.itertuples())
            yield Sentence(
                f"{stem(workload)} on {device}: {numerics} is closest to exact mode on {ordered['backend'].iloc[0]}; "
                f"typical errors, its as the unit: {errors}.",
                facets(rows.iloc[0], "workload", "device", "numerics"),
            )
