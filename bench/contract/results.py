"""The runs of a results folder: found by name, and asked whether they may go on; standard library only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract import files
from bench.contract.errors import UsageError
from bench.contract.files import RecordError

NAME = "%Y%m%dT%H%M%SZ"  # of a run's folder, but for its random suffix


def named_time(folder: Path) -> datetime | None:
    """The time in UTC that a run's folder is named after; None for a copy under another name."""
    try:
        return datetime.strptime(folder.name.partition("-")[0], NAME).replace(tzinfo=UTC)
    except ValueError:
        return None


def described(folder: Path) -> dict[str, Any]:
    """The run.json of a run that is to go on; UsageError where it cannot be read."""
    try:
        return files.load(folder / "run.json")
    except RecordError as error:
        raise UsageError(f"--resume {folder.name}: {error}; start anew") from None


def resumable(name: str, output: Path, finished: bool = False) -> tuple[Path, dict[str, Any]]:
    """The folder and the options of a run that may go on; UsageError where there is none.

    A run that has finished is refused unless `finished`.
    """
    folder = find_run(name, output)
    description = described(folder)
    try:
        state, options = description["state"], dict(description["options"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"--resume {name}: its run.json cannot be used; start anew") from None
    if state == "finished" and not finished:
        raise UsageError(f"--resume {name}: it has finished")
    return folder, options


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
    """The runs of a results folder, oldest first: their names begin with the time, but for copies, which come first."""
    folders = [path.parent for path in output.glob("*/run.json")]
    return sorted(folders, key=lambda folder: (named_time(folder) is not None, folder.name))
