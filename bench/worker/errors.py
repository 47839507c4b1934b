"""Why a launch cannot start, in one line."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from bench.contract.catalog import facts_of_all
from bench.contract.parity import KNOWN

LONGEST = 300  # characters of a user's error that are told; the log has it whole
BENCH = Path(__file__).parents[1]
NOT_THE_USERS = (
    *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    str(BENCH),
    str(BENCH.with_name("models") / "own"),
    "<",
)


class StartError(Exception):
    """The workload, its data or its weights cannot be used; the message names what and says how to fix it."""


def reason(error: BaseException) -> str:
    """What went wrong, in one line: kind and text of the error that began it, and the user's line that led there.

    Keras repeats an error of a layer in one of its own, with its colours and the layer's arguments; then the first one
    is told. An error that was raised while another was handled is told itself.
    """
    chain = list(_chain(error))
    began = next((one for one in reversed(chain) if _text(one) and _text(one) in _text(error)), error)
    places = [place for one in reversed(chain) if (place := _users_line(one))]
    text = _text(began)
    told = text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()}… (the log has the rest)"
    explained = (finding for backend in facts_of_all() for words, finding in backend.errors.items() if words in text)
    known = next(explained, None)
    lacks = isinstance(began, ModuleNotFoundError)
    return (
        f"{type(began).__name__}: {told}".rstrip(": ")
        + (f" ({places[0]})" if places else "")
        + (f"; a known one, {KNOWN}{known}" if known else "")
        + ("; --with PACKAGE installs it for every backend, --python names an environment that has it" if lacks else "")
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from, or while handling, the first of all last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    plain = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("Arguments received by")[0]
    return " ".join(plain.split())


def _users_line(error: BaseException) -> str:
    """The innermost line of a traceback that is neither a library's nor this project's: file and number."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    found = next((frame for frame in frames if not frame.filename.startswith(NOT_THE_USERS)), None)
    return f"{Path(found.filename).name}, line {found.lineno}" if found else ""
