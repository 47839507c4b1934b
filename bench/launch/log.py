"""What a worker prints, on disk: its beginning and its end, however much it prints."""

from pathlib import Path

KEPT_BYTES = 2**20  # of the beginning and of the end, each


class WorkerLog:
    """A log that never grows beyond twice `KEPT_BYTES`: the beginning is written as it comes, the end when it closes.

    OSError from any call where the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._end = bytearray()

    def write(self, output: bytes) -> None:
        """Append what the worker printed."""
        room = max(0, KEPT_BYTES - self._size)
        if room:
            self._file.write(output[:room])
        self._size += len(output)
        self._end += output
        if len(self._end) > 2 * KEPT_BYTES:
            del self._end[:-KEPT_BYTES]

    def close(self) -> str:
        """Write the end, say how much was left out before it, and return it."""
        with self._file:
            rest = max(0, self._size - KEPT_BYTES)
            kept = min(rest, KEPT_BYTES)
            if rest > kept:
                self._file.write(f"\n[… {rest - kept} bytes left out …]\n".encode())
            if kept:
                self._file.write(self._end[-kept:])
        return self._end[-KEPT_BYTES:].decode(errors="replace")
