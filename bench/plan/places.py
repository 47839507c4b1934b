"""Where launches happen, as `--places` says it: on this machine, on the nodes of a Ray cluster, or in a Slurm job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract.case import SEARCHED
from bench.contract.errors import UsageError
from bench.plan import checks

LOCAL, RAY, SRUN = "local", "ray", "srun"
AUTO = "auto"  # the cluster that this machine belongs to
NODE, GPU = "node", "gpu"  # what a launch on a cluster has to itself


@dataclass(frozen=True)
class Places:
    """The kind of places, and of Ray the address of its cluster: `auto`, `HOST:PORT` or `ray://HOST:PORT`."""

    kind: str
    address: str = ""


def read_places(text: object) -> Places:
    """What `--places` says; UsageError where it says nothing that is known."""
    if text in (LOCAL, SRUN):
        return Places(str(text))
    kind, _, address = str(text).partition(":")
    if isinstance(text, str) and kind == RAY and address and not address.isspace():
        return Places(RAY, address)
    hint = f"; name the cluster, or {RAY}:{AUTO}" if text in (RAY, f"{RAY}:") else ""
    raise UsageError(f"--places {text}: expected {LOCAL}, {RAY}:ADDRESS or {SRUN}{hint}")


def kind_of(text: str) -> str:
    """The kind of places, whatever else is said of them."""
    return text.partition(":")[0]


def check_places(given: Mapping[str, Any]) -> None:
    """Refuse what does not go with launches on other machines; `given` are the options of a run by name."""
    kind = read_places(given["places"]).kind
    checks.check_one_of("--per", given["per"], (NODE, GPU), "part of a cluster")
    if given["per"] == GPU:
        _check_per_gpu(kind, given)
    if kind == LOCAL:
        if given["pool_unlike"]:
            raise UsageError("--pool-unlike: says that nodes which differ may be measured together; give --places too")
        return
    if given["explain"]:
        raise UsageError("--explain: takes steps apart on this machine; leave --places out, or run explain by itself")
    if given["within"] is not None:
        words = "reckons with repetitions on one machine, and on several nodes each node may count once"
        raise UsageError(f"--within: {words}; order launches with --launches, --until decided or --budget")
    searched = [track for track in given["tracks"] or () if track in SEARCHED]
    if searched:
        words = "has knobs, which are searched for on the machine that measures"
        raise UsageError(f"--tracks {searched[0]}: {words}; leave --places out, or name shipped or fit")


def _check_per_gpu(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what does not go with several launches on a node at once, each on a GPU of its own."""
    option = f"--per {GPU}"
    if kind == LOCAL:
        raise UsageError(f"{option}: lets each GPU of a cluster's nodes have a launch of its own; give --places too")
    if given["device_counts"] != (1,):
        words = "a case on several devices wants the whole node; leave --per out"
        raise UsageError(f"--device-count {','.join(map(str, given['device_counts']))}: {words}")
    if given["gpu"] is not None:
        words = f"with {option} all are measured on; leave it out, or name some with CUDA_VISIBLE_DEVICES on the nodes"
        raise UsageError(f"--gpu {given['gpu']}: {words}")
    if given["devices"] not in (("gpu",), ["gpu"]):
        words = "a launch on CPUs wants the whole node; give --devices gpu, and measure CPUs in a run of their own"
        raise UsageError(f"{option}: {words}")
