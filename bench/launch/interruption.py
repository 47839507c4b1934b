"""Ctrl-C, SIGTERM and SIGHUP end a run once, in good order."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from bench.launch import lock, strays


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
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {one: signal.getsignal(one) for one in signals if signal.getsignal(one) != signal.SIG_IGN}
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
