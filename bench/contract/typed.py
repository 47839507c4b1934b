"""Values from a file as types that check them, and what is wrong with them in one line.

Needs msgspec, so it is for the parent and the analysis alone: what workers and the noxfile import does not import this.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from bench.contract.values import LEAST_SECONDS, MOST_NUMBER, MOST_SECONDS, MOST_WHOLE, WORD, shown

Whole = Annotated[int, Meta(ge=0, le=MOST_WHOLE)]
Positive = Annotated[int, Meta(ge=1, le=MOST_WHOLE)]
# A whole number stays one, so that a file that is written anew says what it said.
Number = Annotated[int, Meta(ge=-MOST_WHOLE, le=MOST_WHOLE)] | Annotated[float, Meta(ge=-MOST_NUMBER, le=MOST_NUMBER)]
Amount = Whole | Annotated[float, Meta(ge=0.0, le=MOST_NUMBER)]
Speed = Positive | Annotated[float, Meta(ge=1.0, le=MOST_NUMBER)]
Seconds = Annotated[int, Meta(ge=0, le=int(MOST_SECONDS))] | Annotated[float, Meta(ge=0.0, le=MOST_SECONDS)]
Took = Annotated[int, Meta(ge=1, le=int(MOST_SECONDS))] | Annotated[float, Meta(ge=LEAST_SECONDS, le=MOST_SECONDS)]
PATTERNS = {  # of text, and how a message calls it; \Z, for $ lets a line end pass
    rf"\A{WORD.pattern}\Z": "one plain word",
    r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z": "the name of a run",
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*\Z": "text that can stand in a line",
}
_WORD, _RUN, _LINE = PATTERNS
# Never in a union with a list: msgspec 0.22 then frees the pattern twice, and the process ends.
Word = Annotated[str, Meta(pattern=_WORD)]
RunName = Annotated[str, Meta(pattern=_RUN)]  # its folder's, so it leads nowhere else
Line = Annotated[str, Meta(pattern=_LINE)]

Kind = TypeVar("Kind")


class MalformedError(ValueError):
    """What is wrong with a value from a file: one line that says where, what is there and what was expected."""


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """An object from a file: made of keywords, checked by `parse`, changed by `msgspec.structs.replace`.

    Fields that a file has besides are of another version and left out.
    """

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file, once it is read."""
        content: dict[str, Any] = _lists(msgspec.to_builtins(self, enc_hook=str))
        return content


def parse(kind: type[Kind], value: object) -> Kind:
    """A value from a JSON file as `kind`; MalformedError where it is none."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise MalformedError(_in_words(error, value)) from None
    except RecursionError:
        raise MalformedError("too deep") from None


def _lists(value: Any) -> Any:
    """A value with lists in place of tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _lists(one) for name, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, list | tuple) else value


def _in_words(error: msgspec.ValidationError, value: Any) -> str:
    """What msgspec says, which is `Expected … - at `$.plan[0].skip``, with the value that is there."""
    said, _, place = str(error).partition(" - at `$")
    place, in_mapping, _ = place.removesuffix("`").partition("[...]")  # it does not say of a mapping which entry
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        value = value[name or int(index)]
    where = place.removeprefix(".")
    if in_mapping:
        where, value = _entry(where, value)
    if isinstance(error.__cause__, MalformedError):
        return f"{where}: {error.__cause__}" if where else str(error.__cause__)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", said)
    if missing:
        return f"{where}.{missing[1]} is missing".removeprefix(".")
    infinite = isinstance(value, float) and not math.isfinite(value)
    return f"{where or 'it'} cannot be {shown(value)}{', expected a finite number' if infinite else _expected(said)}"


def _entry(where: str, mapping: Any) -> tuple[str, Any]:
    """Place and value of the first entry that is no finite number; the mapping itself where all are."""
    for name, value in mapping.items() if isinstance(mapping, dict) else ():
        if isinstance(value, float) and not math.isfinite(value):
            key = name if re.fullmatch(WORD, str(name)) else shown(name)
            return f"{where}.{key}".removeprefix("."), value
    return where, mapping


def _expected(said: str) -> str:
    for pattern, words in PATTERNS.items():
        if said == f"Expected `str` matching regex {pattern!r}":
            return f", expected {words}"
    if not said.startswith("Expected "):
        return ""
    words = said.removeprefix("Expected ").partition(", got ")[0].replace("`", "")
    for theirs, ours in (("array", "list"), ("str", "text"), ("int", "whole number"), ("float", "number")):
        words = re.sub(rf"\b{theirs}\b", ours, words)
    return f", expected {words.replace(' | ', ' or ').replace('whole number or number', 'number')}"
