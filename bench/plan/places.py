"""Where launches happen, as `--places` says it: on this machine, on the nodes of a Ray cluster, or in a Slurm job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract.case import SEARCHED
from bench.contract.errors import UsageError

LOCAL, RAY, SRUN = "local", "ray", "srun"
AUTO = "auto"  # the cluster that this machine belongs to


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
