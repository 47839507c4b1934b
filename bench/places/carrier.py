"""The actor that carries frames on a Ray node. It is sent there as it is, so it imports the standard library alone."""

import json
import os
import queue
import subprocess
import sys
import threading
from typing import IO

FOREIGN = ("RAY_", "OMP_", "PYTHONPATH")  # what Ray sets for its own processes; it would change what is measured


class Carrier:
    """Starts the program that launches, and carries frames to it and back: one at a time each way."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._received: queue.Queue[bytes | None] = queue.Queue()

    def begin(self) -> None:
        """Start the program; it ends with this process, whose end closes its standard input."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, frame: bytes) -> None:
        """Hand a frame to the program."""
        self._pipe(self._process.stdin).write(frame)
        self._pipe(self._process.stdin).flush()

    def receive(self, seconds: float) -> bytes:
        """The next frame from the program, as bytes; raises where its stream has ended, or none comes in time."""
        found = self._received.get(timeout=seconds)
        if found is None:
            raise RuntimeError(f"the program there ended with status {self._process.wait()}")
        return found

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None  # for the types: both are pipes
        return stream

    def _listen(self) -> None:
        """Cut what the program writes into frames, as bench.places.frames packs them."""
        stream = self._pipe(self._process.stdout)
        while head := stream.read(8):
            content = stream.read(int.from_bytes(head, "big"))
            rest = [stream.read(length) for length in json.loads(content)["parts"]]
            self._received.put(b"".join((head, content, *rest)))
        self._received.put(None)
