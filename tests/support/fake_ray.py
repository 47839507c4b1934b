"""A Ray cluster of several nodes that are all this machine: a head without CPUs, and nodes that can be killed.

Each node has a TMPDIR of its own, by which what runs there is found, and which has the lock of its runs.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPUS = 2  # of each node; what it has in truth does not count
STORE_BYTES = 80 * 2**20  # of objects; Ray takes no less than 75 MiB
QUIET = {  # read by Ray's processes when they start
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_METRICS_COLLECTION": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those, a local cluster is reached by its loopback address
}


@dataclass(frozen=True)
class FakeRay:
    """A cluster that is up: its address for a driver, its nodes by name, and the folder of their TMPDIRs."""

    address: str
    cluster: Any
    nodes: dict[str, Any]
    folder: Path

    def kill(self, name: str) -> None:
        """End a node with all of Ray's processes on it, as a power cut would."""
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)


@contextlib.contextmanager
def fake_ray(folder: Path, nodes: int = 3, gpus: int = 0) -> Iterator[FakeRay]:
    """Nodes n1, n2 … that are alive, each with so many GPUs; whatever ran in the cluster is ended with it."""
    with (
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as sockets,  # whose paths have to be short
        _environment({**QUIET, "RAY_TMPDIR": sockets}),
    ):
        import ray
        from ray.cluster_utils import Cluster

        common = {"object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **common})
        try:
            added = {}
            for name in (f"n{number}" for number in range(1, nodes + 1)):
                (folder / name).mkdir()
                own = {"node_name": name, "env_vars": {"TMPDIR": str(folder / name)}}
                added[name] = cluster.add_node(num_cpus=CPUS, num_gpus=gpus, **own, **common)
            yield FakeRay(cluster.address, cluster, added, folder)
        finally:
            ray.shutdown()
            cluster.shutdown()


@contextlib.contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
