"""The runs under a results folder: made, described, found, and asked how long a case took."""

import contextlib
import hashlib
import itertools
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from bench import environments, lock, machine, record, strays
from bench.command_line import UsageError
from bench.options import Selection
from bench.prepare import Prepared
from bench.progress import RunConsole
from bench.results import NAME, described, named_time, run_folders
from bench.values import is_number

RUNS_LOOKED_AT = 5
SAME = (
    "cpu",
    "logical_cpus",
    "physical_cpus",
    "memory_mib",
    "system",
    "usable_cpus",
    "gpus",
    "gpu",
    "python",
    "flags",
)  # of the machine, for a run that goes on
MEASURED = ("weights", "step_seconds")  # of a workload's description: compared apart, or never twice the same
LAST = datetime(9999, 1, 1, tzinfo=UTC)  # names can be no later
AHEAD = timedelta(minutes=1)  # of the clock: from here on a run's name is worth a word
LOG = "run.log"  # what the run said
PARTS = ("launches", "ladders", "logs", "weights")


def new_run(output: Path, now: datetime | None = None) -> Path:
    """A new run's folder, named so that names sort in the order of the runs; UsageError where it cannot be made.

    The name is the time in UTC, but later than the newest run's, also where the clock was set back.
    """
    time = (now or datetime.now(UTC)).replace(microsecond=0)
    newest = max(filter(None, map(named_time, run_folders(output))), default=None)
    if newest is not None and newest < LAST:
        time = max(time, newest + timedelta(seconds=1))
    folder = output / f"{time:{NAME}}-{secrets.token_hex(2)}"
    try:
        for part in PARTS:
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}); name a folder that can") from None
    return folder


def set_back(folder: Path) -> str:
    """What to say where a new run's name is ahead of the clock; empty where it is not."""
    named, now = named_time(folder), datetime.now(UTC)
    if named is None or named - now < AHEAD:
        return ""
    return f"the clock is behind the newest run here; this one is named {folder.name} so that it sorts after that"


def describe(options: Selection, prepared: Prepared, **more: Any) -> dict[str, Any]:
    """What run.json says, but for the state: what was asked for, of what, on what, and `more`."""
    python = {backend: str(path) for backend, path in options.python.items()}
    return {
        "schema": record.SCHEMA,
        "id": prepared.folder.name,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {**asdict(options), "python": python, "output": str(options.output)},
        "reference": options.reference,
        "prepared_by": prepared.backend,
        "workloads": list(prepared.workloads),
        "machine": machine.fingerprint(),
        "code": _code(options.workloads),
        "versions": {backend: environments.installed(python) for backend, python in prepared.pythons.items() if python},
        **more,
    }


def _code(workloads: Sequence[str]) -> str:
    """A digest of what is trained, the user's own workload files too, and of what measures it."""
    total = hashlib.sha256()
    own = [Path(name) for name in workloads if name.endswith(".py")]
    parts = [environments.ROOT / part for part in ("models", "bench/worker")]
    for path in (*own, *(path for part in parts for kind in ("*.py", "*.ini") for path in sorted(part.rglob(kind)))):
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()[:16]


def write_state(folder: Path, description: Mapping[str, Any], state: str, **more: Any) -> None:
    """Write run.json; `state` is `running`, `finished` or `interrupted`."""
    record.write(folder / "run.json", {**description, "state": state, **more})


