"""Values that come from a file, which may be anybody's: what can be worked with, and what can be shown.

Standard library only; every world reads files.
"""

import re
import reprlib

# A file may come from anybody. Within these bounds tables, ratios and spreads of what it holds are finite too.
MOST_WHOLE = 2**53  # up to here a float, which tables make of a whole number, tells it from the next
MOST_NUMBER = 1e100
LEAST_SECONDS, MOST_SECONDS = 1e-9, 1e9  # of what a clock took
MOST_LETTERS = 4_096  # of a name, which may be a path
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # what can be a part of a file's name and leads nowhere else
# What a terminal obeys, what ends a line, and halves of characters, which no file can hold.
UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_number(value: object, least: float = -MOST_NUMBER, most: float = MOST_NUMBER) -> bool:
    """Whether a value is a finite number between two others; NaN is not."""
    if type(value) is int:
        return max(least, -MOST_WHOLE) <= value <= min(most, MOST_WHOLE)
    return isinstance(value, float) and least <= value <= most


def is_whole(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number from `least` on."""
    return type(value) is int and least <= value <= MOST_WHOLE


def is_text(value: object) -> bool:
    """Whether a value is text that can stand in a line of any file."""
    return isinstance(value, str) and not UNPRINTABLE.search(value)


def printable(text: str) -> str:
    """Text as it can stand in a line of any file: see `UNPRINTABLE`."""
    return UNPRINTABLE.sub(lambda match: "" if len(match.group()) > 1 else " ", text)


def shown(value: object) -> str:
    """The beginning of any value, for a message."""
    return reprlib.repr(value)
