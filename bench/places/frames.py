"""What a run and its nodes send each other: a JSON object and bytes that go with it, one frame after the other.

A frame is the length of its head (8 bytes, big-endian), the head as JSON, and the bytes whose lengths the head gives.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

LENGTH = 8  # bytes
LONGEST = 2**26  # bytes of a head; a longer one is none: something else was printed into the stream
PARTS = "parts"


class Frame(NamedTuple):
    """A message, and bytes that go with it."""

    content: Mapping[str, Any]
    parts: Sequence[bytes] = ()


class NoFrameError(Exception):
    """The stream has ended, or something else came over it; the message says which."""


def pack(content: Mapping[str, Any], *parts: bytes) -> bytes:
    """A frame as bytes."""
    head = json.dumps({**content, PARTS: [len(part) for part in parts]}).encode()
    return b"".join((len(head).to_bytes(LENGTH, "big"), head, *parts))


def unpack(packed: bytes) -> Frame:
    """The frame in bytes that hold one."""
    return read(io.BytesIO(packed))


def read(stream: IO[bytes]) -> Frame:
    """The next frame of a stream; NoFrameError where none comes any more."""
    length = int.from_bytes(_exactly(stream, LENGTH), "big")
    if length > LONGEST:
        raise NoFrameError("what came over its stream is no message")
    try:
        content = json.loads(_exactly(stream, length))
        lengths = content.pop(PARTS)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NoFrameError("what came over its stream is no message") from None
    return Frame(content, [_exactly(stream, one) for one in lengths])


def _exactly(stream: IO[bytes], length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        chunk = stream.read(min(length - len(found), 2**20))
        if not chunk:
            raise NoFrameError("its stream has ended")
        found += chunk
    return bytes(found)
