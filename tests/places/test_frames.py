"""Frames: what a run and its nodes send each other."""

import io

import pytest

from bench.places import frames


def test_a_frame_comes_back_with_its_bytes():
    stream = io.BytesIO(frames.pack({"ask": "lay", "name": "ü"}, b"\0\n", b"") + frames.pack({"ask": "facts"}))

    assert frames.read(stream) == ({"ask": "lay", "name": "ü"}, [b"\0\n", b""])
    assert frames.read(stream) == ({"ask": "facts"}, [])


@pytest.mark.parametrize("cut", [0, 3, 8, 12, -1])
def test_a_stream_that_ends_early_says_so(cut):
    whole = frames.pack({"ask": "lay"}, b"1234")

    with pytest.raises(frames.NoFrameError, match="its stream has ended"):
        frames.read(io.BytesIO(whole[:cut]))


@pytest.mark.parametrize(
    "printed", [b"Loading module cuda/12.4\n", (2).to_bytes(8, "big") + b"[]", (1).to_bytes(8, "big") + b"{"]
)
def test_what_else_is_printed_into_a_stream_is_no_frame(printed):
    with pytest.raises(frames.NoFrameError, match="no message"):
        frames.read(io.BytesIO(printed))
