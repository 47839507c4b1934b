"""What a search over versions has found so far, as it is kept in a file."""

from __future__ import annotations

import json
from pathlib import Path

from bench.contract import files
from bench.contract.typed import Line, MalformedError, Typed, parse


class BisectionStep(Typed, frozen=True, kw_only=True):
    """A version, what it was found to be, the evidence in words, and the run that has it; without one none was made."""

    version: Line
    outcome: Line
    words: Line
    run: str = ""


class Bisection(Typed, frozen=True, kw_only=True):
    """A search: its versions, oldest first, its steps in their order, and the run of a step that was interrupted."""

    versions: tuple[str, ...]
    steps: tuple[BisectionStep, ...] = ()
    interrupted: str = ""

    @property
    def found(self) -> dict[str, str]:
        """What each version was found to be."""
        return {step.version: step.outcome for step in self.steps}


def read(path: Path) -> Bisection | None:
    """The search in a file; None where there is none, or none that can be used."""
    try:
        return parse(Bisection, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, MalformedError):
        return None


def write(path: Path, bisection: Bisection) -> None:
    """Write a search to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, bisection.to_json())
