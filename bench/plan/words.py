"""How one word of the command line is read; whether its value can be is said in bench/plan/checks.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.plan.checks import unknown

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
    """One of the words known."""

    def parse_name(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(unknown(kind, text, known))
        return text

    return parse_name


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number") from None


def percent(text: str) -> float:
    """A percentage."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a percentage between 0 and 100")
    return number


def share(text: str) -> float:
    """A percentage as a fraction."""
    return percent(text) / 100


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
    """A backend and the path of its interpreter."""
    backend, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r}, expected BACKEND=PATH, for example jax=/opt/jax/bin/python")
    return backend, Path(path)
