"""Several launches on a node at once, one on each of its GPUs: on the node, the programs that do it.

Each GPU has a program of its own, which sees that GPU alone and runs on its own part of the CPUs. So a launch knows its
processes from its neighbours', and ends none of theirs. The program that holds the node's lock starts these and carries
frames to and from them: a frame for one is the only part of another, which says the GPU's number; without a part that
one has said that it is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.contract.paths import ROOT
from bench.machine import nvidia
from bench.places import frames
from bench.places.frames import Frame, NoFrameError

PROGRAM = "bench.places.on_gpu"
END_SECONDS = 3.0  # for a program to end its launch and itself; less than a launcher waits for all of this
Send = Callable[..., None]  # of a frame's content and the bytes that go with it


class Programs:
    """The programs on the GPUs of this node, by the GPU's number; `send` sends a frame to the run."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._there: dict[int, Program] = {}

    def start(self, gpu: int, folder: Path, cpus: Sequence[int]) -> None:
        """Start the program on a GPU, for launches that have their files in a folder and run on these CPUs."""
        folder.mkdir()
        self._there[gpu] = Program(gpu, folder, cpus, self._send)

    def hand(self, frame: Frame) -> None:
        """Hand a program what the run has for it."""
        self._there[frame.content["gpu"]].hand(frame.parts[0] if frame.parts else None)

    def end(self) -> None:
        """End all, with what they have launched."""
        for program in self._there.values():
            program.hand(None)
        for program in self._there.values():
            program.end()


class Program:
    """One of them; threads carry its frames, so that a program that takes nothing holds up no other."""

    def __init__(self, gpu: int, folder: Path, cpus: Sequence[int], send: Send) -> None:
        self._gpu, self._send = gpu, send
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(folder), json.dumps(cpus)],
            cwd=ROOT,
            env={**os.environ, **nvidia.settings_for(gpu)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._waiting: queue.Queue[bytes | None] = queue.Queue()
        for activity in (self._write, self._read):
            threading.Thread(target=activity, daemon=True).start()

    def hand(self, packed: bytes | None) -> None:
        """Give it a frame, or with None the end of its stream, which ends it."""
        self._waiting.put(packed)

    def end(self) -> None:
        """Wait for its end, which was asked for, and bring it about where it does not come."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self._process.kill()
        self._process.wait()

    def _write(self) -> None:
        assert self._process.stdin is not None  # for the types: it is a pipe
        with contextlib.suppress(OSError), self._process.stdin as stream:  # its end is seen by the other thread
            while (packed := self._waiting.get()) is not None:
                stream.write(packed)
                stream.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None  # for the types: it is a pipe
        try:
            while True:
                content, parts = frames.read(self._process.stdout)
                self._send({"gpu": self._gpu}, frames.pack(content, *parts))
        except (NoFrameError, OSError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError):  # the run has gone
                self._send({"gpu": self._gpu, "over": str(error)})
