"""Why a launch cannot start, in one line."""

from __future__ import annotations

import re

LONGEST = 300  # characters of a user's error that are told


class StartError(Exception):
    """The workload, its data or its weights cannot be used; the message names what and says how to fix it."""


def reason(error: BaseException) -> str:
    """What went wrong, in one line: the error's kind and text, without Keras's colours and list of arguments."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received by")[0]
    return f"{type(error).__name__}: {' '.join(text.split())[:LONGEST]}".rstrip(": ")
