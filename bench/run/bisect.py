"""A search over versions: a run for each step, until the first bad version is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.contract import bisection as of_file
from bench.contract.bisection import Bisection, BisectionStep
from bench.contract.errors import RunError, UsageError
from bench.contract.outcomes import BAD
from bench.contract.results import described
from bench.machine import building, environments, published
from bench.plan.bisection import BisectOptions, next_version, suspects, versions_between
from bench.plan.options import RunOptions
from bench.plan.resumed import resumed_options
from bench.run.console import RunConsole
from bench.run.measure import run as measure

FOLDER = "bisections"  # of the results folder


def bisect(
    options: BisectOptions,
    console: RunConsole,
    measure: Callable[[RunOptions, RunConsole], Path | None] = measure,
    build: Callable[[str, Sequence[str], Sequence[str]], str | None] = building.build_variant,
    versions: Callable[[Path, str, bool], list[str]] = published.versions,
) -> Bisection:
    """Search for the first bad version; each step is a run, and kept: the same options go on where they were.

    `measure` measures, `build` builds the environment of a version and says why that cannot be, and `versions` says
    which are published, oldest first. UsageError and RunError as of a run.
    """
    path = options.output / FOLDER / f"{options.name()}.json"
    search = of_file.read(path) or Bisection(versions=tuple(versions_between(options, _published(options, versions))))
    console.say(f"{len(search.versions) - 1} versions of {options.package} after {options.good}, up to {options.bad}")
    for step in search.steps:
        console.say(_told(step))
    while (version := next_version(search.versions, search.found)) is not None:
        console.say(f"{version} against {options.good}")
        folder = _measured(options, version, search, console, measure, build)
        if described(folder)["state"] != "finished":
            search = msgspec.structs.replace(search, interrupted=folder.name)
            of_file.write(path, search)
            break
        step = _step(version, folder)
        search = msgspec.structs.replace(search, steps=(*search.steps, step), interrupted="")
        of_file.write(path, search)
        console.say(_told(step))
    return search


def conclusion(options: BisectOptions, search: Bisection) -> str:
    """What a search found, in a sentence."""
    found = search.found
    if search.interrupted:
        return "the search was interrupted; the same command goes on"
    if found[options.bad] != BAD:
        return f"{options.bad} is {found[options.bad]} against {options.good}: there is nothing to search for"
    first = suspects(search.versions, found)
    before = search.versions[search.versions.index(first[0]) - 1]
    if len(first) == 1:
        return f"the first bad version of {options.package} is {first[0]}; {before} is good"
    return f"the first bad version of {options.package} is one of {', '.join(first)}; {before} is good"


def is_found(search: Bisection) -> bool:
    """Whether the first bad version is known."""
    found = search.found
    return found.get(search.versions[-1]) == BAD and len(suspects(search.versions, found)) == 1


def _published(options: BisectOptions, versions: Callable[[Path, str, bool], list[str]]) -> list[str]:
    backend = options.backends[0]
    python = environments.interpreter(backend, options.python, options.packages)
    if python is None:
        raise RunError(f"{backend}: {environments.missing_reason(backend, options.packages)}")
    return versions(python, options.package, any(map(published.is_early, (options.good, options.bad))))


def _measured(
    options: BisectOptions,
    version: str,
    search: Bisection,
    console: RunConsole,
    measure: Callable[[RunOptions, RunConsole], Path | None],
    build: Callable[[str, Sequence[str], Sequence[str]], str | None],
) -> Path:
    """The folder of the run that holds a version against the good one."""
    if search.interrupted:
        step = resumed_options(search.interrupted, options.output, RunOptions)
    else:
        step = options.step(version)
    for variant in step.variants:
        for backend in step.backends:
            build(backend, step.packages, variant.pins)  # one that fails is a skipped case, with its reason
    folder = measure(step, console)
    if folder is None:
        raise UsageError("--dry-run: a search has no plan beforehand; leave it out")
    return folder


def _step(version: str, folder: Path) -> BisectionStep:
    from bench.analysis import analyse  # pandas and scipy: only between launches
    from bench.analysis.bisection import judged

    outcome, words = judged(analyse(folder))
    return BisectionStep(version=version, outcome=outcome, words=words, run=folder.name)


def _told(step: BisectionStep) -> str:
    return f"{step.version}: {step.outcome}: {step.words} (run {step.run})"
