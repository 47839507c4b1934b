"""Variants: what a run compares besides backends, under equal circumstances and in turns.

`--vary keras=3.14.1,3.15.1` asks for two versions of a package, `--vary env:XLA_FLAGS=A,B` for two values of an
environment variable, `--vary workload=old.py,new.py` for two files, `--vary git:main,HEAD` for two revisions of a git
repository, `--vary processes=one,each` for a process of all devices and for one of each, and `--python
BACKEND@old=PATH` with `BACKEND@new=PATH` for two environments of the user's. The first variant is the reference.

Standard library only: the noxfile builds the environments of variants.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contract.backend_facts import PROCESSES
from bench.contract.case import OF_FILES, stem
from bench.contract.catalog import facts_of_all, framework_of
from bench.contract.errors import UsageError
from bench.contract.values import is_text
from bench.own_models import revisions

AT = "@"  # between a backend and the name of a variant
ENVIRONMENT = "env:"
WORKLOAD, REVISION = OF_FILES
GIT = "git:"
OWN = "BENCH_"  # what the suite's own settings begin with
SPREAD = "processes="  # in the place of a package's name, as `workload=`
COMMIT = re.compile(r"(.+)=([0-9a-f]{40,64})")  # a revision with the commit that it named when the run began
OWN_FILE = re.compile(r"(.+\.(?:py|keras))(?::(\w+))?")  # with the function that builds its model
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")  # of a package or of a variant
VARIABLE = re.compile(r"[A-Za-z_]\w*")
VERSION = re.compile(r"[0-9][\w.!+-]*")
USUAL = "keras=3.14.1,3.15.1, workload=old.py,new.py or env:NAME=VALUE,VALUE"


@dataclass(frozen=True)
class Variant:
    """One of the things that are compared.

    name: as tables have it, such as `keras=3.14.1`.
    pins: what pip installs in the place of the environment's own versions.
    settings: environment variables of its launches.
    workload: the file that it trains, where that is what varies.
    pythons: interpreters of the user's, by backend.
    """

    name: str
    pins: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    workload: str = ""
    pythons: Mapping[str, Path] = field(default_factory=dict)


NOTHING = Variant("")  # what a run has that varies nothing


def read_variants(text: str | None, pythons: Mapping[str, Path]) -> tuple[Variant, ...]:
    """The variants that `--vary` asks for, or interpreters named `BACKEND@VARIANT`; none where nothing varies.

    Raises UsageError for what cannot be read, for fewer than two, and for two that are the same.
    """
    named = _of_interpreters(pythons)
    if text is None:
        return named
    if named:
        raise UsageError(f"--vary {text}: --python with {AT}{named[0].name} names variants too; give one of the two")
    kind, equals, values = text.partition("=")
    if text.startswith(GIT):
        found = _of_revisions(text)
    elif text.startswith(ENVIRONMENT):
        found = _of_settings(text, kind.removeprefix(ENVIRONMENT), values)
    elif not equals or not NAME.fullmatch(kind):
        raise UsageError(f"--vary {text}: expected {USUAL}")
    elif f"{kind}=" == SPREAD:
        found = tuple(_of_processes(text, values))
    elif f"{kind}=" == WORKLOAD:
        found = tuple(Variant(f"{WORKLOAD}{_called(one)}", workload=one) for one in _words(text, values))
    else:
        found = tuple(_of_package(text, kind, version) for version in _words(text, values))
    _refuse_alike(text, found)
    return found


def variant_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that follow from what varies: on which backends, and which files are trained; `given` are all others.

    Raises UsageError where one of them says something else.
    """
    settings = _pinned(given)
    given = {**given, **settings}
    variants = read_variants(given["vary"], given["python"])
    able = varied_backends(variants)
    if able is not None:
        others = [one for one in given["backends"] or () if one not in able]
        if others:
            raise UsageError(f"--backends {others[0]}: what varies concerns {', '.join(able)} alone; leave it out")
        settings["backends"] = able if given["backends"] is None else given["backends"]
    own = [label for label in given["python"] if AT not in label]
    if own and any(variant.pins for variant in variants):
        words = (
            "versions are installed over the suite's own environments; leave it out, or name environments of variants"
        )
        raise UsageError(f"--python {own[0]}: {words} ({own[0]}{AT}old=PATH)")
    if variants and given["explain"]:
        raise UsageError("--explain: explains no variants; leave it out, or explain one of them by itself")
    files = tuple(variant.workload for variant in variants if variant.workload)
    if files and given["against"] is not None:
        raise UsageError(f"--against: --vary {given['vary']} says itself what is compared; leave it out")
    if files and given["workloads"] is None:
        settings["workloads"] = files
    elif files:  # the same options once more, or somebody else's
        settled = {*(str(Path(name).resolve()) for name in files), *(one.path for one in given["adopted"])}
        if not settled.issuperset(given["workloads"]):
            raise UsageError(f"--workloads: --vary {given['vary']} says itself what is trained; leave it out")
    return settings


