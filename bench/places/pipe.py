"""Frames over the pipes of a child process, whatever that process does to reach its node."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from bench.places import frames
from bench.places.frames import Frame, NoFrameError
from bench.places.place import NodeLostError

CLOSE_SECONDS = 5.0  # for what runs on the node to end itself once its stream has ended
LONGEST_COMPLAINT = 300  # characters


class Pipe:
    """A child process that carries frames; its end is that of the node."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            list(command),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that a Ctrl-C in the terminal is the run's alone to deal with
        )
        self._received: queue.Queue[Frame | str] = queue.Queue()
        self._complaint = b""
        self._threads = [threading.Thread(target=listen, daemon=True) for listen in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    def send(self, frame: bytes) -> None:
        """Send a frame; NodeLostError where it cannot be."""
        assert self._process.stdin is not None  # for the types: it is a pipe
        try:
            self._process.stdin.write(frame)
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise NodeLostError(self._why("it takes nothing any more")) from None

    def receive(self, seconds: float) -> Frame:
        """The next frame; NodeLostError where none comes in time, or none will come."""
        try:
            received = self._received.get(timeout=seconds)
        except queue.Empty:
            raise NodeLostError(f"no answer within {seconds:.0f} s") from None
        if isinstance(received, str):
            self._received.put(received)  # for whoever asks again
            raise NodeLostError(self._why(received))
        return received

    def close(self) -> None:
        """End the child, which is given the time to end what it started."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        # srun passes a SIGTERM on; killed as a group it leaves what runs on the node.
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if number is not None and self._process.poll() is None:
                    os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_SECONDS)
        for thread, stream in zip(self._threads, (self._process.stdout, self._process.stderr), strict=True):
            thread.join(CLOSE_SECONDS)
            if stream is not None and not thread.is_alive():  # else a process that outlived the child has it too
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # for the types: it is a pipe
        try:
            while True:
                self._received.put(frames.read(self._process.stdout))
        except (NoFrameError, OSError, ValueError) as error:
            self._received.put(str(error))

    def _listen(self) -> None:
        """Keep the last of what the child complains of."""
        assert self._process.stderr is not None  # for the types: it is a pipe
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stderr:
                self._complaint = line.strip() or self._complaint

    def _why(self, what: str) -> str:
        """What became of the child, in its own last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self._threads[1].join(CLOSE_SECONDS)  # which may not have come to these words yet
        said = self._complaint.decode(errors="replace")[:LONGEST_COMPLAINT]
        return f"{what}: {said}" if said else what
