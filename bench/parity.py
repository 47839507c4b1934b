"""Parity: each backend climbs the ladder in a process of its own; what comes after reads only the recordings."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from bench import environments
from bench.command_line import LADDER_NUMERICS
from bench.launch import Outcome, launch
from bench.options import ParityOptions, Selection
from bench.plan import Limits, devices_of
from bench.prepare import Prepared, limits_here, measured_gpus, prepare, remarks
from bench.progress import RunConsole, duration
from bench.record import CLIMBS, is_climbed, stem
from bench.runs import LOG, describe, new_run, remove, under_way, write_state

SHORT_STEPS = 20  # of the ladder that `run` climbs before it measures
SHORT_TEST_SAMPLES = 1_000
LIMIT_SECONDS = 600.0  # no ladder is ended before
STEP_FACTOR = 100.0  # nor before each step took so many times what it takes in float32 on the reference backend


@dataclass(frozen=True)
class Ladder:
    """One process that climbs for every workload and seed, or the reason why it is not climbed."""

    backend: str
    device: str
    numerics: str
    climbs: tuple[str, ...]
    skip: str | None = None

    @property
    def title(self) -> str:
        """What tells the ladder apart from its neighbours, for people."""
        return f"{self.backend} {self.device} {self.numerics}"


def parity(options: ParityOptions, console: RunConsole) -> Path:
    """Climb every ladder that the options ask for and return the run's folder.

    Raises UsageError for what the user can mend, RunError where no backend works. Ctrl-C ends it early; the recordings
    made until then are kept.
    """
    began = time.monotonic()
    with under_way(console):
        gpus = measured_gpus(options)
        devices = devices_of(options, gpus)
        is_new = not options.output.exists()
        folder = new_run(options.output)
        console.log_to(folder / LOG)
        try:
            prepared = prepare(options, folder, memory_mib=0)  # nothing is climbed that needs a device of some size
            limits = limits_here(gpus, prepared.pythons)
            ladders = plan_ladders(options, options.tracks, dict.fromkeys(devices, options.numerics), limits)
            description = describe(options, prepared, launches=options.launches, plan=[])
            for remark in remarks(options, prepared):
                console.say(remark)
        except BaseException:
            remove(folder, options.output if is_new else None)
            raise
        write_state(folder, description, "running")
        state, climbed = "interrupted", list[dict[str, Any]]()
        try:
            climb(prepared, ladders, options.seeds, options.steps, 0, console, climbed)
            state = "finished"
        except KeyboardInterrupt:
            pass  # said when it is written
        finally:
            recorded = {"steps": options.steps, "seeds": options.seeds, "test_samples": None, "ladders": climbed}
            write_state(folder, description, state, parity=recorded, wall_seconds=time.monotonic() - began)
        if state == "interrupted":
            console.say("interrupted: what was recorded is kept")
        return folder


def plan_ladders(
    options: Selection,
    tracks: Sequence[str],
    numerics: Mapping[str, Sequence[str]],
    limits: Limits,
) -> list[Ladder]:
    """One ladder for each backend that can train, device and numerics that `limits` do not rule out.

    `numerics` are those of each device.

    In exact mode it is climbed once for every track that has a ladder, otherwise for `fit` alone.
    """
    planned = []
    every = tuple(dict.fromkeys(climb for track in ("fit", *tracks) for climb in CLIMBS.get(track, ())))
    for kind in LADDER_NUMERICS:
        for device in (device for device, kinds in numerics.items() if kind in kinds):
            for backend in options.training:
                skip = limits.without_gpu.get(backend) if device == "gpu" else None
                skip = skip or limits.lacking.get((device, kind))
                climbs = every if kind == "float64" else CLIMBS["fit"]
                planned.append(Ladder(backend, device, kind, climbs, skip))
    return planned


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
    left_out = ", ".join(stem(workload["workload"]) for workload in prepared.workloads if not is_climbed(workload))
    if left_out:
        said = f"parity: not climbed, being made for a GPU: {left_out}"
        console.say(said)
    for ladder in ladders if climbing else ():
        taken = steps * len(seeds) * len(ladder.climbs)
        seconds = sum(workload["step_seconds"] for workload in climbing) * taken
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
    names = [workload["workload"] for workload in prepared.workloads]
    return [str(python), "-m", "bench.worker.ladder", *words, "--workloads", *names]


def announce(folder: Path, console: RunConsole) -> None:
    """Say what the recordings show, compared in a process of its own: this one goes on to measure, without pandas."""
    words = [sys.executable, "-m", "bench.analysis", str(folder.resolve())]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, cwd=environments.ROOT)
    for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines()[-20:]:
        console.say(f"parity: {line}")