def varied_backends(variants: Sequence[Variant]) -> tuple[str, ...] | None:
    """The backends that variants concern; None where it is all of them."""
    if any(variant.pythons for variant in variants):
        return tuple(dict.fromkeys(name for variant in variants for name in variant.pythons))
    if any(PROCESSES in variant.settings for variant in variants):
        return tuple(facts.name for facts in facts_of_all() if len(facts.processes) > 1)
    owners = [framework_of(pin.partition("==")[0]) for variant in variants for pin in variant.pins]
    return tuple(dict.fromkeys(owner for owner in owners if owner)) or None


def _of_interpreters(pythons: Mapping[str, Path]) -> tuple[Variant, ...]:
    by_name: dict[str, dict[str, Path]] = {}
    for label, path in pythons.items():
        backend, at, name = label.partition(AT)
        if at:
            by_name.setdefault(name, {})[backend] = path
    found = tuple(Variant(name, pythons=given) for name, given in by_name.items())
    if len(found) == 1:
        name, given = found[0].name, next(iter(found[0].pythons))
        raise UsageError(
            f"--python {given}{AT}{name}: a single variant; name another one's environment too, such as "
            f"{given}{AT}new=PATH, or leave {AT}{name} out"
        )
    return found


def _words(text: str, values: str) -> list[str]:
    words = [word.strip() for word in values.split(",")]
    if len(words) < 2 or not all(words):
        raise UsageError(f"--vary {text}: names {len([one for one in words if one])} variant; expected {USUAL}")
    return words


def _of_package(text: str, package: str, version: str) -> Variant:
    """A version of the package, or of another one that takes its place, such as `keras-nightly==3.16.0.dev1`."""
    other, pinned, number = version.partition("==")
    if pinned and NAME.fullmatch(other) and VERSION.fullmatch(number):
        return Variant(version.replace("==", "="), (version,))
    if not VERSION.fullmatch(version):
        raise UsageError(f"--vary {text}: {version!r} is no version; expected {USUAL}")
    return Variant(f"{package}={version}", (f"{package}=={version}",))


def _of_processes(text: str, values: str) -> Iterator[Variant]:
    for value in _words(text, values):
        if not any(value in facts.processes for facts in facts_of_all()):
            raise UsageError(f"--vary {text}: {value!r} is neither of {SPREAD}one,each: a process for all, or for each")
        yield Variant(f"{SPREAD}{value}", settings={PROCESSES: value})


def _of_settings(text: str, name: str, values: str) -> tuple[Variant, ...]:
    if not VARIABLE.fullmatch(name) or not is_text(values):
        raise UsageError(f"--vary {text}: {name!r} is no environment variable; expected env:NAME=VALUE,VALUE")
    refused = {one: facts.name for facts in facts_of_all() for one in (*facts.foreign_settings, *facts.compile_caches)}
    if name in refused or name.startswith(OWN):
        raise UsageError(
            f"--vary {text}: {name} is set by the suite itself, so that all launches compute alike; vary another one"
        )
    return tuple(Variant(f"{ENVIRONMENT}{name}={value}", settings={name: value}) for value in values.split(","))


