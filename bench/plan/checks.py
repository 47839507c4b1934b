"""What one option's value has to be, wherever it comes from: the command line, Python, or the run.json of a run.

Each check names the option as the command line spells it, and raises UsageError in one line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.contract.case import MOST_DEVICES
from bench.contract.catalog import backend_names, dataset_names, names_of, workload_modules, workload_names
from bench.contract.errors import OwnModelError, UsageError
from bench.contract.values import is_number, is_text, is_whole
from bench.own_models.adopt import LOSSES, is_file, loss_name, model_file
from bench.own_models.data_source import data_source
from bench.plan.variants import AT, NAME

PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?([<>=!~]=?[\w.*]+)?")


class FileOptionError(UsageError):
    """A file that an option names is not there, or is not what it has to be."""


def unknown(kind: str, word: object, known: Collection[str]) -> str:
    """What to say of a word that is none of those known, with the nearest of them."""
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {word!r}, known: {', '.join(known)}{guess}"


def check_one_of(option: str, word: object, known: Collection[str], kind: str) -> None:
    """Refuse a word that is none of those known."""
    if not isinstance(word, str) or word not in known:
        raise UsageError(f"{option}: {unknown(kind, word, known)}")


def several(option: str, words: object) -> tuple[Any, ...]:
    """A list, each value once; a single text is refused, for its letters would be taken for the values."""
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise UsageError(f"{option}: expected a list, such as ({words!r},)")
    chosen = list(words)
    for word in chosen:
        if not isinstance(word, (str, int)):
            raise UsageError(f"{option} {word!r}: expected a name or a number")
    return tuple(dict.fromkeys(chosen))


def several_of(option: str, words: object, known: Collection[str], kind: str) -> tuple[str, ...]:
    """At least one of the words known, each once."""
    chosen = several(option, words)
    if not chosen:
        raise UsageError(f"{option}: an empty list; name at least one, or leave the option out")
    for word in chosen:
        check_one_of(option, word, known, kind)
    return chosen


def ordered_of(option: str, words: object, known: Collection[str], kind: str) -> tuple[str, ...]:
    """At least one of the words known, each once, in their own order."""
    chosen = several_of(option, words, known, kind)
    return tuple(word for word in known if word in chosen)


def names(option: str, words: object) -> tuple[str, ...]:
    """Names of any kind, each once."""
    chosen = several(option, words)
    for word in chosen:
        if not is_text(word):
            raise UsageError(f"{option} {word!r}: expected a name")
    return chosen


def packages(option: str, words: object) -> tuple[str, ...]:
    """Names of packages, each perhaps with a version, as pip takes them; no path and no option of pip's."""
    chosen = names(option, words)
    for word in chosen:
        if not PACKAGE.fullmatch(word):
            raise UsageError(f"{option} {word!r}: expected a package's name, such as keras-hub or keras-hub==0.21")
    return chosen


def check_whole(option: str, value: object, least: int, or_none: bool = False) -> None:
    """Refuse what is no whole number from `least` on, but for None where that means that nobody said."""
    if not (is_whole(value, least) or (or_none and value is None)):
        raise UsageError(f"{option} {value!r}: expected a whole number of at least {least}")


def device_counts(counts: object) -> tuple[int, ...]:
    """Numbers of devices, each once, the smallest first."""
    chosen = several("--device-count", counts)
    if not chosen:
        raise UsageError("--device-count: an empty list; name at least one number, or leave the option out")
    for count in chosen:
        check_whole("--device-count", count, 1)
        if count > MOST_DEVICES:
            raise UsageError(f"--device-count {count}: expected a whole number of at most {MOST_DEVICES}")
    return tuple(sorted(chosen))


def check_fraction(option: str, value: object) -> None:
    """Refuse what is no share between 0 and 1; None is let through."""
    if value is not None and (not is_number(value, 0.0, 1.0) or value in (0, 1)):
        raise UsageError(f"{option} {value!r}: expected a share between 0 and 1, such as 0.03 for 3%")


def check_seconds(option: str, value: object) -> None:
    """Refuse what is no time span in seconds; None is let through."""
    if value is not None and (not is_number(value, 0.0) or not value):
        raise UsageError(f"{option} {value!r}: expected a number of seconds above 0")


def check_flag(option: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise UsageError(f"{option} {value!r}: expected True or False")


def workloads(words: object, generated: Collection[str] = ()) -> tuple[str, ...]:
    """Names, and the paths of files made absolute; a name with variants stands for all of them.

    The paths in `generated` are of files that may yet have to be written.
    """
    found: dict[str, None] = {}
    for word in several("--workloads", words):
        if word in generated:
            found[word] = None
        elif isinstance(word, str) and is_file(word):
            try:
                found[model_file(word)] = None
            except OwnModelError as error:
                raise FileOptionError(f"--workloads: {error}") from None
        elif word in workload_modules():
            found.update(dict.fromkeys(names_of(word)))
        else:
            check_one_of("--workloads", word, workload_names(), "workload")
            found[word] = None
    if not found:
        raise UsageError("--workloads: an empty list; name at least one, or leave the option out")
    return tuple(found)


def dataset(word: str) -> str:
    """A data set's name, or the path of a file made absolute."""
    if not isinstance(word, str) or not is_file(word):
        check_one_of("--dataset", word, dataset_names(), "data set")
        return word
    try:
        return data_source(word).text
    except OwnModelError as error:
        raise FileOptionError(f"--dataset: {error}") from None


def loss(word: str) -> str:
    """A loss under the name that Keras has it by."""
    name = loss_name(str(word))
    check_one_of("--loss", name, tuple(LOSSES), "loss")
    return name


def interpreters(given: Mapping[str, Path] | Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """The interpreter of each backend that comes with one, its path made absolute."""
    found = {}
    for backend, path in dict(given).items():
        check_one_of("--python", backend.partition(AT)[0], backend_names(), "backend")
        if AT in backend and not NAME.fullmatch(backend.partition(AT)[2]):
            raise UsageError(f"--python {backend}={path}: expected BACKEND{AT}NAME=PATH, the name one word")
        # Not resolved: an environment's python is a link, and behind the link it would be another environment's.
        python = Path(path).expanduser().absolute()
        if not python.is_file():
            raise FileOptionError(
                f"--python {backend}={path}: there is no file {path}; name the environment's python itself"
            )
        found[backend] = python
    return found
