"""How one word of the command line is read."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.contract.catalog import backend_names, dataset_names, names_of, workload_modules, workload_names
from bench.contract.errors import OwnModelError
from bench.own_models.adopt import LOSSES, data_file, is_file, loss_name, model_file

Word = TypeVar("Word", str, int)


def several(
    one: Callable[[str], Word], everything: tuple[Word, ...] | None = None
) -> Callable[[str], tuple[Word, ...] | None]:
    """A list of words; `all` stands for `everything`, or, as None, for what leaving the option out means."""

    def parse_list(text: str) -> tuple[Word, ...] | None:
        words = [word.strip() for word in text.split(",") if word.strip()]
        if words == ["all"]:
            return everything
        if not words:
            raise argparse.ArgumentTypeError("an empty list; name at least one, or leave the option out")
        return tuple(dict.fromkeys(one(word) for word in words))

    return parse_list


def choice(known: Sequence[str], kind: str) -> Callable[[str], str]:
    def parse_name(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(_unknown(kind, text, known))
        return text

    return parse_name


def workloads(text: str) -> tuple[str, ...] | None:
    """Names and files; a name with variants stands for all of them."""
    words = several(_workload, workload_names())(text)
    expanded = [names_of(word) if word in workload_modules() else (word,) for word in words or ()]
    return tuple(dict.fromkeys(name for names in expanded for name in names)) or None


def _workload(text: str) -> str:
    if is_file(text):
        return _usable(model_file, text)
    if text in workload_modules():
        return text
    return choice(workload_names(), "workload")(text)


def dataset(text: str) -> str:
    if is_file(text):
        return _usable(data_file, text)
    return choice(dataset_names(), "data set")(text)


def loss(text: str) -> str:
    return choice(tuple(LOSSES), "loss")(loss_name(text))


def _usable(parse_file: Callable[[str], str], text: str) -> str:
    try:
        return parse_file(text)
    except OwnModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _unknown(kind: str, text: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {text!r}, known: {', '.join(known)}{guess}"


def at_least(minimum: int) -> Callable[[str], int]:
    def parse_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least {minimum}")
        return number

    return parse_number


def percent(text: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a percentage between 0 and 100")
    return number


def time_span(text: str) -> float:
    """Seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time span such as 90s, 20m or 1.5h")
    return seconds


def interpreter(text: str) -> tuple[str, Path]:
    backend, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r}, expected BACKEND=PATH, for example jax=/opt/jax/bin/python")
    choice(backend_names(), "backend")(backend)
    # Not resolved: an environment's python is a link, and behind the link it would be another environment's.
    python = Path(path).expanduser().absolute()
    if not python.is_file():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no file {path}; name the environment's python itself")
    return backend, python
