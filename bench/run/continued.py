"""Does a resumed run still measure the same thing?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract.errors import UsageError
from bench.contract.results import described
from bench.contract.run_json import RunDescription, read
from bench.contract.values import is_number

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
SECONDS = ("wall_seconds", "tuning_seconds", "explain_seconds")  # spent so far
MEASURED = ("weights", "step_seconds")  # of a workload's description: compared apart, or never twice the same


def continued(folder: Path, description: RunDescription) -> RunDescription:
    """The description of a run that goes on: what it said, held against what it would say if it began now.

    Raises UsageError where they are not the same measurement, or run.json is damaged.
    """
    content = described(folder)
    try:
        before = read(content)
        check_same_measurement(folder.name, before.to_json(), description.to_json())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"--resume {folder.name}: its run.json cannot be used; start anew") from None
    return before


def check_same_measurement(name: str, before: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    for part in SAME if not before.get("nodes") else ():  # a cluster's nodes are held against each other
        was, now = (one["machine"].get(part) for one in (before, description))
        if was != now:
            raise UsageError(f"--resume {name}: it was measured with {part} {was}, here it is {now}; start anew")
    for backend, versions in before.get("versions", {}).items():
        here = description.get("versions", {}).get(backend, {})
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
    if not all(is_number(before.get(part, 0.0), 0.0) for part in SECONDS):
        raise ValueError("no seconds")
    for was, now in zip(before["workloads"], description["workloads"], strict=True):
        seeds = was["weights"].keys() & now["weights"].keys()
        same = all(was["weights"][seed] == now["weights"][seed] for seed in seeds)
        settled = [{key: value for key, value in one.items() if key not in MEASURED} for one in (was, now)]
        if settled[0] != settled[1] or not same:
            raise UsageError(f"--resume {name}: {was['workload']} has changed since, or its weights; start anew")
