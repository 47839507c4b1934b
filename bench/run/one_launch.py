"""One launch, wherever it happens, and the record that it leaves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contract import files, launch_record, record
from bench.contract.files import RecordError
from bench.launch.outcome import Outcome
from bench.places.place import Place, Work
from bench.plan.planned import PlannedLaunch
from bench.run.console import Progress
from bench.run.prepare import Prepared


def launch(
    prepared: Prepared, planned: PlannedLaunch, final: Path, limit: float, progress: Progress, place: Place
) -> Outcome:
    """Run one launch and write its record, whatever happens but an interruption or the loss of its node.

    These leave none; NodeLostError for the latter.
    """
    site = place.site(prepared.weights(planned))
    command = prepared.command(planned, site)
    if command is None:
        outcome = Outcome("failed", prepared.missing_reason(planned.case.backend), 0.0)
        write_empty(final, planned, outcome, [], place.recorded)
        return outcome
    shown = [word.replace(f"{site.root}{os.sep}", "") for word in command]  # as one would type it there
    left = final.with_name(f".{final.stem}.worker")
    work = Work(
        command,
        weights=prepared.weights(planned),
        record=left,
        log=prepared.folder / "logs" / f"{final.stem}.log",
        limit_seconds=limit,
        on_message=progress.message,
    )
    try:
        outcome = place.launch(work)
        content, outcome = _collect(left, planned, outcome)
    finally:
        for path in (left, left.with_name(f"{left.name}.measured")):  # the node's, and the worker's if both were ended
            path.unlink(missing_ok=True)
    if content is None:
        write_empty(final, planned, outcome, shown, place.recorded)
    else:
        added = {"command": shown, "wall_seconds": outcome.wall_seconds, **place.recorded}
        added |= {"remark": outcome.remark} if outcome.remark else {}
        files.write(final, {**content, "launch": {**content["launch"], **added}})
    return outcome


def _collect(path: Path, planned: PlannedLaunch, outcome: Outcome) -> tuple[dict[str, Any] | None, Outcome]:
    """The record a worker left, or None and the outcome that says what is wrong with it.

    One that is complete counts, however its process ended afterwards: what was measured is not lost.
    """
    try:
        whole = _left(path, planned)
    except RecordError as error:
        reason = f"the worker ended well but left no usable record ({error})"
        unusable = Outcome("failed", reason, outcome.wall_seconds, outcome.remark)
        return None, unusable if outcome.status == "ok" else outcome
    if outcome.status != "ok":
        remark = f"its record was complete before its process ended badly ({outcome.status}: {outcome.reason})"
        return whole, Outcome("ok", "", outcome.wall_seconds, remark)
    return whole, outcome


def _left(path: Path, planned: PlannedLaunch) -> dict[str, Any]:
    """A worker's record, with its place in the run added; RecordError for an unusable one."""
    if not path.exists():
        raise RecordError("it wrote none")
    content = files.load(path)
    if not isinstance(content.get("launch"), dict):
        raise RecordError("it has no launch object")
    launch = content["launch"] | {"repetition": planned.repetition, "attempt": planned.attempt}
    whole = {**content, "launch": launch}
    found = launch_record.check(whole, "its record")
    if (found.case, found.seed) != (planned.case, planned.seed):
        raise RecordError("it is of another launch")
    return whole


def write_empty(
    path: Path, planned: PlannedLaunch, outcome: Outcome, command: Sequence[str], where: Mapping[str, Any]
) -> None:
    """The record of a launch that measured nothing, and why; `where` is what it says of its place."""
    content = record.empty(
        planned.case,
        repetition=planned.repetition,
        attempt=planned.attempt,
        seed=planned.seed,
        status=outcome.status,
        reason=outcome.reason,
    )
    content["launch"] |= {"command": list(command), "wall_seconds": outcome.wall_seconds, **where}
    files.write(path, content)


def disturbed(path: Path) -> str:
    """Why a launch with a record counts as disturbed; empty where it does not, or its record cannot be read."""
    found = _recorded(path)
    return found.disturbed if found else ""


def place_of(path: Path) -> str:
    """The place in which a launch with a record ran, by name; empty where that is this machine, or cannot be read."""
    found = _recorded(path)
    return found.place if found else ""


def _recorded(path: Path) -> launch_record.Launch | None:
    try:
        return launch_record.read(path)
    except RecordError:
        return None  # of an earlier version, or damaged since; the report names it