def continued(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a run that goes on: what it said, held against what it would say if it began now.

    Raises UsageError where they are not the same measurement, or run.json is damaged.
    """
    before = described(folder)
    try:
        _hold_against(folder.name, before, description)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"--resume {folder.name}: its run.json cannot be used; start anew") from None
    return before


def _hold_against(name: str, before: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    for part in SAME:
        was, now = (one["machine"].get(part) for one in (before, description))
        if was != now:
            raise UsageError(f"--resume {name}: it was measured with {part} {was}, here it is {now}; start anew")
    for backend, versions in before.get("versions", {}).items():
        here = description["versions"].get(backend, {})
        if versions and not here:
            raise UsageError(f"--resume {name}: the environment of {backend} does not answer any more; mend it first")
        for package in sorted(versions.keys() | here.keys() if versions else ()):
            was, now = (one.get(package, "missing") for one in (versions, here))
            if was != now:
                raise UsageError(
                    f"--resume {name}: it was measured with {package} {was} for {backend}, here it is {now}; start anew"
                )
    if before.get("code", description["code"]) != description["code"]:
        raise UsageError(f"--resume {name}: models, a workload's file or bench/worker have changed since; start anew")
    if not all(is_number(before.get(part, 0.0), 0.0) for part in ("wall_seconds", "tuning_seconds")):
        raise ValueError("no seconds")
    for was, now in zip(before["workloads"], description["workloads"], strict=True):
        seeds = was["weights"].keys() & now["weights"].keys()
        same = all(was["weights"][seed] == now["weights"][seed] for seed in seeds)
        settled = [{key: value for key, value in one.items() if key not in MEASURED} for one in (was, now)]
        if settled[0] != settled[1] or not same:
            raise UsageError(f"--resume {name}: {was['workload']} has changed since, or its weights; start anew")


def clear_partial(folder: Path) -> None:
    """Remove what a run that was killed was writing; no record is among it."""
    searches = (folder / "logs").glob("tune-*.jsonl")  # those that came to an end are in tuning.csv
    for path in (*folder.glob(".*"), *(folder / "launches").glob(".*"), *searches):
        path.unlink(missing_ok=True)


def remove(folder: Path, output: Path | None) -> None:
    """Remove a folder that holds nothing measured, and the results folder where it was made for this run."""
    shutil.rmtree(folder, ignore_errors=True)
    if output is not None:
        with contextlib.suppress(OSError):
            output.rmdir()


def known_seconds(output: Path) -> dict[record.Case, float]:
    """The wall seconds that a launch of each case last took here, from the newest runs."""
    known = {}
    newest = (folder for folder in reversed(run_folders(output)) if any((folder / "launches").glob("[!.]*.json")))
    for folder in reversed(list(itertools.islice(newest, RUNS_LOOKED_AT))):
        for path in sorted((folder / "launches").glob("[!.]*.json")):
            try:
                found = record.read(path)["launch"]
            except record.RecordError:
                continue  # the report of its own run names it
            if found["status"] == "ok" and found.get("wall_seconds"):
                known[record.Case(**found["case"])] = float(found["wall_seconds"])
    return known


@contextlib.contextmanager
def interruptible(hang_up: bool = True) -> Iterator[list[int]]:
    """Let SIGTERM (a batch system) and, unless told otherwise, SIGHUP (a terminal gone) end a run as Ctrl-C does.

    Once interrupted, more signals change nothing until what was measured is safe. Ctrl-C pressed again stands in the
    list that this gives; a terminal that goes may send its signal twice.
    """
    seen: list[int] = []
    insisted: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not seen:
            seen.append(number)
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            insisted.append(number)

    # In the background of a shell Ctrl-C is somebody else's.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {one: signal.getsignal(one) for one in signals if signal.getsignal(one) != signal.SIG_IGN}
    for number in previous:
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP and not hang_up else interrupt)
    try:
        yield insisted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def under_way(console: RunConsole) -> Iterator[None]:
    """A run alone on its machine, which ends in good order when it is interrupted; what killed ones left is ended.

    Raises UsageError while another is under way, and KeyboardInterrupt at its end for who interrupted more than once.
    """
    with lock.alone(), interruptible() as insisted:
        ended = strays.end_abandoned()
        if ended:
            console.say(f"{ended} processes that a killed run had left behind were ended")
        yield
    if insisted:
        console.say("interrupted again: no report was written; nox -s report writes it")
        raise KeyboardInterrupt
