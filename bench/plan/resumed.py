"""The options of a run that goes on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from bench.contract.errors import UsageError
from bench.contract.results import resumable
from bench.own_models.adopt import GeneratedWorkload, place
from bench.plan.checks import FileOptionError
from bench.plan.options import CalibrateOptions, RunOptions

Resumed = TypeVar("Resumed", bound=RunOptions)


def resumed_options(name: str, output: Path, kind: type[Resumed], finished: bool = False) -> Resumed:
    """The options that the run of that name was started with, made anew from its run.json with every check of theirs.

    UsageError where there is no such run in `output`, where it has finished unless `finished`, where another command
    began it, or where what it says cannot be options.
    """
    folder, stored = resumable(name, output, finished)
    if "steps" in stored or ("load" in stored) is not (kind is CalibrateOptions):
        raise UsageError(f"--resume {name}: another command began it; go on with that one")
    try:
        adopted = tuple(GeneratedWorkload(**one) for one in stored["adopted"])
        misplaced = [one.path for one in adopted if not _lies_beside(folder, one)]
        values = {field.name: stored[field.name] for field in fields(kind) if field.name != "resume"}
        resumed = _made(kind, {**values, "output": folder.parent, "adopted": adopted, "resume": folder})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(f"--resume {name}: another version began it, or run.json is damaged; start anew") from None
    if misplaced:
        words = "which is not beside it; move the results folder back, or start anew"
        raise UsageError(f"--resume {name}: it wrote {misplaced[0]}, {words}")
    return resumed


def _made(kind: type[Resumed], values: dict[str, Any]) -> Resumed:
    """The options; ValueError where they cannot be, but for a file that is gone since."""
    try:
        return kind(**values)
    except FileOptionError:
        raise
    except UsageError as error:
        raise ValueError(str(error)) from None


def _lies_beside(folder: Path, generated: GeneratedWorkload) -> bool:
    """Whether a workload file of the user's own model lies where this run would have written it."""
    wanted = place(folder.parent, generated.source, generated.text)
    return Path(generated.path).resolve() == Path(wanted).resolve()
