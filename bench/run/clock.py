"""Is the epoch clock right? Launches compared with a bare clock in the same process, and with bare scripts.

python -m bench clock --workloads mlp --launches 10 [options of run]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract import files, launch_record
from bench.contract.errors import RunError
from bench.contract.files import RecordError
from bench.contract.launch_record import Trained
from bench.launch.process import launch
from bench.places.place import Here
from bench.plan.cases import plan
from bench.plan.options import RunOptions
from bench.plan.planned import PlannedLaunch
from bench.plan.schedule import schedule
from bench.run.devices import measured_gpus
from bench.run.prepare import Prepared, prepare

LIMIT_SECONDS = 1_800.0


class Pair(NamedTuple):
    """What a launch recorded, and the seconds that a bare `fit` took beside it."""

    ours: Trained
    bare_seconds: float


def measure(options: RunOptions, folder: Path) -> dict[str, list[Pair]]:
    """For each case, pairs of a launch and a bare `fit`, taken in turns."""
    for part in ("logs", "weights"):
        (folder / part).mkdir()
    cards = measured_gpus(options)
    prepared = prepare(options, folder)
    cases = plan(options, prepared.workloads, cards)
    pairs: dict[str, list[Pair]] = {}
    for planned in schedule(cases, options.seed):
        python = prepared.pythons[planned.case.backend]
        if python is None:
            raise RunError(prepared.missing_reason(planned.case.backend))
        pairs.setdefault(planned.case.title, []).append(_pair(python, planned, prepared))
        print(f"{planned.case.title}, pair {planned.repetition + 1} of {options.launches}", file=sys.stderr)
    return pairs


def summary(title: str, pairs: Sequence[Pair]) -> str:
    """Both comparisons of one case, in words; the second with a 95 % interval where there are two pairs or more."""
    import numpy as np

    from bench.analysis.statistics import paired_interval

    fits = [ours.phases["fit"] or math.nan for ours, _ in pairs]
    steady = [sum(ours.seconds[1:]) for ours, _ in pairs]
    loops = [fit - ours.setup_seconds - ours.seconds[0] for fit, (ours, _) in zip(fits, pairs, strict=True)]
    shares = sorted(recorded / loop for recorded, loop in zip(steady, loops, strict=True))
    recorded = [ours.setup_seconds + sum(ours.seconds) for ours, _ in pairs]
    whole = sorted(seconds / fit for seconds, fit in zip(recorded, fits, strict=True))
    # Both by a clock around fit: what fit does after its last epoch, up to a second on TensorFlow, is no part of ours.
    ratio = paired_interval(np.divide(fits, [bare for _, bare in pairs]), 0.95)
    return (
        f"{title}: recorded steady epochs / bare clock around the same epochs {shares[len(shares) // 2]:.4f} "
        f"(worst of {len(shares)}: {shares[0]:.4f}); setup and all epochs / bare clock around fit "
        f"{whole[len(whole) // 2]:.4f}; fit of a launch / fit of a bare script in its own process {ratio.estimate:.3f} "
        f"[{ratio.low:.3f}, {ratio.high:.3f}]"
    )


def _pair(python: Path, planned: PlannedLaunch, prepared: Prepared) -> Pair:
    """Both, the one that is first in turn first."""
    if planned.repetition % 2:
        ours = _ours(planned, prepared)
        return Pair(ours, _bare(python, planned, prepared))
    bare = _bare(python, planned, prepared)
    return Pair(_ours(planned, prepared), bare)


def _ours(planned: PlannedLaunch, prepared: Prepared) -> Trained:
    command = prepared.command(planned, Here(prepared.python).site(prepared.weights(planned)))
    assert command is not None  # for the types: it has an interpreter
    content = _run(command, "--benchmark-json", prepared.folder)
    place = {"repetition": planned.repetition}  # which a worker does not know
    try:
        launched = launch_record.check({"launch": {**content["launch"], **place}}, planned.case.title)
    except (RecordError, KeyError, TypeError) as error:
        raise RunError(f"{planned.case.title}: no usable record ({error})") from None
    if not isinstance(launched, Trained):
        raise RunError(f"{planned.case.title}: {launched.status}, {launched.reason}")
    return launched


def _bare(python: Path, planned: PlannedLaunch, prepared: Prepared) -> float:
    command = [str(python), "-m", "bench.worker.programs.bare_fit", *planned.case.options()]
    command += [f"--seed={planned.seed}", f"--weights={prepared.weights(planned)}"]
    return float(_run(command, "--output", prepared.folder)["fit_seconds"])


def _run(command: Sequence[str], output_option: str, folder: Path) -> Mapping[str, Any]:
    """What a process wrote into the file that the option names."""
    output = folder / "output.json"
    outcome = launch([*command, f"{output_option}={output}"], log=folder / "logs" / "log", limit_seconds=LIMIT_SECONDS)
    if outcome.status != "ok":
        raise RunError(f"{' '.join(command)}: {outcome.status}, {outcome.reason}")
    try:
        content = files.load(output)
    except RecordError as error:
        raise RunError(f"{' '.join(command)}: {error}") from None
    output.unlink()
    return content
