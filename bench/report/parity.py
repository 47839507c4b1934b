"""Parity's part of a report: exact mode's agreement, and whose rounded arithmetic comes closest to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.analysis.distances import RUNGS
from bench.analysis.parity import Parity
from bench.analysis.recordings import LADDER
from bench.record import LADDER_BATCH, ROUNDED_STEPS, stem
from bench.report.view import NOTHING, Table

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
                    "layers and gradients; less is better"
                ],
            )
        )
    return built


def sentences(found: Parity | None) -> list[str]:
    """What exact mode proved and whose rounded arithmetic is the most accurate, in words."""
    return [] if found is None else [*_proved(found), *_most_accurate(found)]


def _proved(found: Parity) -> Iterator[str]:
    for workload, rows in found.exact.groupby("workload", sort=False):
        ladders = [key for key, _ in rows.groupby(LADDER, sort=False)]
        if all(key in found.proved for key in ladders):
            reference = rows["reference"].iloc[0]
            others = rows[rows["track"].eq("fit") & rows["backend"].ne(reference)]["backend"].unique()
            if len(others):
                yield (
                    f"{stem(workload)}: {' and '.join(others)} compute what {reference} computes, "
                    f"in exact mode on every rung of {found.steps} steps."
                )
            tracks = rows[rows["track"].ne("fit")]["track"].unique()
            if len(tracks):
                yield (
                    f"{stem(workload)}: track {' and '.join(tracks)} compute what fit does, on every backend in exact "
                    f"mode{' (native with SGD)' if 'native' in tracks else ''}."
                )


def _most_accurate(found: Parity) -> Iterator[str]:
    table = found.accuracies().reset_index()
    for (workload, device, numerics), rows in table.groupby(["workload", "device", "numerics"], sort=False):
        ordered = rows[rows["typical"].notna()].sort_values("typical")
        if len(ordered) > 1:
            least = ordered["typical"].iloc[0]
            errors = ", ".join(f"{row.backend} {row.typical / least:.2f}" for row in ordered.itertuples())
            yield (
                f"{stem(workload)} on {device}: {numerics} is closest to exact mode on {ordered['backend'].iloc[0]}; "
                f"typical errors, its as the unit: {errors}."
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
