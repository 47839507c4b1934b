"""Several launches on a node at once, one on each of its GPUs: places of the run, over the one stream to the node."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contract.launch_record import place_name
from bench.places import frames
from bench.places.frames import Frame
from bench.places.node import SILENT_SECONDS, Node, Stream
from bench.places.pipe import CLOSE_SECONDS
from bench.places.place import NodeLostError


@dataclass
class GpuOfNode(Node):
    """One GPU of a node, on which launches run while others run on the node's other GPUs."""

    gpu: int = field(kw_only=True)
    host: str = field(kw_only=True)  # the node's name

    @property
    def recorded(self) -> Mapping[str, Any]:
        """What a record says of it."""
        return {"node": self.host, "gpu": self.gpu}


def divide(node: Node, gpus: Sequence[int]) -> list[GpuOfNode]:
    """A place for each of these GPUs; RefusedError where the node has too few CPUs for that many launches."""
    told = node.ask({"ask": "divide", "gpus": gpus}).content["places"]
    trunk = node.stream = Trunk(node.stream, gpus)
    cards = {card["index"]: card for card in node.facts["gpus"]}
    return [
        GpuOfNode(
            place_name(node.name, gpu),
            Branch(trunk, gpu),
            {**node.facts, **place, "gpus": [cards[gpu]]},
            gpu=gpu,
            host=node.name,
        )
        for gpu, place in zip(gpus, told, strict=True)
    ]


class Trunk:
    """The stream to a node that several places share: a thread reads it, and hands each what is for it.

    What is for the node itself goes over it as before.
    """

    def __init__(self, stream: Stream, gpus: Sequence[int]) -> None:
        self._stream = stream
        self._one_at_a_time = threading.Lock()
        self._received = {gpu: queue.Queue[Frame | str]() for gpu in (None, *gpus)}
        self._over = ""  # why nothing comes any more
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, frame: bytes) -> None:
        """Send a frame; NodeLostError where it cannot be."""
        with self._one_at_a_time:
            if self._over:
                raise NodeLostError(self._over)
            self._stream.send(frame)

    def receive(self, seconds: float, gpu: int | None = None) -> Frame:
        """The next frame, from the program on a GPU or from the node's own; NodeLostError where none comes in time."""
        try:
            received = self._received[gpu].get(timeout=seconds)
        except queue.Empty:
            raise NodeLostError(f"no answer within {seconds:.0f} s") from None
        if isinstance(received, str):
            self.end(received, gpu)  # for whoever asks again
            raise NodeLostError(received)
        return received

    def end(self, why: str, gpu: int | None) -> None:
        """Let whoever waits for a frame from there know that none will come."""
        self._received[gpu].put(why)

    def close(self) -> None:
        """End all that runs on the node."""
        self._stream.close()
        self._reader.join(CLOSE_SECONDS)

    def _read(self) -> None:
        try:
            while True:
                frame = self._stream.receive(SILENT_SECONDS)
                gpu = frame.content.get("gpu")
                if "over" in frame.content:
                    self.end(frame.content["over"], gpu)
                elif frame.content.get("event") != "alive":
                    self._received[gpu].put(frame if gpu is None else frames.unpack(frame.parts[0]))
        except NodeLostError as error:
            self._over = str(error)
        for gpu in self._received:
            self.end(self._over, gpu)


class Branch:
    """Frames to and from the program on one GPU."""

    def __init__(self, trunk: Trunk, gpu: int) -> None:
        self._trunk, self._gpu = trunk, gpu

    def send(self, frame: bytes) -> None:
        """Send a frame; NodeLostError where it cannot be."""
        self._trunk.send(frames.pack({"gpu": self._gpu}, frame))

    def receive(self, seconds: float) -> Frame:
        """The next frame; NodeLostError where none comes in time, or none will come."""
        return self._trunk.receive(seconds, self._gpu)

    def close(self) -> None:
        """End the program on this GPU, and leave the node's others alone."""
        self._trunk.end("it was closed", self._gpu)
        with contextlib.suppress(NodeLostError):
            self._trunk.send(frames.pack({"gpu": self._gpu}))
