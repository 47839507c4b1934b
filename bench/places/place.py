"""A place where launches happen, and what one launch there is: the seam under which a run does not know where it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.contract.paths import ROOT
from bench.launch.outcome import Outcome
from bench.launch.process import launch
from bench.machine import nvidia

Python = Callable[[str, str], Path | None]  # the interpreter of a backend in a variant; None where there is none


def label(backend: str, variant: str) -> str:
    """A backend in a variant as one text, by which the environments of a place are told apart."""
    return f"{backend} {variant}".strip()


class NodeLostError(Exception):
    """A node does not answer any more; the message says what was last known. What it was measuring is lost."""


@dataclass(frozen=True)
class Site:
    """Where a place has what a command names: the suite, its parent's Python, the backends', and a launch's weights.

    `cards` begins a command that runs on the GPU that is measured, or on so many.
    """

    root: Path
    suite_python: str
    python: Python
    cards: Callable[[int], Sequence[str]]
    weights: Path


@dataclass(frozen=True)
class Work:
    """One launch: its command, as the place's site has it, and its limit.

    `weights` are what it reads besides the suite's and the user's files. `record` and `log` are what it leaves here.
    """

    words: Sequence[str]
    weights: Path
    record: Path
    log: Path
    limit_seconds: float
    on_message: Callable[[Mapping[str, Any]], None] = field(default=lambda _message: None)


class Place(Protocol):
    """Where launches happen, one at a time."""

    @property
    def name(self) -> str:
        """That of the node, and of its GPU where that is the place; empty for this machine."""

    @property
    def recorded(self) -> Mapping[str, Any]:
        """What a record says of it; nothing of this machine."""

    def site(self, weights: Path) -> Site:
        """Where it has what a command names."""

    def launch(self, work: Work) -> Outcome:
        """Launch and wait for the end; NodeLostError where nobody knows what became of it."""

    def close(self) -> None:
        """End what runs there; nothing is raised."""


@dataclass(frozen=True)
class Here:
    """The machine that the run itself is on."""

    python: Python
    name: str = ""
    recorded: Mapping[str, Any] = field(default_factory=dict)

    def site(self, weights: Path) -> Site:
        """Where this machine has it."""
        return Site(ROOT, sys.executable, self.python, nvidia.prefix, weights.resolve())

    def launch(self, work: Work) -> Outcome:
        """Launch as a child of this process."""
        return launch(
            [*work.words, f"--benchmark-json={work.record.resolve()}"],
            log=work.log,
            limit_seconds=work.limit_seconds,
            on_message=work.on_message,
        )

    def close(self) -> None:
        """Do nothing: what runs here is ended by an interruption of this process."""
