"""A worker's messages to its parent, over a socket; without a parent none are sent."""

import json
import os
import socket
from typing import Any

PATIENCE_SECONDS = 2.0


class Messenger:
    """Sends one line of JSON and waits for the answer, so that the parent's work falls outside timed spans.

    The inherited socket's number stands in the environment variable BENCH_MESSAGES.
    """

    def __init__(self) -> None:
        descriptor = os.environ.pop("BENCH_MESSAGES", None)
        self._socket = None if descriptor is None else socket.socket(fileno=int(descriptor))
        if self._socket is not None:
            self._socket.set_inheritable(False)
            self._socket.settimeout(PATIENCE_SECONDS)

    def send(self, event: str, **content: Any) -> None:
        """Tell the parent; once it does not answer in time, or is gone, it is not told any more."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps({"event": event, **content}).encode() + b"\n")
            answer = self._socket.recv(1)
        except OSError:
            answer = b""
        if not answer:
            self._socket.close()
            self._socket = None
