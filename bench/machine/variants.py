"""Environments with other versions than those that are pinned: of variants that a run compares.

Where a package besides the framework changes, an overlay does: an environment that holds that package alone, and a
`.pth` file that names the packages of the backend's own environment, which come after it. Where the framework changes,
so may all that it needs, and the environment is a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bench.contract.catalog import framework_of
from bench.machine import environments

FAILED = "failed"  # in a folder that could not be completed: why, in a line
NEWER_PYTHONS = ("3.12", "3.13")  # that are tried where this Python has no such version


def is_overlay(pins: Sequence[str]) -> bool:
    """Whether these versions go on top of the backend's own environment."""
    return not any(framework_of(environments.distribution(pin)) for pin in pins)


def requirements(backend: str, packages: Sequence[str], pins: Sequence[str]) -> list[str]:
    """What pip installs: the versions alone into an overlay, else the backend's pins with these in their place."""
    if is_overlay(pins):
        return list(pins)
    instead = {environments.distribution(pin): pin for pin in pins}
    usual = environments.requirements(backend, packages)
    kept = [
        _replaced(pin, instead[environments.distribution(pin)]) if environments.distribution(pin) in instead else pin
        for pin in usual
    ]
    return [*kept, *(pin for name, pin in instead.items() if name not in map(environments.distribution, usual))]


def _replaced(usual: str, pin: str) -> str:
    """The version of `pin` for a requirement with its extras, such as those for CUDA."""
    return f"{usual.partition('==')[0]}=={pin.partition('==')[2]}"


def folder(backend: str, packages: Sequence[str], pins: Sequence[str]) -> Path:
    """Where the environment lies."""
    digest = hashlib.sha256("\n".join([*packages, "", *pins]).encode()).hexdigest()
    return environments.ENVIRONMENTS / f"env-{backend}-vary-{digest[:8]}"


def stamp(backend: str, packages: Sequence[str], pins: Sequence[str]) -> str:
    """What the stamp of a complete environment says: the digest of all that it is built from."""
    built_from = [environments.stamp(backend, packages), *requirements(backend, packages, pins)]
    if is_overlay(pins):  # which names the folder below it, and breaks where that is moved
        built_from.append(str(environments.folder(backend, packages)))
    return hashlib.sha256("\n".join(built_from).encode()).hexdigest()


def environment_python(backend: str, packages: Sequence[str], pins: Sequence[str]) -> Path:
    """The interpreter of the environment."""
    return folder(backend, packages, pins) / "bin" / "python"


def complete(backend: str, packages: Sequence[str], pins: Sequence[str]) -> bool:
    """Whether the environment was built to its end, and what it lies on, from the pins in force now."""
    path = folder(backend, packages, pins) / environments.STAMP
    there = environment_python(backend, packages, pins).exists() and path.is_file()
    below = not is_overlay(pins) or environments.complete(backend, packages)
    return there and below and path.read_text(encoding="utf-8") == stamp(backend, packages, pins)


def missing_reason(backend: str, packages: Sequence[str], pins: Sequence[str]) -> str:
    """Why there is no such environment: what pip said where it was tried, else how to have it built."""
    path = folder(backend, packages, pins) / FAILED
    if path.is_file():
        return f"{', '.join(pins)} cannot be installed for {backend}: {path.read_text(encoding='utf-8')}"
    return f"no environment with {', '.join(pins)} for {backend}; nox -s bench with the same options builds it"


def reason_of(said: str) -> str:
    """The line in which pip says why it failed; its last one where it has no such line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip said nothing"])[-1][:500]
