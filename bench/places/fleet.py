"""The places of a run: this machine, or the nodes of a cluster that can be measured on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from bench.contract.errors import UsageError
from bench.places import srun
from bench.places.branches import GpuOfNode, divide
from bench.places.files import Files
from bench.places.node import Node, RefusedError, Stream, Suite
from bench.places.place import NodeLostError

Open = Callable[[], Stream]


class Fleet:
    """The nodes of a cluster, each held from `begin` until this is left; `refused` says why others are not among them.

    `kind` and `address` are those of `--places`. `places` are where launches happen: the nodes, or GPUs of theirs.
    """

    def __init__(self, kind: str, address: str, say: Callable[[str], None]) -> None:
        self._kind, self._address, self._say = kind, address, say
        self._held = contextlib.ExitStack()
        self.nodes: list[Node] = []
        self.places: list[Node] = []
        self.refused: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def begin(self, wanted: Mapping[str, Any]) -> None:
        """Start the program that launches on every node, all at once, and ask what each is.

        `wanted` says which environments, which GPU and which credentials. UsageError where no cluster is there.
        """
        suite, streams = Suite(), self._streams()
        opened: dict[str, Node] = {}

        def close_all() -> None:
            for node in list(opened.values()):
                node.close()

        def begin(named: tuple[str, Open]) -> None:
            name, stream = named
            try:
                opened[name] = Node(name, stream())
                opened[name].begin(suite, wanted, self._say)
            except (RefusedError, NodeLostError) as error:
                self.refused[name] = str(error)

        _at_once(begin, list(streams.items()), close_all)
        for name, node in opened.items():
            if name in self.refused:
                node.close()
            else:
                self._held.callback(node.close)
        self.nodes = [opened[name] for name in streams if name not in self.refused]
        self.places = list(self.nodes)

    def divide(self, gpus: Mapping[str, Sequence[int]]) -> None:
        """Make a place of each of these GPUs, by node; a node that cannot have so many is left out."""
        self.places = []
        for node in list(self.nodes):
            try:
                self.places += divide(node, gpus[node.name])
            except (RefusedError, NodeLostError) as error:
                self.leave_out(node.name, str(error))

    def lay(self, files: Files) -> dict[str, list[str]]:
        """Let the user's files lie on all nodes, and leave out those where they cannot.

        Gives what nodes lack of what is not sent, by the node's name.
        """
        _ = files.asked  # read once, and not by each thread
        found: dict[str, list[str] | RefusedError | NodeLostError] = {}

        def lay(node: Node) -> None:
            try:
                found[node.name] = node.lay(files)
            except (RefusedError, NodeLostError) as error:
                found[node.name] = error

        _at_once(lay, list(self.nodes), self._held.close)
        lacks = dict[str, list[str]]()
        for node in list(self.nodes):  # in their order, not in that of their answers
            said = found[node.name]
            if not isinstance(said, list):
                self.leave_out(node.name, str(said))
            elif said:
                lacks[node.name] = said
        return lacks

    def leave_out(self, name: str, reason: str) -> None:
        """Give a node back that is not to be measured on."""
        (node,) = (one for one in self.nodes if one.name == name)
        self.nodes.remove(node)
        self.places = [place for place in self.places if place is not node]
        self.refused[name] = reason
        node.close()

    def _streams(self) -> dict[str, Open]:
        """What opens a stream to each node, by the node's name."""
        if self._kind == "srun":
            return {name: _later(srun.stream, name) for name in srun.names()}
        from bench.places.ray import Cluster  # late: Ray is there only where it was asked for

        cluster = Cluster(self._address)
        self._held.callback(cluster.close)
        nodes = cluster.names()
        if not nodes:
            raise UsageError(f"--places ray:{self._address}: the cluster has no node with CPUs")
        return {name: _later(cluster.stream, node) for name, node in nodes.items()}


def _at_once(do: Callable[[Any], None], many: Sequence[Any], close_all: Callable[[], None]) -> None:
    """Do something with all at once; where that is interrupted all are closed, so that the threads end."""
    with contextlib.ExitStack() as doing:
        doing.callback(close_all)  # those too that open while others are closed
        pool = doing.enter_context(ThreadPoolExecutor(max(len(many), 1)))
        doing.callback(close_all)  # where Ctrl-C comes while a node builds an environment, say: its thread ends
        list(pool.map(do, many))
        doing.pop_all()
        pool.shutdown()


def _kind(place: Node) -> str:
    """The hardware that a place is known by."""
    known: str = place.facts["gpus"][0]["name"] if isinstance(place, GpuOfNode) else place.facts["machine"]["cpu"]
    return known


def _later(stream: Callable[[Any], Stream], node: Any) -> Open:
    return lambda: stream(node)


def told(refused: Mapping[str, str], places: Sequence[Node]) -> list[str]:
    """What has to be said of the nodes, or of their GPUs, a line each."""
    there = ", ".join(f"{place.name} ({_kind(place)})" for place in places)
    left = [f"{name} is left out: {reason}" for name, reason in sorted(refused.items())]
    return [f"places: {there or 'none'}", *left]
