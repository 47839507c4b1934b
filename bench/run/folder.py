"""The runs under a results folder: made, described, found, and asked how long a case took."""

import contextlib
import hashlib
import itertools
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.contract import files, launch_record, record
from bench.contract.case import Case
from bench.contract.errors import UsageError
from bench.contract.files import RecordError
from bench.contract.machines import Machine
from bench.contract.paths import ROOT
from bench.contract.results import NAME, named_time, run_folders
from bench.contract.typed import MalformedError, parse
from bench.machine import environments
from bench.machine.fingerprint import fingerprint
from bench.plan.selection import Selection
from bench.run.prepare import Prepared

RUNS_LOOKED_AT = 5
LAST = datetime(9999, 1, 1, tzinfo=UTC)  # names can be no later
AHEAD = timedelta(minutes=1)  # of the clock: from here on a run says that its name is ahead
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


def clock_warning(folder: Path) -> str:
    """A warning where a new run's name is ahead of the clock; else empty."""
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
        "workloads": [workload.to_json() for workload in prepared.workloads],
        "machine": fingerprint(),
        "code": _code(options.workloads),
        "versions": {
            f"{backend} {variant}".strip(): environments.installed(python)
            for variant, pythons in (prepared.pythons_of or {"": prepared.pythons}).items()
            for backend, python in pythons.items()
            if python
        },
        **more,
    }


def _code(workloads: Sequence[str]) -> str:
    """A digest of what is trained, the user's own workload files too, and of what measures it."""
    total = hashlib.sha256()
    own = [Path(name) for name in workloads if name.endswith(".py")]
    parts = [ROOT / part for part in ("models", "bench/worker")]
    for path in (*own, *(path for part in parts for kind in ("*.py", "*.ini") for path in sorted(part.rglob(kind)))):
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()[:16]


def write_state(folder: Path, description: Mapping[str, Any], state: str, **more: Any) -> None:
    """Write run.json; `state` is `running`, `finished` or `interrupted`."""
    files.write(folder / "run.json", {**description, "state": state, **more})


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


def known_seconds(output: Path, kinds: Sequence[Mapping[str, str]] = ()) -> dict[Case, float]:
    """The wall seconds that a launch of each case last took here, from the newest runs; or on nodes of these kinds."""
    known = {}
    newest = (one for one in reversed(run_folders(output)) if any((one / "launches").glob("[!.]*.json")))
    alike = ((folder, names) for folder in newest if (names := _alike(folder, kinds)))
    for folder, names in reversed(list(itertools.islice(alike, RUNS_LOOKED_AT))):
        for path in sorted((folder / "launches").glob("[!.]*.json")):
            try:
                found = launch_record.read(path)
            except RecordError:
                continue  # the report of its own run names it
            if found.status == "ok" and found.wall_seconds and found.node in names:
                known[found.case] = float(found.wall_seconds)
    return known


def _alike(folder: Path, kinds: Sequence[Mapping[str, str]]) -> list[str]:
    """The nodes of a run that are of these kinds, by name; without kinds this machine, which has none."""
    nodes = nodes_of(folder)
    if not kinds:
        return [] if nodes else [""]
    return [name for name, machine in nodes.items() if machine.kind in kinds]


def nodes_of(folder: Path) -> dict[str, Machine]:
    """The nodes on which a run was measured, by name; none of a local one, or where run.json cannot be used."""
    try:
        return parse(dict[str, Machine], files.load(folder / "run.json").get("nodes", {}))
    except (RecordError, MalformedError):
        return {}  # what is wrong with run.json is said when it is read whole
