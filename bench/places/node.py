"""A node of a cluster as the run sees it: what it is, and launches there, over whatever carries frames to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.contract.paths import ROOT
from bench.launch.outcome import Outcome
from bench.places import code, frames
from bench.places.files import MOST_BYTES, Files, asked, batches
from bench.places.frames import Frame
from bench.places.place import NodeLostError, Site, Work, label

SILENT_SECONDS = 4 * frames.SIGN_SECONDS  # after which a node that says nothing counts as lost
ANSWER_SECONDS = 120.0  # for what is quick
BUILD_SECONDS = 1800.0  # for an environment, whose packages may come over a slow network
GRACE_SECONDS = 60.0  # beyond a launch's limit, which the node itself keeps to


class RefusedError(Exception):
    """A node cannot be measured on; the message says why in one line."""


def environment(
    backend: str, variant: str = "", own: Path | None = None, packages: Sequence[str] = (), pins: Sequence[str] = ()
) -> dict[str, Any]:
    """One of the environments that a node is asked for: an interpreter of the user's own, or what is in it."""
    about = {"label": label(backend, variant), "backend": backend, "python": str(own) if own else ""}
    return {**about, "packages": packages, "pins": [] if own else pins}


class Stream(Protocol):
    """What carries frames to a node and back."""

    def send(self, frame: bytes) -> None:
        """Send a frame; NodeLostError where it cannot be."""

    def receive(self, seconds: float) -> Frame:
        """The next frame; NodeLostError where none comes in time, or none will come."""

    def close(self) -> None:
        """End what runs there; nothing is raised."""


@dataclass(frozen=True)
class Suite:
    """The suite's own files as this machine has them, read once for all nodes."""

    root: Path = ROOT
    digest: str = field(default_factory=lambda: code.digest(ROOT))

    def archive(self) -> bytes:
        """An archive of these files, for a node that does not see them."""
        return code.archive(self.root)


@dataclass
class Node:
    """One node, over a stream to the program that launches there.

    `facts` are what it said of itself: its machine, interpreters and versions. `now` is a clock in seconds.
    """

    name: str
    stream: Stream
    facts: Mapping[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    _sent: set[Path] = field(default_factory=set)

    def begin(self, suite: Suite, wanted: Mapping[str, Any], say: Callable[[str], None]) -> None:
        """Start the program and ask what the node is; RefusedError where it cannot be measured on.

        `wanted` says which environments, which GPU and which credentials.
        """
        self.stream.send(frames.pack({"root": str(suite.root), "digest": suite.digest}))
        while (frame := self._next(BUILD_SECONDS)).content["event"] != "ready":
            if frame.content["event"] == "wants":
                say(f"{self.name}: the suite is sent there")
                self.stream.send(frames.pack({}, suite.archive()))
            elif frame.content["event"] == "said":
                say(f"{self.name}: {frame.content['text']}")
        self.facts = self.ask({"ask": "facts", **wanted}, seconds=BUILD_SECONDS, say=say).content
        cpus, has = self.facts["machine"]["logical_cpus"], self.facts["job_cpus"]
        if has and int(has) < cpus:
            raise RefusedError(f"the job has {has} of its {cpus} CPUs, so others may run there; ask for --exclusive")

    @property
    def recorded(self) -> Mapping[str, Any]:
        """What a record says of it."""
        return {"node": self.name}

    def site(self, weights: Path) -> Site:
        """Where this node has what a command names."""
        pythons = self.facts["pythons"]

        def python(backend: str, variant: str) -> Path | None:
            found = pythons.get(label(backend, variant))
            return None if found is None else Path(found)

        folder = Path(self.facts["folder"])
        root, suite_python = Path(self.facts["root"]), self.facts["suite_python"]
        cards = self.facts["cards"]
        return Site(root, suite_python, python, lambda count: cards[str(count)], folder / weights.name)

    def lay(self, files: Files) -> list[str]:
        """Let the user's files lie there under the paths that they have here; gives those elsewhere that are missing.

        RefusedError where one cannot, or where more would have to be sent than is.
        """
        if not files.asked:
            return []
        lacking = set(self.ask({"ask": "lacks", "files": files.asked}).content["lacking"])
        wanted = [path for path in files.sent if str(path) in lacking]
        if wanted and files.size > MOST_BYTES:
            words = f"{wanted[0]} and other files of your own are not there, {files.size / 2**30:.1f} GiB in all"
            raise RefusedError(f"{words}, of which {MOST_BYTES / 2**30:.0f} are sent; put them on a shared folder")
        try:
            for names, parts in batches(wanted):
                self.ask({"ask": "lay", "names": names}, *parts)
        except OSError as error:
            raise RefusedError(f"{error.filename} cannot be read here ({error.strerror})") from None
        return [str(path) for path in files.elsewhere if str(path) in lacking]

    def launch(self, work: Work) -> Outcome:
        """Launch there, with its weights sent before; record and log are written here."""
        try:
            self._lay_weights(work.weights)
        except RefusedError as error:
            return Outcome("failed", f"on {self.name}: {error}", 0.0)
        asked = {"ask": "launch", "words": list(work.words), "limit_seconds": work.limit_seconds}
        answer = self.ask(asked, seconds=work.limit_seconds + GRACE_SECONDS, on_message=work.on_message)
        record, log = answer.parts
        if record:
            work.record.write_bytes(record)
        work.log.write_bytes(log)
        told = answer.content
        return Outcome(told["status"], told["reason"], told["wall_seconds"], told["remark"])

    def close(self) -> None:
        """End what runs there."""
        self.stream.close()

    def _lay_weights(self, path: Path) -> None:
        """Let weights lie in the run's folder there, each sent once; without them the launch says what it lacks."""
        if path.is_file() and path not in self._sent:
            if self.ask({"ask": "lacks", "files": [asked(path.name, path)]}).content["lacking"]:
                self.ask({"ask": "lay", "names": [path.name]}, path.read_bytes())
            self._sent.add(path)

    def ask(
        self,
        content: Mapping[str, Any],
        *parts: bytes,
        seconds: float = ANSWER_SECONDS,
        on_message: Callable[[Mapping[str, Any]], None] = lambda _message: None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> Frame:
        """Ask and wait for the answer, which has to come within so many seconds."""
        self.stream.send(frames.pack(content, *parts))
        until = self.now() + seconds
        while (frame := self._next(SILENT_SECONDS)).content["event"] != "done":
            if self.now() > until:
                raise NodeLostError(f"it lives, but did not answer within {seconds:.0f} s")
            if frame.content["event"] == "message":
                on_message(frame.content["message"])
            elif frame.content["event"] == "building":
                say(f"{self.name}: the environment of {frame.content['what']} is built there")
        return frame

    def _next(self, seconds: float) -> Frame:
        frame = self.stream.receive(seconds)
        if frame.content.get("event") == "refused":
            raise RefusedError(str(frame.content.get("reason")))
        return frame
