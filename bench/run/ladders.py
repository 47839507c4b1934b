"""One process per ladder, before anything is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.contract.case import in_path, stem
from bench.contract.parity import is_climbed
from bench.contract.paths import ROOT
from bench.contract.run_json import LadderOutcome
from bench.launch.outcome import Outcome
from bench.launch.process import launch
from bench.machine import nvidia
from bench.plan.parity import Ladder
from bench.run.console import RunConsole, duration
from bench.run.prepare import Prepared

LIMIT_SECONDS = 600.0  # no ladder is ended before
STEP_FACTOR = 100.0  # nor before each step took so many times what it takes in float32 on the reference backend


class Amount(NamedTuple):
    """How far a ladder is climbed: with which seeds, how many steps, and on how many test samples (None: all)."""

    seeds: tuple[int, ...]
    steps: int
    test_samples: int | None


SHORT = Amount((), 20, 1_000)  # what `run` climbs before it measures, with the first seed


def climb_all(
    prepared: Prepared, ladders: Sequence[Ladder], amount: Amount, console: RunConsole
) -> Iterator[LadderOutcome]:
    """Climb ladder after ladder into `<run>/ladders/`, where there is a workload that is climbed."""
    for ladder in ladders if climbing(prepared, console) else ():
        yield climb(prepared, ladder, amount, console)


def climbing(prepared: Prepared, console: RunConsole) -> bool:
    """Say which workloads are not climbed, and give whether any is."""
    left_out = [stem(workload.workload) for workload in prepared.workloads if not is_climbed(workload)]
    if left_out:
        console.say(f"parity: not climbed, being made for a GPU: {', '.join(left_out)}")
    return len(left_out) < len(prepared.workloads)


def climb(prepared: Prepared, ladder: Ladder, amount: Amount, console: RunConsole) -> LadderOutcome:
    """Climb one ladder into `<run>/ladders/`; gives how its process ended."""
    python = prepared.python(ladder.backend, ladder.variant)
    if ladder.skip is not None:
        outcome = Outcome("skipped", ladder.skip, 0.0)
    elif python is None:
        outcome = Outcome("failed", prepared.missing_reason(ladder.backend), 0.0)
    else:
        words = command(python, ladder, prepared, amount)
        outcome = _launch(words, ladder, prepared.folder, _limit_seconds(prepared, ladder, amount), console)
    said = f"climbed in {duration(outcome.wall_seconds)}" if outcome.status == "ok" else outcome.reason
    console.say(f"parity: {ladder.title}: {said}")
    return LadderOutcome(**vars(ladder), **vars(outcome))


def _limit_seconds(prepared: Prepared, ladder: Ladder, amount: Amount) -> float:
    step_seconds: float = sum(workload.step_seconds or 0.0 for workload in prepared.workloads if is_climbed(workload))
    taken = amount.steps * len(amount.seeds) * len(ladder.climbs)
    return LIMIT_SECONDS + STEP_FACTOR * step_seconds * taken


def _launch(words: Sequence[str], ladder: Ladder, folder: Path, limit_seconds: float, console: RunConsole) -> Outcome:
    log = folder / "logs" / f"ladder-{in_path(ladder.title)}.log"
    with console.showing(f"parity: {ladder.title}") as show:

        def tell(message: Mapping[str, Any]) -> None:
            show(f"parity: {ladder.title}: {message.get('workload')}, seed {message.get('seed')} climbed")

        return launch(words, log=log, limit_seconds=limit_seconds, on_message=tell)


def command(python: Path, ladder: Ladder, prepared: Prepared, amount: Amount) -> list[str]:
    """The command that climbs one ladder."""
    given = {
        "backend": ladder.backend,
        "device": ladder.device,
        "numerics": ladder.numerics,
        "variant": ladder.variant,
        "device-count": ladder.device_count,
        "steps": amount.steps,
        "climbs": ",".join(ladder.climbs),
        "test-samples": amount.test_samples or 0,  # 0: all
        "seeds": ",".join(map(str, amount.seeds)),
        "weights": (prepared.folder / "weights").resolve(),
        "output": (prepared.folder / "ladders").resolve(),
    }
    words = [f"--{name}={value}" for name, value in given.items()]
    first = prepared.reference, prepared.variants[0].name
    is_reference = (ladder.backend, ladder.variant or first[1]) == first and ladder.device_count == 1
    words += ["--nudged"] if is_reference or ladder.nudged else []
    names = [workload.workload for workload in prepared.workloads]
    cards = nvidia.prefix(ladder.device_count) if ladder.device == "gpu" and ladder.device_count > 1 else []
    program = [*prepared.settings(ladder.variant), *cards, str(python), "-m", "bench.worker.programs.parity"]
    return [*program, *words, "--workloads", *names]


def announce(folder: Path, console: RunConsole) -> None:
    """Say what the recordings show, compared in a process of its own: this one goes on to measure, without pandas."""
    words = [sys.executable, "-m", "bench.analysis.parity", str(folder.resolve())]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT)
    for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines()[-20:]:
        console.say(f"parity: {line}")
