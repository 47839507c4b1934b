"""Ctrl-C, SIGTERM and SIGHUP end a run once, in good order."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from bench.launch import lock, strays

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let an interruption wait until the end of what is within: the start of a process.

    In the midst of its start nobody knows a process yet, and none of its marks can be seen: it would be left behind.
    """
    came: list[tuple[int, FrameType | None]] = []
    previous: dict[int, Callable[[int, FrameType | None], Any]] = {}
    if threading.current_thread() is threading.main_thread():  # no other one is interrupted, or may say what happens
        previous = {one: found for one in SIGNALS if callable(found := signal.getsignal(one))}
    for number in previous:
        signal.signal(number, lambda *signal_: came.append(signal_))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number, frame in came:
            previous[number](number, frame)


@contextlib.contextmanager
def interruptible(hang_up: bool = True) -> Iterator[list[int]]:
    """Let SIGTERM (a batch system) and, unless told otherwise, SIGHUP (a terminal gone) end a run as Ctrl-C does.

    Once interrupted, more signals change nothing until what was measured is safe. Every further Ctrl-C is added to the
    list that this yields; a terminal that closes may send its own signal twice.
    """
    seen: list[int] = []
    insisted: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not seen:
            seen.append(number)
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            insisted.append(number)

    # In the background of a shell, Ctrl-C is meant for another program.
    previous = {one: signal.getsignal(one) for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN}
    for number in previous:
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP and not hang_up else interrupt)
    try:
        yield insisted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def under_way(say: Callable[[str], None]) -> Iterator[None]:
    """A run alone on its machine, which ends in good order when interrupted; first, end what killed runs left.

    Raises UsageError while another run is under way, and KeyboardInterrupt at its end after a second interruption.
    """
    with lock.alone(), interruptible() as insisted:
        ended = strays.end_abandoned()
        if ended:
            say(f"{ended} processes that a killed run had left behind were ended")
        yield
    if insisted:
        say("interrupted again: no report was written; nox -s report writes it")
        raise KeyboardInterrupt
