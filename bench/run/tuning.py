"""The knobs of the tracks that have some: searched once for a case and machine, kept in the run's tuning.csv."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec.structs import replace as replace_struct
from rich.text import Text

from bench.contract.case import SEARCHED, Case, module_of
from bench.contract.files import write_whole
from bench.contract.paths import ROOT
from bench.contract.results import run_folders
from bench.contract.tuning import TUNING_COLUMNS, changed_knobs, knob_words
from bench.contract.tuning_rows import Begun, Knobs, Tried, TuningRow, read_line, read_row
from bench.launch.process import launch
from bench.machine import environments
from bench.machine.fingerprint import fingerprint
from bench.plan.planned import PlannedCase, PlannedLaunch
from bench.run.console import RunConsole, duration
from bench.run.prepare import Prepared

FILE = "tuning.csv"
PASS_SECONDS, MOST_STEPS = 0.25, 128  # of a pass over a few steps
FEWEST_STEPS = {"tuned": 32, "loop": 8, "native": 8}  # 32 fill the longest of `steps_per_execution`
LIMIT_SECONDS = 600.0  # of a process, in which a search goes through its configurations
GAIN = 1.03  # for a smaller gain a knob stays at its default
MOST_DEATHS = 5  # processes of a search that may end early: after more it is given up
# What decides how a track is executed: a search is repeated where one of these has changed.
SOURCES = (
    "bench/worker/workload/train.py",
    "bench/worker/workload/inputs.py",
    "bench/worker/backends/network.py",
    "bench/worker/backends/kinds.py",
    "bench/worker/programs/tuning.py",
)


def tune(prepared: Prepared, cases: Sequence[PlannedCase], output: Path, console: RunConsole) -> dict[Case, Knobs]:
    """The best knobs of every planned case that has some, searched for where no earlier run did it here.

    A case without a configuration that works has no entry, and its track's defaults are left to fail with their reason.
    """
    chosen, own = dict[Case, Knobs](), read(prepared.folder)
    earlier = [folder for folder in reversed(run_folders(output)) if folder != prepared.folder]
    known = [*own, *(row for folder in earlier for row in read(folder))]
    for planned in cases:
        case, python = planned.case, prepared.pythons[planned.case.backend]
        if case.task != "train" or case.track not in SEARCHED or planned.skip or python is None:
            continue
        now = circumstances(case, python)
        found = reusable(known, case, now)
        if not found:
            found = _searched(prepared, case, python, now, console)
        elif found[0].searched_in != prepared.folder.name:
            console.say(f"{case.title}: knobs as run {found[0].searched_in} found them")
        if not any(row.case == case for row in own):
            _append(prepared.folder / FILE, [replace_struct(row, case=case) for row in found])
        best = next((row for row in found if row.chosen), None)
        if best:
            chosen[case] = best.knobs
            console.say(f"{case.title}: {knob_words(best.knobs)}, {1000 * best.seconds:.3g} ms a step")
    return chosen


def read(folder: Path) -> list[TuningRow]:
    """The rows of a run's tuning.csv; none where it is missing or cannot be used."""
    try:
        with (folder / FILE).open(encoding="utf-8", newline="") as file:
            return [read_row(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def reusable(rows: Sequence[TuningRow], case: Case, now: str) -> list[TuningRow]:
    """The rows of the newest search for this case, whatever its samples and epochs, in the same circumstances."""
    fitting = [row for row in rows if row.circumstances == now and _alike(row.case, case)]
    return [row for row in fitting if (row.case, row.searched_in) == (fitting[0].case, fitting[0].searched_in)]


def _alike(one: Case, other: Case) -> bool:
    """Whether two cases differ in nothing but their samples and epochs."""
    return replace(one, samples=other.samples, epochs=other.epochs) == other


def choose(rows: Sequence[Tried]) -> Tried | None:
    """The fastest configuration, or one within 3 % of it that turns fewer knobs; None where none worked."""
    good = [row for row in rows if row.status == "ok"]
    if not good:
        return None
    default, fastest = rows[0].knobs, min(row.seconds for row in good)
    near = [row for row in good if row.seconds <= GAIN * fastest]
    return min(near, key=lambda row: (len(changed_knobs(row.knobs, default)), row.seconds))


def circumstances(case: Case, python: Path) -> str:
    """A digest of what a search's outcome depends on besides the case: machine, packages, workload, our own code."""
    name = case.workload if case.workload.endswith(".py") else f"models/{module_of(case.workload)}.py"
    sources = [ROOT / name, *(ROOT / source for source in SOURCES)]
    sources += sorted((ROOT / "bench" / "worker" / "backends" / case.backend).glob("*.py"))
    total = hashlib.sha256(f"{_here()}{environments.installed(python)}".encode())
    for source in sources:
        total.update(source.read_bytes() if source.is_file() else b"")
    return total.hexdigest()[:16]


@functools.cache
def _here() -> str:
    """The part of the machine's fingerprint that a search depends on; asking for its GPUs starts a process."""
    found = fingerprint()
    return repr([found[key] for key in ("cpu", "usable_cpus", "gpus", "flags")])


def _searched(prepared: Prepared, case: Case, python: Path, now: str, console: RunConsole) -> list[TuningRow]:
    """Try every configuration; one that takes the process down is a row too, and the others go on."""
    workload = next(one for one in prepared.workloads if one.workload == case.workload)
    within = math.ceil(PASS_SECONDS / workload.step_seconds) if workload.step_seconds else MOST_STEPS
    steps = max(FEWEST_STEPS[case.track], min(MOST_STEPS, within))
    steps = min(steps, case.samples // case.batch_size)
    # The seed is a part of the path of the weights alone: any will do.
    seed = int(next(iter(workload.weights), 0))
    output = prepared.folder / "logs" / f"tune-{case.title.replace(' ', '-')}.jsonl"
    command = [
        str(python),
        "-m",
        "bench.worker.programs.tuning",
        *replace(case, epochs=2).options(),
        f"--steps={steps}",
    ]
    command += [f"--weights={prepared.weights(PlannedLaunch(case, 0, seed)).resolve()}", f"--output={output.resolve()}"]
    seconds = 0.0
    for _ in range(MOST_DEATHS):
        with console.status(f"{case.title}: searching for the best knobs") as status:
            outcome = launch(
                command,
                log=output.with_suffix(".log"),
                limit_seconds=LIMIT_SECONDS,
                on_message=lambda message: status.update(Text(f"{case.title}: {message.get('knobs')}")),
            )
        seconds += outcome.wall_seconds
        if outcome.status == "ok" or not _blame(output, f"{outcome.status}: {outcome.reason}"):
            break
    rows = [line for line in _lines(output) if isinstance(line, Tried)]
    best = choose(rows)
    said = f"{len(rows)} configurations in {duration(seconds)}" if rows else f"no search: {outcome.reason}"
    if rows and best is None:
        said += f", of which none works: {rows[0].reason}"
    console.say(f"{case.title}: {said}")
    return [
        TuningRow(
            case=case,
            knobs=row.knobs,
            status=row.status,
            reason=row.reason,
            step_seconds=row.step_seconds,
            chosen=row is best,
            steps=steps,
            searched_in=prepared.folder.name,
            circumstances=now,
        )
        for row in rows
    ]


def _blame(output: Path, reason: str) -> bool:
    """Record that the configuration under way ended its process; False where none was under way."""
    lines = _lines(output)
    last = lines[-1] if lines else None
    if not isinstance(last, Begun):
        return False
    row = Tried(knobs=last.begun, status="failed", reason=reason, step_seconds=None)
    with output.open("a", encoding="utf-8") as file:
        print(json.dumps(row.to_json()), file=file)
    return True


def _lines(output: Path) -> list[Begun | Tried]:
    """What a search's process has written so far; it may have been ended within a line."""
    found = []
    for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(read_line(line))
    return found


def _append(path: Path, rows: Sequence[TuningRow]) -> None:
    """Add rows so that the file is never there with half of one."""
    before = path.read_bytes().decode() if path.exists() else ""  # with its line ends as they are
    added = io.StringIO(newline="")
    writer = csv.DictWriter(added, TUNING_COLUMNS)
    if not before:
        writer.writeheader()
    writer.writerows(row.to_csv() for row in rows)
    write_whole(path, before + added.getvalue())
