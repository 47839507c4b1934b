"""What a run says while it measures: a live line in a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.launch.outcome import Outcome
from bench.plan.planned import PlannedLaunch


def duration(seconds: float) -> str:
    """A time span for people, rounded to what they care about."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Lasting:
    """Standard output for a run that outlives it: the terminal may be closed, the pipe may end."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write; once that fails, drop this text and all later ones."""
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):
            self._leave()
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def _leave(self) -> None:
        with suppress(OSError, ValueError):  # what is printed later, at the end of the process too, fails no more
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class RunConsole(Console):
    """A terminal, and the run's log file: what is said there stands here too, each line with its time in UTC.

    A `quiet` one prints nothing and logs all the same.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"file": Lasting(sys.stdout), **given})
        self._log: Path | None = None
        self._before: list[str] = []  # said before there was a run to log it

    def say(self, text: str) -> None:
        """One line, which the terminal wraps as it likes."""
        self._before.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._flush()
        self.print(text, markup=False, highlight=False, soft_wrap=True)

    def log_to(self, path: Path) -> None:
        """From now on, and what was said before, into this file."""
        self._log = path
        self._flush()

    def _flush(self) -> None:
        if self._log is not None:
            with suppress(OSError), self._log.open("a", encoding="utf-8") as file:  # measuring goes on without
                file.writelines(self._before)
            self._before.clear()


class Progress:
    """The display of one run. It redraws only when called, never by itself: the worker is being timed meanwhile."""

    def __init__(self, console: RunConsole) -> None:
        self._console, self._launches, self._number = console, 0, 0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def expect(self, launches: int) -> None:
        """Add launches that are to come."""
        self._launches += launches

    def skip(self) -> None:
        """A launch has been measured already."""
        self._number += 1

    def begin(self, launch: PlannedLaunch, seconds_left: float) -> None:
        """A launch is about to start."""
        self._number += 1
        self._left = seconds_left
        self._head = f"[{self._number}/{self._launches}] {launch.case.title}"
        self._seconds: list[float] = []
        self._metric = self._figures = ""
        self._draw("starting")

    def message(self, message: Mapping[str, Any]) -> None:
        """The worker reports; what it garbles is not shown."""
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            self._report(message)

    def _report(self, message: Mapping[str, Any]) -> None:
        if message.get("event") == "epoch":
            self._seconds.append(float(message["seconds"]))
            self._metric = f"{message['metric']:.4f}"
            figures = f"{message['seconds']:.3f} s, loss {message['loss']:.4f}, training metric {self._metric}"
            self._draw(f"epoch {message['epoch'] + 1}: {figures}")
        elif message.get("event") == "called":
            times = f"{1000 * message['seconds']:.3g} ms a call (the median of {message['calls']})"
            self._figures = f"{times}, the first {message['first_seconds']:.3g} s"
            self._draw(self._figures)
        elif message.get("event") in ("fit", "calls", "evaluate"):
            self._draw(str(message["event"]))

    def end(self, outcome: Outcome, disturbed: str = "") -> None:
        """The launch is over; `disturbed` says why it counts as such, if it does."""
        if outcome.status == "ok" and len(self._seconds) > 1:
            what = f"{min(self._seconds[1:]):.3f} s an epoch, training metric {self._metric}"
        elif outcome.status == "ok" and self._figures:
            what = self._figures
        else:
            what = f"{outcome.status}: {outcome.reason}"
        if disturbed:
            what += f"; disturbed: {disturbed}"
        if outcome.remark:
            what += f"; {outcome.remark}"
        left = duration(max(0.0, self._left - outcome.wall_seconds))
        took = f"took {duration(outcome.wall_seconds)}, about {left} left"
        self._console.say(f"{self._head}: {what} ({took})")

    def _draw(self, what: str) -> None:
        if self._live:
            line = f"{self._head}: {what}; about {duration(self._left)} left"
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