def _pinned(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `--vary git:` says with its file and the commits that it names: HEAD moves, a run that goes on does not.

    The file is the workload that was asked for, which then stands in the text alone. UsageError where there is no
    repository, several files, or changes that no commit has.
    """
    text = given["vary"]
    if text is None or not text.startswith(GIT):
        return {}
    where, _, values = text.removeprefix(GIT).rpartition(":")
    words = _words(text, values)
    settings: dict[str, Any] = {}
    if not where:
        files = [name for name in given["workloads"] or () if OWN_FILE.fullmatch(name)]
        if len(files) != 1 or files != list(given["workloads"]):
            raise UsageError(
                f"--vary {text}: expected one file of a git repository as --workloads, or its folder with the "
                "suite's workloads, such as git:FOLDER:main,HEAD"
            )
        (where,), settings["workloads"] = files, None
    path, function = _file_and_function(where)
    repository = revisions.repository_of(path)
    commits = _commits(repository, words)
    edited = [] if all(map(COMMIT.fullmatch, words)) else revisions.changed(repository)
    if edited and revisions.commit_of(repository, "HEAD") in commits.values():
        more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
        raise UsageError(
            f"--vary {text}: {edited[0]}{more} changed since HEAD; commit or stash that, for HEAD is measured"
        )
    same = [name for name, commit in commits.items() if list(commits.values()).count(commit) > 1]
    if same:
        raise UsageError(f"--vary {text}: {' and '.join(same)} are the same commit; name two that differ")
    named = ",".join(f"{name}={commit}" for name, commit in commits.items())
    return {**settings, "vary": f"{GIT}{path.resolve()}{function and ':'}{function}:{named}"}


def _file_and_function(where: str) -> tuple[Path, str]:
    found = OWN_FILE.fullmatch(where)
    return (Path(found[1]), found[2] or "") if found else (Path(where), "")


def _commits(repository: Path, words: Sequence[str]) -> dict[str, str]:
    """The commit of each revision by its name, as it was fixed when the run began, or as it is now."""
    fixed = {word: COMMIT.fullmatch(word) for word in words}
    return {
        found[1] if found else word: found[2] if found else revisions.commit_of(repository, word)
        for word, found in fixed.items()
    }


def _of_revisions(text: str) -> tuple[Variant, ...]:
    """A variant for each commit: its file, or the suite's workloads with its packages before any others."""
    where, _, values = text.removeprefix(GIT).rpartition(":")
    path, function = _file_and_function(where)
    repository = revisions.repository_of(path)
    found = []
    for name, commit in _commits(repository, _words(text, values)).items():
        files = revisions.files_of(repository, commit)
        if path.is_dir():
            settings = {"PYTHONPATH": os.pathsep.join(map(str, revisions.import_path(files)))}
            found.append(Variant(f"{repository.name}{AT}{name}", settings=settings))
            continue
        file = files / path.relative_to(repository)
        if not file.is_file():
            raise UsageError(
                f"--vary {text}: {name} has no {path.relative_to(repository)}; name a revision that has it"
            )
        workload = f"{file}:{function}" if function else str(file)
        found.append(Variant(f"{REVISION}{name}", workload=workload))
    return tuple(found)


def _called(path: str) -> str:
    """What a variant's file is called in tables."""
    name, _, function = path.partition(".py:")
    return f"{stem(name)}:{function}" if function else stem(name)


def _refuse_alike(text: str, variants: Sequence[Variant]) -> None:
    names = [variant.name for variant in variants]
    if len(names) < 2:
        raise UsageError(f"--vary {text}: names a single variant; expected {USUAL}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        words = "two variants are called so, and a report could not tell them apart; leave one out, or rename it"
        raise UsageError(f"--vary {text}: {twice}: {words}")
