"""What runs of the interpreter that plays back recorded launches have left."""

import json

from bench.contract import record


def launches(folder, backend="-"):
    """The `launch` objects of a run, or of one backend."""
    return [record.read(path)["launch"] for path in sorted((folder / "launches").glob(f"*{backend}*.json"))]


def described(folder):
    """The run's run.json."""
    return json.loads((folder / "run.json").read_text())


def state(folder):
    """How the run ended."""
    return described(folder)["state"]
