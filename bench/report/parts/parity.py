"""Parity's part of a report: exact mode's agreement, and whose rounded arithmetic comes closest to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.analysis.parity.compare import Parity
from bench.analysis.parity.distances import RUNGS
from bench.analysis.parity.recordings import EXACT, LADDER
from bench.analysis.parity.rounded import Crossing
from bench.contract.case import stem
from bench.contract.parity import LADDER_BATCH, ROUNDED_STEPS
from bench.report.text import NOTHING, missing
from bench.report.view import Cell, Grid, Ladder, Sentence, Table, facets

ERRORS = ["outputs", "gradients", "losses", "all steps", "predictions"]


def tables(found: Parity | None) -> list[Table]:
    """One table for exact mode, one for the other numerics; none where nothing was climbed."""
    if found is None:
        return []
    built = []
    if len(found.exact):
        reference = found.exact["reference"].iloc[0]
        seeds = f", {found.seeds} seeds" if found.seeds > 1 else ""
        built.append(
            Table(
                f"Parity with {reference} in exact mode (float64): {found.steps} steps of batch {LADDER_BATCH}{seeds}",
                ["workload", "backend", "track", "parity", *ERRORS, "classes that differ", "test metric"],
                [_exact_row(rows, key in found.proved) for key, rows in found.exact.groupby(LADDER, sort=False)],
                [
                    "largest relative error of any layer's output, gradient, step's loss, weight after the steps, and "
                    "output on the test set; tolerances " + ", ".join(f"{name} {RUNGS[name]:.0e}" for name in ERRORS)
                ],
                names=3,
                facets=[
                    facets(rows.iloc[0], "workload", "device", "track")
                    for _, rows in found.exact.groupby(LADDER, sort=False)
                ],
            )
        )
    accuracies = found.accuracies()
    if len(accuracies):
        built.append(
            Table(
                "Rounded arithmetic against exact mode: largest error in units of its rounding",
                ["workload", "backend", "numerics", "outputs", "gradients", "loss", "losses", "typical"],
                [_rounded_row(row) for row in accuracies.reset_index().to_dict("records")],
                [
                    f"losses: of the first {min(found.steps, ROUNDED_STEPS)} steps; typical: geometric mean over "
                    "layers and gradients; less is better",
                    *_crossed(found),
                ],
                names=3,
                facets=[
                    facets(row, "workload", "device", "numerics") for row in accuracies.reset_index().to_dict("records")
                ],
            )
        )
    return built


def _crossed(found: Parity) -> Iterator[str]:
    """Whose gradients say nothing, since rounding decided what passed a relu."""
    ladders: dict[tuple[str, ...], list[Crossing]] = {}
    for one in found.crossings:
        ladders.setdefault((one.workload, one.backend, one.device, one.numerics), []).append(one)
    for (workload, backend, device, numerics), crossed in ladders.items():
        first = crossed[0]
        outputs = f"{first.elements} output{'s' if first.elements > 1 else ''} of {first.location}"
        more = "" if len(crossed) == 1 else f", and so on in {len(crossed)} layers and seeds"
        yield (
            f"{stem(workload)}, {backend} {device} {numerics}: {outputs} (seed {first.seed}{more}) fell on the other "
            "side of zero than in exact mode, where gradients and losses jump; such gradients are not in typical"
        )


def grids(found: Parity | None) -> list[Grid]:
    """For each workload its ladders, green and red: each rung's largest error, and where the blamed one parts."""
    if found is None or found.table.empty:
        return []
    return [_grid(stem(workload), rows, found) for workload, rows in found.table.groupby("workload", sort=False)]


def _grid(workload: str, rows: pd.DataFrame, found: Parity) -> Grid:
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
        elif first["numerics"] == EXACT and key not in found.proved:
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


def proved(found: Parity | None) -> list[Sentence]:
    """Of which backends exact mode proved that they compute the same."""
    return [] if found is None else [said for rows in _whole(found) for said in _backends(rows, found.steps)]


def remarks(found: Parity | None) -> list[Sentence]:
    """Of which tracks exact mode proved the same, and whose rounded arithmetic is the most accurate."""
    if found is None:
        return []
    return [said for rows in _whole(found) for said in _tracks(rows)] + [*_most_accurate(found)]


def _whole(found: Parity) -> Iterator[pd.DataFrame]:
    """The rows of each workload all of whose exact ladders agree."""
    for _, rows in found.exact.groupby("workload", sort=False):
        if all(key in found.proved for key, _ in rows.groupby(LADDER, sort=False)):
            yield rows


def _backends(rows: pd.DataFrame, steps: int) -> Iterator[Sentence]:
    workload, reference = stem(rows["workload"].iloc[0]), rows["reference"].iloc[0]
    others = rows[rows["track"].eq("fit") & rows["backend"].ne(reference)]["backend"].unique()
    if len(others):
        yield Sentence(
            f"{workload}: {' and '.join(others)} compute what {reference} computes, in exact mode on every rung of "
            f"{steps} steps.",
            {"workload": workload},
        )


def _tracks(rows: pd.DataFrame) -> Iterator[Sentence]:
    workload = stem(rows["workload"].iloc[0])
    tracks = rows[rows["track"].ne("fit")]["track"].unique()
    if len(tracks):
        yield Sentence(
            f"{workload}: track {' and '.join(tracks)} compute what fit does, on every backend in exact mode"
            f"{' (native with SGD)' if 'native' in tracks else ''}.",
            {"workload": workload},
        )


def _most_accurate(found: Parity) -> Iterator[Sentence]:
    table = found.accuracies().reset_index()
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


def _exact_row(rows: pd.DataFrame, proved: bool) -> list[str]:
    first = rows.iloc[0]
    largest = rows.groupby("rung")["error"].max()
    failed = rows[rows["passed"].eq(False)]
    verdict = "proved" if proved else "not climbed to the end" if failed.empty else f"parts at {failed.iloc[0]['rung']}"
    classes = NOTHING if "classes" not in largest else f"{largest['classes']:.0f}"
    return [
        stem(first["workload"]),
        f"{first['backend']} {first['device']}",
        first["track"] + ("" if first["optimizer"] == "own" else f", {first['optimizer']}"),
        verdict,
        *(f"{largest[name]:.0e}" if name in largest else NOTHING for name in ERRORS),
        classes,
        _metric(rows[rows["rung"].eq("metric")]),
    ]


def _metric(rows: pd.DataFrame) -> str:
    """The metric of the first seed and whether it is the reference's to the last digit, for every seed."""
    if rows.empty:
        return NOTHING
    first = rows.iloc[0]
    return f"{first['value']:.4f} " + ("equal" if rows["passed"].all() else f"not {first['reference_value']:.4f}")


def _rounded_row(row: dict[Any, Any]) -> list[str]:
    values = [row.get(name) for name in ("outputs", "gradients", "loss", "losses", "typical")]
    return [
        stem(row["workload"]),
        f"{row['backend']} {row['device']}",
        row["numerics"],
        *(NOTHING if value is None or pd.isna(value) else f"{value:.3g}" for value in values),
    ]
