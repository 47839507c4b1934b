"""Nodes of a Ray cluster: on each an actor that holds it, starts the program that launches, and carries frames to it.

Ray finds nodes, holds them and says when one is lost. It is in no measured process: the program that launches is a
child of the actor, in an interpreter without Ray.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.contract.errors import UsageError
from bench.places import boot, carrier, frames
from bench.places.frames import Frame
from bench.places.node import RefusedError
from bench.places.place import NodeLostError

AUTO = "auto"  # the cluster that this machine belongs to, which Ray knows by itself
REACH_SECONDS = 10.0
WAIT_SECONDS = 60.0  # for a node that somebody else has
ANSWER_SECONDS = 30.0  # of an actor, beyond what it waits itself


class Cluster:
    """A Ray cluster that this process has joined; UsageError where there is none, or Ray is missing."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            words = "this environment lacks Ray; nox -s bench installs it where --places asks for it"
            raise UsageError(f"--places ray: {words}") from None
        self._ray: Any = ray
        try:
            _reach(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"--places ray:{address}: no Ray cluster answers there ({reason})") from None

    def names(self) -> dict[str, dict[str, Any]]:
        """The nodes that have CPUs, by a name each: the one given when it was started, else its host's.

        Where several share one, a part of Ray's own is added.
        """
        alive = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        names = [_name(node) for node in alive]
        unique = [
            name if names.count(name) == 1 else f"{name}-{node['NodeID'][:6]}"
            for name, node in zip(names, alive, strict=True)
        ]
        return dict(sorted(zip(unique, alive, strict=True)))

    def stream(self, node: dict[str, Any]) -> ActorStream:
        """A stream to a program on a node, held whole for it; RefusedError where it does not come free."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        resources = node["Resources"]
        whole = {"num_cpus": resources["CPU"], "num_gpus": resources.get("GPU", 0), "scheduling_strategy": here}
        whole["max_concurrency"] = 2  # while a thread waits for frames another sends
        # Sent as it is written here, since nodes do not have this module. A lost launch is the run's to repeat.
        self._ray.cloudpickle.register_pickle_by_value(carrier)
        actor = self._ray.remote(max_restarts=0, max_task_retries=0, **whole)(carrier.Carrier)
        program = Path(boot.__file__).read_text(encoding="utf-8")
        found = ActorStream(self._ray, actor.remote(program))
        found.begin()
        return found

    def close(self) -> None:
        """Leave the cluster, which ends what this process has there."""
        self._ray.shutdown()


class ActorStream:
    """Frames to and from a program on a node, carried by its actor."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def begin(self) -> None:
        """Wait until the actor has its node; RefusedError where somebody else has it for too long."""
        try:
            self._ray.get(self._actor.begin.remote(), timeout=WAIT_SECONDS)
        except self._ray.exceptions.GetTimeoutError:
            self.close()
            words = f"not free within {WAIT_SECONDS:.0f} s; somebody else holds its CPUs or GPUs in Ray"
            raise RefusedError(words) from None
        except self._ray.exceptions.RayError as error:
            self.close()
            raise RefusedError(_first_line(error)) from None

    def send(self, frame: bytes) -> None:
        """Send a frame; NodeLostError where it cannot be."""
        self._get(self._actor.send.remote(frame), ANSWER_SECONDS)

    def receive(self, seconds: float) -> Frame:
        """The next frame; NodeLostError where none comes in time, or none will come."""
        found = self._get(self._actor.receive.remote(seconds), seconds + ANSWER_SECONDS)
        return frames.unpack(found)

    def close(self) -> None:
        """End the actor, with which what it started ends."""
        with contextlib.suppress(Exception):  # the node, or the whole cluster, may be gone
            self._ray.kill(self._actor, no_restart=True)

    def _get(self, reference: Any, seconds: float) -> Any:
        try:
            return self._ray.get(reference, timeout=seconds)
        except self._ray.exceptions.GetTimeoutError:
            raise NodeLostError(f"no answer within {seconds:.0f} s") from None
        except self._ray.exceptions.RayError as error:
            raise NodeLostError(_first_line(error)) from None


def _reach(address: str) -> None:
    """Find out whether anybody listens there, OSError where nobody does: Ray would try for minutes, and print much."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address != AUTO:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()


def _name(node: dict[str, Any]) -> str:
    given: str = node.get("NodeName") or node["NodeManagerAddress"]
    host: str = node["NodeManagerHostname"]
    return host if given == node["NodeManagerAddress"] else given  # which Ray takes where nobody gives a name


def _first_line(error: Exception) -> str:
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines() if line.strip())
    return f"{type(error).__name__}: {next(lines, 'no words')[:200]}"
