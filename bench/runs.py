"""The runs under a results folder: made, described, found, and asked how long a case took."""

import contextlib
import itertools
import json
import secrets
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine, record
from bench.command_line import UsageError
from bench.options import Selection
from bench.prepare import Prepared

RUNS_LOOKED_AT = 5
SAME = ("cpu", "logical_cpus", "usable_cpus", "gpus", "python", "flags")  # of the machine, for a run that goes on
MEASURED = ("weights", "step_seconds")  # of a workload's description: compared apart, or never twice the same
LOG = "run.log"  # what the run said
PARTS = ("launches", "ladders", "logs", "weights")


def new_run(output: Path) -> Path:
    """A new run's folder, named so that names sort by time; UsageError where it cannot be made."""
    folder = output / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    try:
        for part in PARTS:
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}); name a folder that can") from None
    return folder


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
        **more,
    }


def write_state(folder: Path, description: Mapping[str, Any], state: str, **more: Any) -> None:
    """Write run.json; `state` is `running`, `finished` or `interrupted`."""
    record.write(folder / "run.json", {**description, "state": state, **more})


def continued(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a run that goes on: what it said, held against what it would say if it began now.

    Raises UsageError where they are not the same measurement.
    """
    before: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for name in SAME:
        was, now = (one["machine"].get(name) for one in (before, description))
        if was != now:
            raise UsageError(f"--resume {folder.name}: it was measured with {name} {was}, here it is {now}; start anew")
    for was, now in zip(before["workloads"], description["workloads"], strict=True):
        seeds = was["weights"].keys() & now["weights"].keys()
        same = all(was["weights"][seed] == now["weights"][seed] for seed in seeds)
        settled = [{name: value for name, value in one.items() if name not in MEASURED} for one in (was, now)]
        if settled[0] != settled[1] or not same:
            raise UsageError(f"--resume {folder.name}: {was['workload']} has changed since, or its weights; start anew")
    return before


def resumable(name: str, output: Path, finished: bool = False) -> tuple[Path, dict[str, Any]]:
    """The folder and the options of a run that may go on; UsageError where there is none.

    A run that has finished is refused unless `finished`.
    """
    folder = find_run(name, output)
    try:
        description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        state, options = description["state"], dict(description["options"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"--resume {name}: its run.json cannot be read; start anew") from None
    if state == "finished" and not finished:
        raise UsageError(f"--resume {name}: it has finished")
    return folder, options


def remove(folder: Path, output: Path | None) -> None:
    """Remove a folder that holds nothing measured, and the results folder where it was made for this run."""
    shutil.rmtree(folder, ignore_errors=True)
    if output is not None:
        with contextlib.suppress(OSError):
            output.rmdir()


def find_run(name: str, output: Path) -> Path:
    """The folder of a run given by id, by path, or as `latest`."""
    if name == "latest":
        runs = run_folders(output)
        if not runs:
            raise UsageError(f"no run under {output}")
        return runs[-1]
    for folder in (Path(name), output / name):
        if (folder / "run.json").is_file():
            return folder
    known = [folder.name for folder in run_folders(output)]
    raise UsageError(f"no run {name!r}; known under {output}: {', '.join(known[-5:]) or 'none'}")


def run_folders(output: Path) -> list[Path]:
    """The runs of a results folder, oldest first: their names begin with the time."""
    return sorted(path.parent for path in output.glob("*/run.json"))


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
def interruptible() -> Iterator[None]:
    """Let SIGTERM (a batch system) and SIGHUP (a terminal gone) end a run as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
