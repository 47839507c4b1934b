"""Is the epoch clock right? Launches held against a bare clock, in the same process and in processes of its own.

python -m bench clock --workloads mlp --launches 10 [options of run]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contract.errors import RunError
from bench.launch.process import launch
from bench.machine import environments
from bench.plan.cases import plan
from bench.plan.options import RunOptions
from bench.plan.planned import PlannedLaunch
from bench.plan.schedule import schedule
from bench.run.devices import measured_gpus
from bench.run.prepare import Prepared, prepare

LIMIT_SECONDS = 1_800.0


def measure(options: RunOptions, folder: Path) -> dict[str, list[tuple[dict[str, Any], float]]]:
    """For each case, pairs of a launch's `launch` object and the seconds a bare `fit` took, taken in turns."""
    for part in ("logs", "weights"):
        (folder / part).mkdir()
    cards = measured_gpus(options)
    prepared = prepare(options, folder)
    cases = plan(options, prepared.workloads, cards)
    pairs: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for planned in schedule(cases, options.seed):
        python = prepared.pythons[planned.case.backend]
        if python is None:
            raise RunError(environments.missing_reason(planned.case.backend))
        order = (_ours, _bare) if planned.repetition % 2 else (_bare, _ours)
        found = {take: take(python, planned, prepared) for take in order}
        pairs.setdefault(planned.case.title, []).append((found[_ours], found[_bare]["fit_seconds"]))
        print(f"{planned.case.title}, pair {planned.repetition + 1} of {options.launches}", file=sys.stderr)
    return pairs


def summary(title: str, pairs: Sequence[tuple[dict[str, Any], float]]) -> str:
    """Both comparisons of one case, in words; the second with a 95 % interval where there are two pairs or more."""
    import numpy as np

    from bench.analysis.statistics import paired_interval

    steady = [sum(epoch["seconds"] for epoch in ours["epochs"][1:]) for ours, _ in pairs]
    loops = [ours["phases"]["fit"] - ours["setup_seconds"] - ours["epochs"][0]["seconds"] for ours, _ in pairs]
    shares = sorted(recorded / loop for recorded, loop in zip(steady, loops, strict=True))
    recorded = [ours["setup_seconds"] + sum(epoch["seconds"] for epoch in ours["epochs"]) for ours, _ in pairs]
    whole = sorted(seconds / ours["phases"]["fit"] for seconds, (ours, _) in zip(recorded, pairs, strict=True))
    ratio = paired_interval(np.divide(recorded, [bare for _, bare in pairs]), 0.95)
    return (
        f"{title}: recorded steady epochs / bare clock around the same epochs {shares[len(shares) // 2]:.4f} "
        f"(worst of {len(shares)}: {shares[0]:.4f}); setup and all epochs / bare clock around fit "
        f"{whole[len(whole) // 2]:.4f}; recorded fit / fit of a bare script in its own process {ratio.estimate:.3f} "
        f"[{ratio.low:.3f}, {ratio.high:.3f}]"
    )


def _ours(python: Path, planned: PlannedLaunch, prepared: Prepared) -> dict[str, Any]:
    launched: dict[str, Any] = _run(prepared.command(python, planned), "--benchmark-json", prepared.folder)["launch"]
    return launched


def _bare(python: Path, planned: PlannedLaunch, prepared: Prepared) -> dict[str, Any]:
    command = [str(python), "-m", "bench.worker.programs.bare_fit", *planned.case.options()]
    command += [f"--seed={planned.seed}", f"--weights={prepared.weights(planned)}"]
    return _run(command, "--output", prepared.folder)


def _run(command: Sequence[str], output_option: str, folder: Path) -> dict[str, Any]:
    output = folder / "output.json"
    outcome = launch([*command, f"{output_option}={output}"], log=folder / "logs" / "log", limit_seconds=LIMIT_SECONDS)
    if outcome.status != "ok":
        raise RunError(f"{' '.join(command)}: {outcome.status}, {outcome.reason}")
    content: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    output.unlink()
    return content
