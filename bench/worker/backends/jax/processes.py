"""Several devices on JAX by a process for each, as several machines need it; see `Devices`.

`DataParallel` as in one process. What differs is that each process sees its own device alone, hands over its share of
every batch, and meets the others by `jax.distributed`.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.worker.backends import ranks
from bench.worker.backends.jax.team import Team

HOST = "127.0.0.1"
ADDRESS = "BENCH_JAX_ADDRESS"  # where the first process has the service that all meet at
PATIENCE_SECONDS = 600  # that one process waits for another

_held: list[socket.socket] = []  # keeps the port until the service has it
_failures: list[str] = []


def begin(device: str, count: int) -> Mapping[str, str]:
    """Start the others. Two sockets may share a port where both say so, as the service does: nobody else gets it."""
    own = ranks.own_card(count) if device == "gpu" else {}
    if not ranks.rank():
        _held.append(socket.socket())
        _held[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _held[0].bind((HOST, 0))
        os.environ[ADDRESS] = f"{HOST}:{_held[0].getsockname()[1]}"
        if any(name.lower().endswith("_proxy") for name in os.environ):  # which gRPC would ask for this address
            os.environ["no_grpc_proxy"] = HOST  # noqa: SIM112 - it is read in small letters
        ranks.start(count)
    return own


def configure(device: str, count: int) -> None:
    """Meet the others."""
    import jax

    if device == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)
    address = os.environ[ADDRESS]
    jax.distributed.initialize(
        address,
        count,
        ranks.rank(),
        local_device_ids=[0],  # else a Slurm job's settings would be looked at
        shutdown_timeout_seconds=PATIENCE_SECONDS,
        coordinator_bind_address=address,
    )
    while _held:
        _held.pop().close()


def failed(reason: str) -> str:
    """As `ranks.failed`; this process then ends without the others."""
    _failures.append(reason)
    atexit.register(_leave)  # called before JAX's own, which would wait for all others, as they wait for this one
    return ranks.failed(reason)


def _leave() -> None:
    """End this process at once, and the others."""
    ranks.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


class ProcessTeam(Team):
    """See `bench.worker.backends.Team`."""

    by = "keras.distribution, a process each"

    def __init__(self, device: str, count: int) -> None:
        from jax.experimental import multihost_utils

        super().__init__(device, count)
        self.rank = ranks.rank()
        self._device = device
        multihost_utils.sync_global_devices("begin")  # connects all, so that the end of one is seen by the others

    def share(self, parts: Sequence[Any], batch_size: int) -> tuple[tuple[Any, ...], int]:
        return ranks.share(parts, batch_size, self.rank, self._count)

    def holders(self, model: Any, parts: Sequence[Any], batch_size: int) -> Sequence[str]:  # noqa: ARG002
        """What each process's `fit` asked the layout of, and digests of the weights that it was left with."""
        digests = [_digest(variable) for variable in model.weights]
        own = max((shape[0] for shape in self._asked), default=0)
        asked, every = self._gathered([own]), self._gathered(digests)
        for variable, of_each in zip(model.weights, every.swapaxes(0, 1), strict=True):
            lies = len(variable.value.sharding.device_set)
            if lies != self._count or not variable.value.is_fully_replicated:
                raise RuntimeError(f"{variable.path} lies on {lies} of {self._count} devices after training")
            other = next((number for number, digest in enumerate(of_each) if (digest != of_each[0]).any()), 0)
            if other:
                raise RuntimeError(f"device {other} holds another {variable.path} than device 0 after training")
        shares = [int(share) for (share,) in asked]
        if sum(shares) != batch_size:
            raise RuntimeError(f"the devices shared {sum(shares)} samples of a batch of {batch_size}")
        return [f"{self._device}:{number} {share} of {batch_size}" for number, share in enumerate(shares)]

    def _gathered(self, value: Any) -> Any:
        """An array of numbers of each process, by its number."""
        import numpy as np
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(np.asarray(value, dtype=np.int32))

    def cpu_seconds(self) -> float:
        return ranks.cpu_seconds()

    def end(self) -> None:
        import jax

        if not _failures:
            jax.distributed.shutdown()  # waits for all
        if not self.rank:
            ranks.end()


def _digest(variable: Any) -> list[int]:
    """Of the bytes that this process holds of a variable."""
    import numpy as np

    (shard,) = variable.value.addressable_shards
    return list(hashlib.sha256(np.asarray(shard.data).tobytes()).digest())
