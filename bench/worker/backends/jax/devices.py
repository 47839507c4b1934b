"""Several devices on JAX: one process for all, or one each where that is asked for; see `Devices`."""

import os
from collections.abc import Callable, Mapping

from bench.contract.backend_facts import PROCESSES
from bench.worker.backends import ranks
from bench.worker.backends.jax import processes as by_processes
from bench.worker.backends.jax.team import Team

FAKES = "--xla_force_host_platform_device_count"


def begin(device: str, count: int) -> Mapping[str, str]:
    if _each():
        return by_processes.begin(device, count)
    if device != "cpu":
        return {}
    return {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {FAKES}={count}".strip()}


def processes(count: int) -> int:
    return count if _each() else 1


def configure(device: str, count: int) -> None:
    if _each():
        by_processes.configure(device, count)


def team(device: str, count: int) -> Team:
    return by_processes.ProcessTeam(device, count) if _each() else Team(device, count)


def watch(tell: Callable[[str], None]) -> None:
    if _each():
        ranks.watch(tell)


def failed(reason: str) -> str:
    return by_processes.failed(reason) if _each() else reason


def _each() -> bool:
    """Whether each device has a process of its own."""
    return os.environ.get(PROCESSES) == "each"
