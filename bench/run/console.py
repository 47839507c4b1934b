"""What a run says while it measures: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import copy
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.launch.outcome import Outcome
from bench.plan.planned import PlannedLaunch

# Without a terminal: a line no sooner than this after the last one, where there is news, which comes between timed
# spans; and, within a span too, no later than that. Nothing is silent for more than 15 s.
SOON_SECONDS, LATEST_SECONDS = 10.0, 14.0


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

    A `quiet` one prints nothing and logs all the same. `now` is a clock in seconds.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic, **given: Any) -> None:
        super().__init__(**{"file": Lasting(sys.stdout), **given})
        self.signs = Signs(self, now)
        self._log: Path | None = None
        self._before: list[str] = []  # said before there was a run to log it

    def say(self, text: str) -> None:
        """One line, which the terminal wraps as it likes."""
        self._before.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
        self._flush()
        self.tell(text)

    def tell(self, text: str) -> None:
        """One line, which is not kept in the log."""
        self.signs.spoken()
        self.print(text, markup=False, highlight=False, soft_wrap=True)

    def showing(self, text: str) -> AbstractContextManager[Callable[[str], None]]:
        """Show that something is under way, until it is over; gives a function that says how far it has come.

        On a terminal a line that is redrawn, elsewhere a plain line from time to time. What is begun meanwhile is shown
        instead, until it is over in turn.
        """
        return self.signs.showing(text)

    def log_to(self, path: Path) -> None:
        """From now on, and what was said before, into this file."""
        self._log = path
        self._flush()

    def _flush(self) -> None:
        if self._log is not None:
            with suppress(OSError), self._log.open("a", encoding="utf-8") as file:  # measuring goes on without
                file.writelines(self._before)
            self._before.clear()


class Activity(NamedTuple):
    """What is under way, and since when on the console's clock."""

    text: str
    since: float


class Signs:
    """Signs of life of what is under way. A thread gives one where none was given for `LATEST_SECONDS`.

    What is timed meanwhile is hardly touched: the thread sleeps, and most news comes between timed spans.
    """

    def __init__(self, console: RunConsole, now: Callable[[], float]) -> None:
        self._console, self._now = console, now
        self._spoken = now()
        self._activities: list[Activity] = []
        self._live: Live | None = None
        self._lock = threading.Lock()

    def spoken(self) -> None:
        """Something was said."""
        self._spoken = self._now()

    @contextmanager
    def showing(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show this until it is over; the outermost has the terminal's line and the thread."""
        place = len(self._activities)

        def update(text: str) -> None:
            self._activities[place] = Activity(text, self._now())
            self._show_after(0.0 if self._live else SOON_SECONDS)

        self._activities.append(Activity(text, self._now()))
        try:
            if place:
                self._show_on_terminal()
                yield update
            else:
                with self._alive():
                    self._show_on_terminal()
                    yield update
        finally:
            del self._activities[place:]

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Have the terminal's line, if there is a terminal, and a thread that gives signs by itself."""
        over = threading.Event()
        thread = threading.Thread(target=lambda: self._until(over), daemon=True)
        line = Live(console=self._console, auto_refresh=False, transient=True)
        with line if self._console.is_terminal else nullcontext() as self._live:
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                self._live = None

    def _until(self, over: threading.Event) -> None:
        while not over.wait(self.sign()):
            pass

    def sign(self) -> float:
        """Give a sign of life where it is time for one; gives the seconds until it may be time for the next."""
        self._show_after(LATEST_SECONDS)
        left = LATEST_SECONDS - (self._now() - self._spoken)
        return left if left > 0 else LATEST_SECONDS  # where nothing is under way any more

    def _show_on_terminal(self) -> None:
        if self._live:
            self._show_after(0.0)

    def _show_after(self, seconds: float) -> None:
        """Show it unless something was said less than so long ago."""
        with self._lock:
            if self._now() - self._spoken >= seconds:
                self._show()

    def _show(self) -> None:
        """The innermost activity, with the seconds since its last news where there are some."""
        for text, since in self._activities[-1:]:  # none any more where it ended just now
            waited = self._now() - since
            line = f"{text} … {duration(waited)}" if waited >= 1 else text
            if self._live:
                self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
                self.spoken()
            else:
                self._console.tell(line)


@dataclass
class Count:
    """How many launches there are to be, and how many have begun."""

    launches: int = 0
    number: int = 0


class Progress:
    """The display of a run's launches; `left` says how the time left is known, in a word or two."""

    def __init__(self, console: RunConsole, left: str = "about") -> None:
        self._console, self._known, self._node = console, left, ""
        self._count = Count()
        self._lines: dict[str, str] = {}  # by node what is under way there

    def on(self, node: str) -> Progress:
        """The same display for the launches of one node, which others go on beside."""
        found = copy.copy(self)
        found._node = node
        return found

    def __enter__(self) -> Self:
        self._showing = self._console.showing("the launches begin")
        self._show = self._showing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._showing.__exit__(kind, error, trace)

    def expect(self, launches: int) -> None:
        """Add launches that are to come; a negative number takes some away."""
        self._count.launches += launches

    def say(self, text: str) -> None:
        """One line between launches."""
        self._console.say(text)

    def skip(self) -> None:
        """A launch has been measured already."""
        self._count.number += 1

    def begin(self, launch: PlannedLaunch, seconds_left: float) -> None:
        """A launch is about to start."""
        self._count.number += 1
        self._left = seconds_left
        where = f"{self._node}: " if self._node else ""
        self._head = f"{where}[{self._count.number}/{self._count.launches}] {launch.case.title}"
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
            times = (
                f"{1000 * message['seconds']:.3g} ms a {message.get('unit', 'call')} (the median of {message['calls']})"
            )
            self._figures = f"{times}, the first {message['first_seconds']:.3g} s"
            self._draw(self._figures)
        elif message.get("event") in ("fit", "calls", "evaluate"):
            self._draw(str(message["event"]))

    def end(self, outcome: Outcome, seconds_left: float, disturbed: str = "") -> None:
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
        took = f"took {duration(outcome.wall_seconds)}, {self._known} {duration(seconds_left)} left"
        self._lines.pop(self._node, None)
        self._console.say(f"{self._head}: {what} ({took})")

    def _draw(self, what: str) -> None:
        self._lines[self._node] = f"{self._head}: {what}; {self._known} {duration(self._left)} left"
        self._show("\n".join(self._lines.values()))
