"""The knobs of the tracks that have some: searched once for a case and machine, kept in the run's tuning.csv."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec.structs import replace as replace_struct

from bench.contract.case import SEARCHED, Case, module_of
from bench.contract.files import write_whole
from bench.contract.paths import ROOT
from bench.contract.results import run_folders
from bench.contract.tuning import LEAST_ROUNDS, TUNING_COLUMNS, knob_words
from bench.contract.tuning_rows import Knobs, TuningRow, read_row
from bench.machine import environments
from bench.machine.fingerprint import fingerprint
from bench.plan.planned import PlannedCase
from bench.run.console import RunConsole
from bench.run.prepare import Prepared
from bench.run.tuning_processes import Search

FILE = "tuning.csv"
# What decides how a track is executed: a search is repeated where one of these has changed.
SOURCES = (
    "bench/worker/workload/train.py",
    "bench/worker/workload/inputs.py",
    "bench/worker/backends/network.py",
    "bench/worker/backends/kinds.py",
    "bench/worker/programs/tuning.py",
    "bench/run/tuning_final.py",
)


def tune(prepared: Prepared, cases: Sequence[PlannedCase], output: Path, console: RunConsole) -> dict[Case, Knobs]:
    """The best knobs of every planned case that has some, searched for where no earlier run did it here.

    A case without a configuration that works has no entry, and its track's defaults are left to fail with their reason.
    """
    chosen, own = dict[Case, Knobs](), read(prepared.folder)
    earlier = [folder for folder in reversed(run_folders(output)) if folder != prepared.folder]
    known = [row for folder in earlier for row in read(folder)]
    for planned in cases:
        case, python = planned.case, prepared.python(planned.case.backend, planned.case.variant)
        if case.task != "train" or case.track not in SEARCHED or planned.skip or python is None:
            continue
        now = circumstances(case, python)
        found = next(iter(_searches(own, case, now)), []) or reusable(known, case, now)
        if not found:
            found = Search(prepared, case, python, console).rows(now)
        elif found[0].searched_in != prepared.folder.name:
            console.say(f"{case.title}: knobs as run {found[0].searched_in} found them")
        if not any(row.case == case for row in own):
            _append(prepared.folder / FILE, [replace_struct(row, case=case) for row in found])
        best = next((row for row in found if row.chosen), None)
        if best:
            chosen[case] = best.knobs
            console.say(f"{case.title}: {_outcome(best, found)}")
    return chosen


def read(folder: Path) -> list[TuningRow]:
    """The rows of a run's tuning.csv; none where it is missing or cannot be used."""
    try:
        with (folder / FILE).open(encoding="utf-8", newline="") as file:
            return [read_row(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def reusable(rows: Sequence[TuningRow], case: Case, now: str) -> list[TuningRow]:
    """The rows of the newest search for this case, whatever its samples and epochs, in the same circumstances.

    One that was left undecided by disturbed rounds, or that chose knobs without an interval, is not used again.
    """
    return next((search for search in _searches(rows, case, now) if _is_settled(search)), [])


def _searches(rows: Sequence[TuningRow], case: Case, now: str) -> list[list[TuningRow]]:
    """Those for this case, whatever its samples and epochs, in the same circumstances, in the rows' order."""
    searches: dict[tuple[Case, str], list[TuningRow]] = {}
    for row in rows:
        if row.circumstances == now and _alike(row.case, case):
            searches.setdefault((row.case, row.searched_in), []).append(row)
    return list(searches.values())


def _is_settled(search: Sequence[TuningRow]) -> bool:
    undecided = any(row.disturbed and row.rounds < LEAST_ROUNDS for row in search)
    return not undecided and all(row is search[0] or row.ratio_high is not None for row in search if row.chosen)


def _outcome(best: TuningRow, search: Sequence[TuningRow]) -> str:
    """What a search came to, in a line."""
    words = knob_words(best.knobs)
    disturbed = f"; {best.disturbed} more were disturbed" if best.disturbed else ""
    if best.ratio is not None:
        interval = f"{best.ratio:.3g} [{best.ratio_low:.3g}, {best.ratio_high:.3g}]"
        return f"{words}: a step takes {interval} times as long as with the default ({best.rounds} rounds{disturbed})"
    if best is not search[0]:
        return f"{words}: the fastest, and the default does not work"
    if best.disturbed and best.rounds < LEAST_ROUNDS:
        return f"no difference seen, {best.disturbed} rounds were disturbed: the default, {words}"
    return f"no difference seen: the default, {words}"


def _alike(one: Case, other: Case) -> bool:
    """Whether two cases differ in nothing but their samples and epochs."""
    return replace(one, samples=other.samples, epochs=other.epochs) == other


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


def _append(path: Path, rows: Sequence[TuningRow]) -> None:
    """Add rows so that the file is never there with half of one."""
    before = path.read_bytes().decode() if path.exists() else ""  # with its line ends as they are
    if before.partition("\n")[0].strip() != ",".join(TUNING_COLUMNS):  # an earlier version's, of no more use
        before = ""
    added = io.StringIO(newline="")
    writer = csv.DictWriter(added, TUNING_COLUMNS)
    if not before:
        writer.writeheader()
    writer.writerows(row.to_csv() for row in rows)
    write_whole(path, before + added.getvalue())
