"""Seconds of a run by what they went into."""

from __future__ import annotations

from bench.analysis.frames import PHASES, Run
from bench.analysis.nodes import names
from bench.contract.case import CALLING


def time_spent(run: Run) -> dict[str, float]:
    """Seconds of the run's wall time by what they went into; empty for a run that has no wall time yet.

    Nodes work side by side, so theirs may be more than the run's, and leave nothing by which to tell what else it did.
    """
    wall = run.description.wall_seconds
    if not wall:
        return {}
    launches = run.launches
    good, bad = launches[launches["status"] == "ok"], launches[launches["status"] != "ok"]
    parts = {}
    if len(good):
        parts = {name.removesuffix("_seconds"): float(good[name].astype(float).sum()) for name in PHASES}
        called = float(good.loc[good["task"].isin(CALLING), PHASES[0]].astype(float).sum())
        parts |= {"epochs": parts["epochs"] - called, "calls": called} if called else {}
        parts["setup"] = float(good["setup_seconds"].astype(float).sum())
        parts["start and exit"] = float(good["wall_seconds"].astype(float).sum()) - sum(parts.values())
    if len(bad):
        parts["launches without a result"] = float(bad["wall_seconds"].astype(float).sum())
    if run.description.parity and run.description.parity.ladders:
        parts["parity"] = sum(ladder.wall_seconds for ladder in run.description.parity.ladders)
    searched = run.description.tuning_seconds or 0.0
    if searched >= 0.5:
        parts["search for knobs"] = searched
    if run.description.explain_seconds:
        parts["explain"] = run.description.explain_seconds
    return parts if names(run) else parts | {"prepare": wall - sum(parts.values())}
