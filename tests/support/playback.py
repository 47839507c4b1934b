"""What runs of the interpreter that plays back recorded launches have left."""

import json

from bench.contract import files, launch_record


def launches(folder, backend="-"):
    """The `launch` objects of a run, or of one backend."""
    paths = sorted((folder / "launches").glob(f"*{backend}*.json"))
    assert all(launch_record.read(path) for path in paths)
    return [files.load(path)["launch"] for path in paths]


def described(folder):
    """The run's run.json."""
    return json.loads((folder / "run.json").read_text())


def state(folder):
    """How the run ended."""
    return described(folder)["state"]
