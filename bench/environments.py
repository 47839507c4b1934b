"""Where the backends' Python interpreters are: those that nox built, or those the user names."""

import os
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".nox"
STAMP = "complete"  # written last into an environment's folder, so a half-built one lacks it


def environment_python(name: str) -> Path:
    """The interpreter of the environment that `nox -s "env(NAME)"` builds."""
    return ENVIRONMENTS / f"env-{name}" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def interpreter(backend: str, given: Mapping[str, Path]) -> Path | None:
    """The interpreter that runs a backend's workers, or None where its environment is missing or half-built."""
    if backend in given:
        return given[backend]
    python = environment_python(backend)
    return python if python.exists() and (ENVIRONMENTS / f"env-{backend}" / STAMP).exists() else None


def missing_reason(backend: str) -> str:
    """Why a backend without an interpreter cannot run, and how to mend it."""
    return (
        f'no complete environment for {backend}; build it with nox -s "env({backend})" or pass --python {backend}=PATH'
    )
