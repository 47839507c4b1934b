"""Is the epoch clock right? Launches held against a bare clock, in the same process and in processes of its own.

python -m bench.clock_check --workloads mlp --launches 10 [options of run]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import credentials, environments, lock
from bench.command_line import UsageError
from bench.launch import launch
from bench.options import RunOptions, parse_run
from bench.plan import PlannedLaunch, plan, schedule
from bench.prepare import Prepared, RunError, measured_gpus, prepare
from bench.runs import interruptible

LIMIT_SECONDS = 1_800.0


def main(arguments: Sequence[str]) -> int:
    """Print both comparisons for each backend; exit status 1 where a launch failed, 2 for usage."""
    try:
        options = parse_run(arguments)
        if options.dry_run:
            raise UsageError("--dry-run: the clock check has no plan to show")
        if options.tasks != ("train",):
            raise UsageError("--tasks: the clock that is checked is that of training; leave it out")
        credentials.forget(options.pass_env)
        with lock.alone(), interruptible(), tempfile.TemporaryDirectory() as name:
            pairs = measure(options, Path(name))
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (RunError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1
    for title, launches in pairs.items():
        print(summary(title, launches))
    return 0


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
    command = [str(python), "-m", "bench.worker.bare_fit", *planned.case.options()]
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
