"""A training script in the place of the workloads: it says itself what is trained on what, and how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract.errors import OwnModelError, UsageError
from bench.own_models.script import adopt_script, script_call
from bench.plan import checks

AS_IT_IS: Mapping[str, Any] = {"tracks": ("shipped",), "numerics": ("float32",), "parity": False}  # it is measured
MUTE: Mapping[str, Any] = {  # options that a script leaves nothing to say of, and their defaults
    "workloads": None,
    "samples": None,
    "batch_sizes": None,
    "numerics": None,
    "tasks": ("train",),
    "inputs": ("arrays",),
    "device_counts": (1,),
    "to_target": False,
    "explain": False,
    "dataset": None,
    "loss": None,
    "unsafe": False,
}
SPELLED = {"batch_sizes": "batch-size", "device_counts": "device-count", "to_target": "to-target"}  # others as they are


def script_settings(script: str, fit: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The workloads that follow from a script; `given` are all other options, as they were said.

    Raises UsageError where one of them says what the script says, and FileOptionError where there is no such script.
    """
    checks.check_whole("--fit", fit, 1)
    said = [name for name, usual in MUTE.items() if given.get(name, usual) != usual]
    if said:
        option = SPELLED.get(said[0], said[0])
        raise UsageError(f"--{option}: a script says itself what is trained on what, and how; leave it out")
    if given.get("tracks") not in (None, ("shipped",)):
        raise UsageError(f"--tracks {','.join(given['tracks'])}: a script is trained as it is, in track shipped")
    try:
        adopted = adopt_script(*script_call(script), fit, Path(given["output"]))
    except OwnModelError as error:
        raise checks.FileOptionError(f"--script: {error}") from None
    return {"workloads": (adopted.path,), "adopted": (*given["adopted"], adopted)}
