"""The runs under a results folder: made, found, and asked how long a case took."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from bench import record
from bench.options import UsageError

RUNS_LOOKED_AT = 5


def new_run(output: Path) -> Path:
    """A new run's folder, named so that names sort by time; UsageError where it cannot be made."""
    folder = output / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    try:
        for part in ("launches", "logs", "weights"):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be written ({error.strerror}); name a folder that can") from None
    return folder


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
    for folder in run_folders(output)[-RUNS_LOOKED_AT:]:
        for path in sorted((folder / "launches").glob("[!.]*.json")):
            try:
                found = record.read(path)["launch"]
            except record.RecordError:
                continue  # the report of its own run names it
            if found["status"] == "ok" and found.get("wall_seconds"):
                known[record.Case(**found["case"])] = float(found["wall_seconds"])
    return known
