"""One process per ladder, before anything is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from bench.contract.case import stem
from bench.contract.parity import is_climbed
from bench.contract.paths import ROOT
from bench.launch.outcome import Outcome
from bench.launch.process import launch
from bench.machine import environments
from bench.plan.parity import Ladder
from bench.run.console import RunConsole, duration
from bench.run.prepare import Prepared

SHORT_STEPS = 20  # of the ladder that `run` climbs before it measures
SHORT_TEST_SAMPLES = 1_000
LIMIT_SECONDS = 600.0  # seconds; no ladder is ended earlier
STEP_FACTOR = 100.0  # nor before it took this many times as long as its steps take in float32 on the reference backend


def climb(
    prepared: Prepared,
    ladders: Sequence[Ladder],
    seeds: Sequence[int],
    steps: int,
    test_samples: int,
    console: RunConsole,
    climbed: list[dict[str, Any]],
) -> None:
    """Climb ladder after ladder into `<run>/ladders/`; `climbed` takes up how each process ended."""
    climbing = [workload for workload in prepared.workloads if is_climbed(workload)]
    left_out = ", ".join(stem(workload.workload) for workload in prepared.workloads if not is_climbed(workload))
    if left_out:
        said = f"parity: not climbed, being made for a GPU: {left_out}"
        console.say(said)
    for ladder in ladders if climbing else ():
        taken = steps * len(seeds) * len(ladder.climbs)
        seconds = sum(workload.step_seconds or 0.0 for workload in climbing) * taken
        python = prepared.pythons[ladder.backend]
        if ladder.skip is not None:
            outcome = Outcome("skipped", ladder.skip, 0.0)
        elif python is None:
            outcome = Outcome("failed", environments.missing_reason(ladder.backend), 0.0)
        else:
            words = command(python, ladder, prepared, seeds, steps, test_samples)
            outcome = _launch(words, ladder, prepared.folder, LIMIT_SECONDS + STEP_FACTOR * seconds, console)
        climbed.append({**asdict(ladder), **asdict(outcome)})
        said = f"climbed in {duration(outcome.wall_seconds)}" if outcome.status == "ok" else outcome.reason
        console.say(f"parity: {ladder.title}: {said}")


def _launch(words: Sequence[str], ladder: Ladder, folder: Path, limit_seconds: float, console: RunConsole) -> Outcome:
    log = folder / "logs" / f"ladder-{ladder.title.replace(' ', '-')}.log"
    with console.status(f"parity: {ladder.title}") as status:

        def tell(message: Mapping[str, Any]) -> None:
            said = f"parity: {ladder.title}: {message.get('workload')}, seed {message.get('seed')} climbed"
            status.update(Text(said))

        return launch(words, log=log, limit_seconds=limit_seconds, on_message=tell)


def command(
    python: Path, ladder: Ladder, prepared: Prepared, seeds: Sequence[int], steps: int, test_samples: int
) -> list[str]:
    """The command that climbs one ladder."""
    given = {
        "backend": ladder.backend,
        "device": ladder.device,
        "numerics": ladder.numerics,
        "steps": steps,
        "climbs": ",".join(ladder.climbs),
        "test-samples": test_samples,
        "seeds": ",".join(map(str, seeds)),
        "weights": (prepared.folder / "weights").resolve(),
        "output": (prepared.folder / "ladders").resolve(),
    }
    words = [f"--{name}={value}" for name, value in given.items()]
    names = [workload.workload for workload in prepared.workloads]
    return [str(python), "-m", "bench.worker.programs.parity", *words, "--workloads", *names]


def announce(folder: Path, console: RunConsole) -> None:
    """Say what the recordings show, compared in a process of its own: this one goes on to measure, without pandas."""
    words = [sys.executable, "-m", "bench.analysis.parity", str(folder.resolve())]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, cwd=ROOT)
    for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines()[-20:]:
        console.say(f"parity: {line}")
